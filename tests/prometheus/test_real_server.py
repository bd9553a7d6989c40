"""What comes back from a real Prometheus is what was put in."""

import random
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from gpuaudit.cluster.nodes import Node
from tests.metrics.history import (
    DRAM,
    FREE,
    GR,
    POWER,
    RESERVED,
    SM,
    START,
    TENSOR,
    USED,
    UTIL,
    XID,
    Point,
    changing,
    gpu_hours,
    labels,
    openmetrics,
    steady,
)
from tests.prometheus.reading import reading
from tests.prometheus.server import blocks, serving

HOURS = 30
OWN = {"pod": "nvidia-dcgm-exporter-x7x2p", "namespace": "gpu-operator", "container": "nvidia-dcgm-exporter"}


def points(value, *, hours: float, start: float = 0, step: float = 30) -> list[Point]:
    """Return samples at START, a step later, and so on: `hours` full ones."""
    return [(t - step, v) for t, v in changing(lambda t: value(t - step), hours=hours, step=step, start=start)]


def exported(pod: str = "", **more: str) -> dict[str, str]:
    named = {"exported_pod": pod, "exported_namespace": "team-a", "exported_container": "main"} if pod else {}
    return labels(**(OWN | named | {"instance": "10.0.0.1:9400", "job": "dcgm"} | more))


VALUES = {pod: np.random.default_rng(seed).uniform(0, 0.99, 120 * HOURS).round(4) for seed, pod in enumerate("abcdef")}


