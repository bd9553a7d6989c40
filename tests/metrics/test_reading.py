"""Every kind of metric file gives the same samples; what says nothing is a gap."""

import io
import json
from pathlib import Path

import pytest

from gpuaudit.collect.metrics.exposition import BLOCK_BYTES, MAX_LINE_BYTES
from gpuaudit.collect.metrics.store import SampleStore
from gpuaudit.errors import UserError
from tests.metrics.history import (
    SM,
    START,
    UTIL,
    dump_lines,
    gpu_hours,
    labels,
    lines,
    matrix,
    openmetrics,
    part,
    read,
    steady,
)

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
POD = labels(pod="web-0")
OWNER = "c/Pod/team-a/web-0"


@pytest.mark.parametrize("write", [lines, dump_lines, openmetrics])
def test_text_of_any_kind_is_the_same_history(write) -> None:
    made = part(read(write(SM, POD, steady(0.25, hours=6))))
    assert gpu_hours(made) == pytest.approx({("GPU-node-1-0", OWNER): 6.0})
    assert made.usage.hourly["util_mean"].tolist() == pytest.approx([0.25] * 7)  # the last sample opens an hour
    assert made.usage.devices["interval_seconds"].tolist() == [30.0]


def test_a_matrix_is_the_same_history() -> None:
    store = SampleStore()
    store.add_answer(matrix([({"__name__": SM, **POD}, steady(0.25, hours=6))]), source="range.json")
    assert gpu_hours(part(store)) == pytest.approx({("GPU-node-1-0", OWNER): 6.0})


def test_a_nameless_matrix_takes_the_name_it_is_given() -> None:
    store = SampleStore()
    text = matrix([(POD, steady(0.25, hours=6))])
    with pytest.raises(UserError, match="no metric name") as caught:
        store.add_answer(text, source="range.json")
    assert "METRIC=FILE" in caught.value.hint
    store.add_answer(text, source="range.json", metric=SM)
    assert gpu_hours(part(store)) == pytest.approx({("GPU-node-1-0", OWNER): 6.0})


def test_a_vector_is_a_point_in_time() -> None:
    result = [{"metric": {"__name__": SM, **POD}, "value": [START.timestamp() + 3600, "0.5"]}]
    store = SampleStore()
    store.add_answer(json.dumps({"status": "success", "data": {"result": result}}).encode(), source="q.json")
    made = part(store)
    assert not made.history
    assert made.usage.devices["interval_seconds"].isna().all()
    assert made.usage.hourly["util_mean"].tolist() == [0.5]


def test_the_bare_result_of_promtool_is_read() -> None:
    store = SampleStore()
    store.add_answer(json.dumps([{"metric": {"__name__": SM, **POD}, "value": [1.7e9, "0.5"]}]).encode(), source="q")
    assert sum(one.count for one in store) == 1


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[1]",
        b'{"status":"error","error":"too many samples"}',
        b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}',
        b'{"kind":"List"}',
        b"[" * 100_000,
    ],
)
def test_another_answer_is_refused_with_a_hint(text: bytes) -> None:
    with pytest.raises(UserError):
        SampleStore().add_answer(text, source="bad.json")


@pytest.mark.parametrize(
    "value", ["ERROR - FAILED TO CONVERT TO STRING", "NaN", "+Inf", "-Inf", "", "-1", "1.5", "2147483632", "1e400"]
)
def test_what_is_no_value_is_a_gap(value: str) -> None:
    points = [(t, value if i % 3 == 0 else 0.5) for i, (t, _) in enumerate(steady(0, hours=3))]
    for store in (read(lines(SM, POD, points)), SampleStore()):
        if not list(store):
            store.add_answer(matrix([({"__name__": SM, **POD}, points)]), source="range.json")
        made = part(store)
        assert gpu_hours(made) == pytest.approx({("GPU-node-1-0", OWNER): 2.0})
        assert made.usage.hourly["util_mean"].tolist() == pytest.approx([0.5] * len(made.usage.hourly))


def test_a_percentage_above_a_hundred_is_a_gap() -> None:
    points = [(t, 250 if i % 2 else 80) for i, (t, _) in enumerate(steady(0, hours=2))]
    made = part(read(lines(UTIL, POD, points)))
    assert made.usage.devices["samples"].tolist() == [120.0]
    assert made.usage.devices["util_max"].tolist() == pytest.approx([0.8])


def test_broken_lines_are_counted_and_the_others_read() -> None:
    good = lines(SM, POD, steady(0.5, hours=1))
    bad = [f'{SM}{{gpu="0"', f'{SM}{{gpu="0",gpu="1"}} 1 1', "garbage", "}", f"{SM}{{}}", "\x00\xff", f"{SM}{{a=b}} 1"]
    store = SampleStore()
    text = "\n".join([*good[:60], *bad, *good[60:]])
    tally = store.add_text(io.BytesIO(text.encode("utf-8", "surrogateescape")), source="f")
    assert tally.samples == 120
    assert tally.lines == 120 + len(bad)
    assert gpu_hours(part(store)) == pytest.approx({("GPU-node-1-0", OWNER): 1.0})


def test_an_endless_line_takes_no_memory_and_hides_nothing_else() -> None:
    good = ("\n".join(lines(SM, POD, steady(0.5, hours=1))) + "\n").encode()
    endless = SM.encode() + b'{a="' + b"x" * (3 * BLOCK_BYTES) + b'"} 1 1\n'
    store = SampleStore()
    tally = store.add_text(io.BytesIO(good[: len(good) // 2] + b"\n" + endless + good), source="f")
    assert tally.refused >= 1
    assert all(len(value) < MAX_LINE_BYTES for one in store for value in one.labels.values())
    assert gpu_hours(part(store)) == pytest.approx({("GPU-node-1-0", OWNER): 1.0})


def test_exemplars_spaces_and_label_order_do_not_matter() -> None:
    texts = [
        f'{SM}{{UUID="GPU-a", Hostname="h",}} 0.5 1700000000000',
        f'{SM}{{Hostname="h",UUID="GPU-a"}}\t0.5\t1700000030000',
        f'{SM} {{ Hostname="h" , UUID="GPU-a" }} 0.5 1700000060 # {{trace_id="x}}"}} 0.5 1.7e9',
    ]
    store = read(texts)
    assert [one.count for one in store] == [3]


def test_lines_of_no_use_cost_no_series() -> None:
    store = read([f'go_goroutines{{pod="p-{i}"}} {i} 1700000000000' for i in range(1000)])
    assert list(store) == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings are not beside this checkout")
def test_recordings_are_a_point_in_time() -> None:
    store = SampleStore()
    files = sorted((SHARED / "recordings" / "split").glob("*.prom"))
    for file in files:
        with file.open("rb") as stream:
            tally = store.add_text(stream, source=file.name)
        assert (tally.refused, tally.blank) == (0, 0)
    made = part(store)
    rows = made.usage.devices.set_index("node")
    assert store.extent() is None
    assert not made.history
    assert not made.attributed
    assert rows["owner"].unique().tolist() == ["?"]
    assert rows.loc["cp-bm14r7", "util_max"] == pytest.approx(0.156205)
    assert rows.loc["cp-bm14r7", "memory_max_mib"] == 5120
    assert {card.model for cards in made.cards.values() for card in cards} == {"t4", "l40s"}
