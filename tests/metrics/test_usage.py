"""Histories with known answers: means, percentiles, gaps, hand-overs, MIG, sharing, copies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.history import (
    DRAM,
    ENERGY,
    GR,
    POWER,
    SM,
    TENSOR,
    USED,
    UTIL,
    changing,
    gpu_hours,
    labels,
    lines,
    part,
    read,
    steady,
)

A, B = "c/Pod/team-a/a", "c/Pod/team-a/b"


def test_means_percentiles_and_maxima_are_those_of_the_samples() -> None:
    values = np.random.default_rng(7).uniform(0, 1, 24 * 120).round(4)
    points = [(t, values[i]) for i, (t, _) in enumerate(steady(0, hours=24))]
    watts = [(t, 100 + i % 500) for i, (t, _) in enumerate(points)]
    made = part(read(lines(SM, labels(pod="a"), points) + lines(POWER, labels(pod="a"), watts)))
    [row] = made.usage.devices.to_dict("records")
    assert row["samples"] == 2880
    for name, percent in (("util_p50", 50), ("util_p95", 95), ("util_p99", 99), ("util_max", 100)):
        assert row[name] == pytest.approx(np.percentile(values, percent), abs=1e-6)
    assert row["power_p95_watts"] == pytest.approx(np.percentile([w for _, w in watts], 95))
    hour = made.usage.hourly.iloc[1]
    inside = [values[i] for i, (t, _) in enumerate(points) if 3600 <= t < 7200]
    assert (hour["samples"], hour["util_max"]) == (120, pytest.approx(max(inside), abs=1e-6))
    assert hour["util_mean"] == pytest.approx(np.mean(inside), abs=1e-6)


def test_a_gap_counts_for_nothing() -> None:
    points = steady(0.5, hours=4) + steady(0.5, hours=4, start=20 * 3600)
    assert gpu_hours(part(read(lines(SM, labels(pod="a"), points)))) == pytest.approx({("GPU-node-1-0", A): 8.0})


def test_a_gpu_that_changes_hands_within_an_hour_is_two_rows() -> None:
    first, second = steady(0.8, hours=1.25), steady(0.1, hours=0.75, start=1.25 * 3600)
    made = part(read(lines(SM, labels(pod="a"), first) + lines(SM, labels(pod="b"), second)))
    assert gpu_hours(made) == pytest.approx({("GPU-node-1-0", A): 1.25, ("GPU-node-1-0", B): 0.75})
    rows = made.usage.hourly.set_index(["hour", "owner"])
    shared_hour = rows.loc[rows.index.get_level_values("hour").hour == 1]
    assert shared_hour["util_mean"].tolist() == pytest.approx([0.8, 0.1])
    assert not made.usage.devices["shared"].any()


def test_a_free_gpu_is_nobodys_where_pods_are_named_and_unknown_where_they_never_are() -> None:
    held = lines(SM, labels(pod="a"), steady(0.5, hours=2))
    free = lines(SM, labels(gpu=1), steady(0, hours=2))
    assert gpu_hours(part(read(held + free)))[("GPU-node-1-1", "")] == pytest.approx(2.0)
    made = part(read(free))
    assert gpu_hours(made) == pytest.approx({("GPU-node-1-1", "?"): 2.0})
    assert not made.attributed


def test_labels_that_name_the_exporter_are_no_workload() -> None:
    own = {"pod": "nvidia-dcgm-exporter-x7x2p", "namespace": "gpu-operator", "container": "nvidia-dcgm-exporter"}
    held = labels(exported_pod="a", exported_namespace="team-a", exported_container="main", **own)
    text = lines(SM, held, steady(0.5, hours=2)) + lines(SM, labels(gpu=1, **own), steady(0, hours=2))
    assert gpu_hours(part(read(text))) == pytest.approx({("GPU-node-1-0", A): 2.0, ("GPU-node-1-1", ""): 2.0})
    assert gpu_hours(part(read(lines(SM, labels(**own), steady(0.5, hours=1))))) == pytest.approx(
        {("GPU-node-1-0", "?"): 1.0}
    )


def test_an_exporter_of_another_name_is_known_by_the_renamed_labels() -> None:
    own = {"pod": "metrics-abc", "namespace": "monitoring", "container": "main"}
    held = labels(exported_pod="a", exported_namespace="team-a", **own)
    text = lines(SM, held, steady(0.5, hours=2)) + lines(SM, labels(gpu=1, **own), steady(0, hours=2))
    assert gpu_hours(part(read(text)))[("GPU-node-1-1", "")] == pytest.approx(2.0)


def test_the_host_is_not_the_exporters_pod() -> None:
    named = labels(host="nvidia-dcgm-exporter-x7x2p", pod="a", node="node-9")
    [row] = part(read(lines(SM, named, steady(0.5, hours=1)))).usage.devices.to_dict("records")
    assert row["node"] == "node-9"


def test_the_best_measure_a_device_has_is_used_and_never_mixed() -> None:
    full = lines(UTIL, labels(pod="a"), steady(90, hours=4)) + lines(SM, labels(pod="a"), steady(0.1, hours=4))
    plain = lines(UTIL, labels(gpu=1, pod="a"), steady(40, hours=4))
    rows = part(read(full + plain)).usage.devices.set_index("device")
    assert rows["metric"].tolist() == ["sm_active", "gpu_util"]
    assert rows["util_p50"].tolist() == pytest.approx([0.1, 0.4])
    hourly = part(read(full)).usage.hourly
    assert hourly["gpu_util_mean"].tolist() == pytest.approx([0.9] * 5)


def test_a_measure_that_was_only_tried_does_not_blind_the_rest() -> None:
    text = lines(UTIL, labels(pod="a"), steady(40, hours=24)) + lines(SM, labels(pod="a"), steady(0.1, hours=1))
    made = part(read(text))
    assert made.usage.devices["metric"].tolist() == ["gpu_util"]
    assert gpu_hours(made) == pytest.approx({("GPU-node-1-0", A): 24.0})


def test_a_device_without_a_measure_is_held_but_unknown() -> None:
    made = part(read(lines(USED, labels(pod="a"), steady(70000, hours=2))))
    assert gpu_hours(made) == pytest.approx({("GPU-node-1-0", A): 2.0})
    assert made.usage.hourly["util_mean"].isna().all()
    assert made.usage.devices["metric"].tolist() == [""]
    assert made.usage.devices["memory_max_mib"].tolist() == [70000]


def test_mig_devices_count_by_compute_slices_and_gpu_util_says_nothing_of_them() -> None:
    text = []
    for instance, profile, pod in (("7", "1g.10gb", "a"), ("1", "3g.40gb", "b"), ("2", "3g.40gb", "")):
        of = labels(pod=pod, GPU_I_ID=instance, GPU_I_PROFILE=profile)
        text += lines(GR, of, steady(0.4, hours=7)) + lines(UTIL, of, steady(0, hours=7))
    text += lines(UTIL, labels(), steady(0, hours=7))  # the card itself
    made = part(read(text))
    assert gpu_hours(made) == pytest.approx(
        {("GPU-node-1-0/7", A): 1.0, ("GPU-node-1-0/1", B): 3.0, ("GPU-node-1-0/2", ""): 3.0}
    )
    assert set(made.usage.devices["metric"]) == {"gr_engine_active"}
    [card] = made.cards[("c", "node-1")]
    assert [device.profile for device in card.mig] == ["3g.40gb", "3g.40gb", "1g.10gb"]


def test_a_card_counts_whole_until_it_is_cut() -> None:
    whole = lines(GR, labels(pod="a"), steady(0.5, hours=3))
    cut = lines(GR, labels(pod="b", GPU_I_ID="9", GPU_I_PROFILE="1g.10gb"), steady(0.5, hours=7, start=4 * 3600))
    made = gpu_hours(part(read(whole + cut)))
    assert made == pytest.approx({("GPU-node-1-0", A): 3.0, ("GPU-node-1-0/9", B): 1.0})


def test_pods_that_share_a_gpu_divide_its_samples() -> None:
    text = []
    for pod in ("a", "b", "d"):
        text += lines(SM, labels(pod=pod, vgpu=pod), steady(0.6, hours=3))
    made = part(read(text))
    assert gpu_hours(made) == pytest.approx({("GPU-node-1-0", f"c/Pod/team-a/{pod}"): 1.0 for pod in "abd"})
    assert made.usage.devices["shared"].all()
    assert made.usage.hourly["util_mean"].tolist() == pytest.approx([0.6] * 12)


def test_two_containers_of_a_pod_do_not_divide_it() -> None:
    text = lines(SM, labels(pod="a"), steady(0.6, hours=3))
    text += lines(SM, {**labels(pod="a"), "container": "sidecar"}, steady(0.6, hours=3))
    made = part(read(text))
    assert gpu_hours(made) == pytest.approx({("GPU-node-1-0", A): 3.0})
    assert not made.usage.devices["shared"].any()


@pytest.mark.parametrize("offset", [0, 7, 15, 22])
def test_what_two_scrapers_saw_counts_once(offset: float) -> None:
    text = []
    for replica, shift in (("prom-0", 0), ("prom-1", offset)):
        for pod, start in (("a", 0), ("b", 3600)):
            of = labels(pod=pod, prometheus_replica=replica)
            text += lines(SM, of, steady(0.5, hours=1, start=start + shift))
    made = gpu_hours(part(read(text)))
    assert made == pytest.approx({("GPU-node-1-0", A): 1.0, ("GPU-node-1-0", B): 1.0}, abs=31 / 3600)
    assert sum(made.values()) <= 2 + 31 / 3600


def test_the_second_scraper_fills_the_gap_of_the_first() -> None:
    text = lines(SM, labels(pod="a", replica="0"), steady(0.5, hours=2) + steady(0.5, hours=2, start=5 * 3600))
    text += lines(SM, labels(pod="a", replica="1"), steady(0.5, hours=3, start=2 * 3600 + 10))
    made = gpu_hours(part(read(text)))
    assert made[("GPU-node-1-0", A)] == pytest.approx(7.0, abs=31 / 3600)


def test_the_same_file_twice_in_any_order_of_lines_counts_once() -> None:
    text = lines(SM, labels(pod="a"), changing(lambda t: round(t % 900 / 900, 4), hours=5))
    shuffled = [text[i] for i in np.random.default_rng(3).permutation(len(text))]
    once, twice = part(read(text)), part(read(shuffled, text + text[:50]))
    assert gpu_hours(twice) == pytest.approx({("GPU-node-1-0", A): 5.0})
    assert once.usage.hourly.equals(twice.usage.hourly)


def test_power_comes_from_the_energy_counter_when_there_is_no_gauge() -> None:
    # 300 W for four hours; the counter (mJ) is reset after two
    points = changing(lambda t: round(300_000 * (t if t <= 7200 else t - 7200)), hours=4)
    text = lines(SM, labels(pod="a"), steady(0.5, hours=4)) + lines(ENERGY, labels(pod="a"), points)
    made = part(read(text))
    assert made.usage.hourly["power_mean_watts"].tolist() == pytest.approx([300.0] * 5)
    assert made.usage.devices["power_p95_watts"].tolist() == pytest.approx([300.0])


def test_metrics_without_pod_labels_take_those_of_the_device() -> None:
    bare = {key: value for key, value in labels().items() if key in ("UUID",)}
    text = lines(SM, bare, steady(0.5, hours=4))
    text += lines(UTIL, labels(pod="a"), steady(90, hours=3)) + lines(
        UTIL, labels(), steady(0, hours=1, start=3 * 3600)
    )
    made = part(read(text))
    assert gpu_hours(made) == pytest.approx({("GPU-node-1-0", A): 3.0, ("GPU-node-1-0", ""): 1.0})
    assert set(made.usage.devices["metric"]) == {"sm_active"}


def test_two_clusters_in_one_store_stay_apart() -> None:
    text = lines(SM, labels(pod="a", cluster="east"), steady(0.5, hours=1))
    text += lines(SM, labels(pod="a", cluster="west"), steady(0.5, hours=2))
    made = part(read(text)).usage
    assert made.devices["cluster"].tolist() == ["east", "west"]
    assert made.devices["samples"].tolist() == [120.0, 240.0]


def test_a_device_without_uuid_is_named_by_its_place() -> None:
    of = {"gpu": "3", "Hostname": "node-1", "pod": "a", "namespace": "team-a"}
    assert gpu_hours(part(read(lines(UTIL, of, steady(50, hours=1))))) == pytest.approx({("node-1/3", A): 1.0})
    # as soon as another series of the place tells the UUID, it is that device
    text = lines(UTIL, of, steady(50, hours=1)) + lines(DRAM, labels(gpu=3, pod="a"), steady(0.2, hours=1))
    assert list(gpu_hours(part(read(text)))) == [("GPU-node-1-3", A)]


def test_each_metric_keeps_its_own_samples() -> None:
    text = lines(SM, labels(pod="a"), steady(0.5, hours=2, step=30))
    text += lines(TENSOR, labels(pod="a"), steady(0.25, hours=2, step=60))
    made = part(read(text))
    assert made.usage.hourly["tensor_mean"].tolist() == pytest.approx([0.25] * 3)
    assert gpu_hours(made) == pytest.approx({("GPU-node-1-0", A): 2.0})


def test_only_the_window_counts() -> None:
    made = part(read(lines(SM, labels(pod="a"), steady(0.5, hours=30))), hours=10)
    assert gpu_hours(made) == pytest.approx({("GPU-node-1-0", A): 10.0})


def test_two_far_points_are_no_history_of_a_day() -> None:
    made = part(read(lines(SM, labels(pod="a"), [(0.1, 0.5), (86400, 0.5)])))
    assert gpu_hours(made)[("GPU-node-1-0", A)] <= 2.0


PODS = st.sampled_from(["", "a", "b", "d"])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(PODS, st.integers(1, 400), st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=40),
    st.sampled_from([10, 15, 30, 60]),
    st.booleans(),
)
def test_owners_never_add_up_to_more_than_the_device(scrapes, step, second_metric) -> None:
    """Any mix of pods, sharers, copies and gaps: no hour above the hour, and no device above its time."""
    text = lines(SM, labels(gpu=7, pod="z"), steady(0.5, hours=1, step=step))  # tells the usual interval
    for pod, tick, value, replica in scrapes:
        of = labels(pod=pod, replica=str(replica))
        text += lines(SM, of, [(tick * step + replica * 3, round(value, 4))])
        if second_metric:
            text += lines(POWER, of, [(tick * step + replica * 3, 100)])
    made = part(read(text))
    rows = made.usage.hourly.merge(made.usage.devices[["device", "owner", "interval_seconds", "gpus"]])
    rows = rows.assign(seconds=rows["samples"] * rows["interval_seconds"])
    by_hour = rows.groupby(["device", "hour"])["seconds"].sum()
    interval = rows.groupby("device")["interval_seconds"].max()
    assert (by_hour <= 3600 + interval.max() + 1e-3).all()
    mine = rows[rows["device"] == "GPU-node-1-0"]
    ticks = [tick * step + replica * 3 for _, tick, _, replica in scrapes]
    widest = max(np.diff(sorted({*ticks, ticks[0] - step})))
    assert mine["seconds"].sum() <= max(ticks) - min(ticks) + max(step, widest) + 1e-3
    sums = mine.groupby("owner")["samples"].sum()
    assert made.usage.devices.set_index(["device", "owner"])["samples"].loc["GPU-node-1-0"].sort_index().tolist() == (
        pytest.approx(sums.sort_index().tolist(), rel=1e-4)
    )