def of(pod: str):
    return lambda t: VALUES[pod][int(t // 30)]


def story() -> list[str]:
    """A day and a bit of one cluster, scraped by two replicas, and another cluster in the same store."""
    lines: list[str] = []
    for replica in ("prom-0", "prom-1"):
        ha = {"prometheus_replica": replica, "cluster": "east"}
        # GPU 0 changes hands in the middle of an hour, with a gap of two hours; all fields
        for pod, start, hours in (("a", 0, 10.5), ("b", 10.5 * 3600, 3.5), ("b", 16 * 3600, 14)):
            for name, value in ((SM, of(pod)), (TENSOR, lambda t: 0.25), (DRAM, lambda t: 0.5)):
                lines += openmetrics(name, exported(pod, **ha), points(value, hours=hours, start=start))
            lines += openmetrics(POWER, exported(pod, **ha), points(lambda t: 300 + t % 100, hours=hours, start=start))
            lines += openmetrics(USED, exported(pod, **ha), points(lambda t: 70000, hours=hours, start=start))
            lines += openmetrics(UTIL, exported(pod, **ha), points(lambda t: 90, hours=hours, start=start))
        lines += openmetrics(FREE, exported("b", **ha), points(lambda t: 11000, hours=HOURS))
        lines += openmetrics(RESERVED, exported("b", **ha), points(lambda t: 559, hours=HOURS))
        lines += openmetrics(XID, exported("b", **ha), points(lambda t: 79 if t > 20 * 3600 else 0, hours=HOURS))
        # GPU 1 is free, known by GPU_UTIL alone
        free = exported(UUID="GPU-node-1-1", gpu="1", device="nvidia1", **ha)
        lines += openmetrics(UTIL, free, points(lambda t: 0, hours=HOURS))
        # GPU 2 is cut; its MIG devices have no GPU_UTIL
        for instance, profile, pod in (("1", "3g.40gb", "c"), ("7", "1g.10gb", "")):
            cut = exported(pod, UUID="GPU-node-1-2", gpu="2", GPU_I_ID=instance, GPU_I_PROFILE=profile, **ha)
            lines += openmetrics(GR, cut, points(lambda t: 0.4, hours=HOURS))
        # GPU 3 is shared by three pods
        for pod in ("d", "e", "f"):
            shared = exported(pod, UUID="GPU-node-1-3", gpu="3", vgpu=pod, **ha)
            lines += openmetrics(SM, shared, points(lambda t: 0.6, hours=HOURS))
        for pod in ("a", "b"):
            owner = {"namespace": "team-a", "pod": pod, "owner_kind": "ReplicaSet", "owner_name": "web-1", **ha}
            lines += openmetrics("kube_pod_owner", owner, points(lambda t: 1, hours=HOURS))
        replicas = {"replicaset": "web-1", "owner_kind": "Deployment", "owner_name": "web"}
        lines += openmetrics("kube_replicaset_owner", {"namespace": "team-a", **replicas, **ha}, steady(1, hours=HOURS))
        for node, hours in (("node-1", HOURS), ("node-2", 5.25)):
            lines += openmetrics("kube_node_info", {"node": node, **ha}, points(lambda t: 1, hours=hours))
    lines += openmetrics(SM, labels(pod="a", cluster="west"), points(lambda t: 0.1, hours=HOURS))
    return lines


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    data = blocks(story(), tmp_path_factory.mktemp("story"))
    with serving(data) as url:
        yield url


@pytest.fixture(scope="module")
def east(url):
    found, asker = reading(url, hours=HOURS, matchers=['cluster="east"'])
    assert found.troubles == ()
    assert asker.halved == 0
    return found.part


def test_gpu_hours_and_attribution_are_exact(east) -> None:
    web, third = "east/Deployment/team-a/web", HOURS / 3
    assert gpu_hours(east) == pytest.approx(
        {
            ("GPU-node-1-0", web): 28.0,
            ("GPU-node-1-1", ""): HOURS,
            ("GPU-node-1-2/1", "east/Pod/team-a/c"): HOURS * 3 / 7,
            ("GPU-node-1-2/7", ""): HOURS / 7,
            **{("GPU-node-1-3", f"east/Pod/team-a/{pod}"): third for pod in "def"},
        },
        rel=1e-6,
    )


def test_means_percentiles_and_maxima_are_those_of_the_samples(url) -> None:
    found, _ = reading(url, hours=10.5, matchers=['cluster="east"'])
    rows = found.part.usage.devices.set_index("device")
    values = VALUES["a"][: int(10.5 * 120)]
    row = rows.loc["GPU-node-1-0"]
    for name, percent in (("util_p50", 50), ("util_p95", 95), ("util_p99", 99), ("util_max", 100)):
        assert row[name] == pytest.approx(np.percentile(values, percent), rel=1e-6)
    assert row["power_p95_watts"] == pytest.approx(np.percentile([300 + 30 * i % 100 for i in range(1260)], 95))
    assert (row["memory_max_mib"], row["dram_p95"], row["metric"]) == (70000, 0.5, "sm_active")
    assert not row["shared"]
    assert rows.loc["GPU-node-1-3", "shared"].all()
    assert rows.loc["GPU-node-1-1", "metric"] == "gpu_util"
    assert set(rows["interval_seconds"]) == {30.0}
    hourly = found.part.usage.hourly
    mine = hourly[hourly["device"] == "GPU-node-1-0"]
    assert mine["samples"].tolist() == [120.0] * 10 + [60.0]
    expected = [values[h * 120 : (h + 1) * 120].mean() for h in range(11)]
    assert mine["util_mean"].tolist() == pytest.approx(expected, rel=1e-5)
    assert mine["util_max"].tolist() == pytest.approx([values[h * 120 : (h + 1) * 120].max() for h in range(11)])
    assert mine["tensor_mean"].tolist() == pytest.approx([0.25] * 11)
    assert mine["gpu_util_mean"].tolist() == pytest.approx([0.9] * 11)


def test_a_gap_is_no_row(east) -> None:
    hourly = east.usage.hourly
    hours = hourly[(hourly["device"] == "GPU-node-1-0") & (hourly["util_mean"].notna())]["hour"].dt.hour
    assert len(hours) == 28  # 30 hours less two
    assert list(hours[:16]) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17]


def test_cards_faults_presence_and_inventory(east) -> None:
    cards = {card.index: card for card in east.cards[("east", "node-1")]}
    assert (cards[0].memory_mib, cards[0].faults, cards[0].model) == (81559.0, ("xid 79",), "h100-80gb-sxm")
    assert [device.profile for device in cards[2].mig] == ["3g.40gb", "1g.10gb"]
    [whole], [short] = east.present[("east", "node-1")], east.present[("east", "node-2")]
    assert (whole.start, whole.end) == (START, START + timedelta(hours=HOURS))
    assert short.end - START == timedelta(hours=5.25)
    found = {metric.name: metric for metric in east.metrics}
    assert found[SM].series == 2 * 4  # GPU 0 and three sharers, by two replicas, at the end of the window
    assert found[SM].interval_seconds == 30.0


def test_without_a_matcher_the_clusters_of_a_store_stay_apart(url) -> None:
    found, _ = reading(url, hours=2)
    assert set(found.part.usage.devices["cluster"]) == {"east", "west"}
    west = found.part.usage.devices.set_index("cluster").loc["west"]
    assert (west["owner"], west["samples"]) == ("west/Pod/team-a/a", 240.0)


def test_a_wrong_prometheus_joins_nothing(url) -> None:
    nodes = [Node(cluster="east", name="elsewhere")]
    found, _ = reading(url, hours=2, matchers=['cluster="east"'], nodes=nodes)
    assert found.part.join_ratio == 0.0
    right = [Node(cluster="east", name="node-1")]
    assert reading(url, hours=2, matchers=['cluster="east"'], nodes=right)[0].part.join_ratio == 1.0


@pytest.mark.parametrize("minutes", [0, 17, 59])
def test_a_window_may_begin_and_end_anywhere(url, minutes: int) -> None:
    start = START + timedelta(hours=1, minutes=minutes, seconds=15)
    found, _ = reading(url, hours=6, start=start, matchers=['cluster="west"'])
    assert sum(gpu_hours(found.part).values()) == pytest.approx(6.0, rel=1e-3)


def test_a_window_within_an_hour_is_read(url) -> None:
    found, _ = reading(url, hours=0.5, start=START + timedelta(minutes=10), matchers=['cluster="west"'])
    assert sum(gpu_hours(found.part).values()) == pytest.approx(0.5, rel=1e-3)


def test_history_begins_where_the_store_does(url) -> None:
    found, _ = reading(url, hours=48, start=START - timedelta(hours=20), matchers=['cluster="west"'])
    assert found.since == START
    assert sum(gpu_hours(found.part).values()) == pytest.approx(28.0)


def test_an_odd_interval_is_measured(tmp_path: Path) -> None:
    steps = 35.0
    lines = openmetrics(SM, labels(pod="a"), points(lambda t: 0.5, hours=14, step=steps))
    with serving(blocks(lines, tmp_path)) as url:
        found, _ = reading(url, hours=14)
    assert found.part.usage.devices["interval_seconds"].tolist() == [35.0]
    assert sum(gpu_hours(found.part).values()) == pytest.approx(14.0, rel=1e-3)


def test_an_empty_store_says_nothing(tmp_path: Path) -> None:
    with serving(blocks(openmetrics("up", {"job": "x"}, steady(1, hours=1)), tmp_path)) as url:
        found, _ = reading(url)
    assert found.troubles == ()
    assert not len(found.part.usage.devices)
    assert not found.part.history


def test_scrapes_are_seldom_on_the_grid(tmp_path: Path) -> None:
    rng = random.Random(5)
    rows = [(t + rng.randrange(-4, 5) / 1000 + 11.123, 0.5) for t, _ in points(lambda t: 0.5, hours=24)]
    with serving(blocks(openmetrics(SM, labels(pod="a"), rows), tmp_path)) as url:
        found, _ = reading(url, hours=24)
    assert sum(gpu_hours(found.part).values()) == pytest.approx(24.0, rel=1e-3)
