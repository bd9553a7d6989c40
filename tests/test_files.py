import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit import store
from gpuaudit.errors import UserError
from tests.captures import NOW, UTIL, WINDOW, collect, hours, listed, node, pod, series, source, write

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
needs_lab = pytest.mark.skipif(not (SHARED / "lab").is_dir(), reason="the recorded cluster is not here")


@needs_lab
def test_the_recorded_cluster():
    truth = json.loads((SHARED / "lab/inventory.json").read_text())
    taken = collect(SHARED / "lab/dump")
    totals = truth["totals"]
    assert (len(taken.nodes), len(taken.gpu_nodes)) == (totals["nodes"], totals["gpu_nodes"])
    assert sum(one.gpus for one in taken.nodes) == totals["physical_gpus"]
    by_name = {one.name: one for one in taken.nodes}
    for row in truth["nodes"]:
        known = by_name[row["node"]]
        assert known.gpus == row["physical_gpus"], row["node"]
        assert (known.pool or "") == row["pool"], row["node"]
        for name, amounts in row["resources"].items():
            held = sum(
                holding.count for one in taken.holders(known) for holding in one.holdings if holding.resource == name
            )
            assert held == amounts["requested"], (row["node"], name)
    end = datetime.fromisoformat(truth["taken_at"])
    assert end - timedelta(minutes=5) <= taken.taken_at <= end + timedelta(minutes=1)
    assert taken.window.end - taken.window.start == WINDOW
    assert source(taken, "kubernetes").status == "ok"
    assert "216 objects stand in more than one input" in source(taken, "kubernetes").detail
    assert source(taken, "metrics").status == "absent"
    assert {"nodes", "pods", "workloads"} <= taken.facts
    assert "utilization" not in taken.facts


@needs_lab
def test_order_and_packing_do_not_matter(tmp_path):
    files = sorted((SHARED / "lab/dump").iterdir())
    first = store.dumps(collect(*files))
    assert store.dumps(collect(*files[::-1])) == first
    assert store.dumps(collect(SHARED / "lab/dump")) == first
    for file in files:
        content = file.read_bytes()
        plain = gzip.decompress(content) if file.name.endswith(".gz") else content
        (tmp_path / f"{len(plain)}.bin").write_bytes(gzip.compress(plain))
    packed = collect(tmp_path)
    assert packed.nodes == collect(SHARED / "lab/dump").nodes


def test_a_stored_snapshot_is_the_snapshot(tmp_path):
    write(tmp_path / "in", nodes=listed(node("a"), node("b")), metrics=series(UTIL, "a", 0, hours(48, 50)))
    taken = collect(tmp_path / "in")
    store.save(taken, tmp_path / "one")
    assert store.dumps(collect(tmp_path / "one")) == store.dumps(taken)
    (tmp_path / "two").write_bytes(gzip.compress((tmp_path / "one").read_bytes()))
    assert store.dumps(collect(tmp_path / "two")) == store.dumps(taken)
    later = collect(tmp_path / "one", now=NOW + timedelta(days=3))
    assert later.taken_at == NOW + timedelta(days=3)
    assert later.window == taken.window


def test_the_clock_is_the_newest_time_inside(tmp_path):
    write(tmp_path, nodes=listed(node("a", beat=NOW - timedelta(hours=2))))
    taken = collect(tmp_path)
    assert taken.taken_at == NOW - timedelta(hours=2)
    write(tmp_path, metrics=series(UTIL, "a", 0, hours(5, 1)))
    assert collect(tmp_path).taken_at == NOW
    assert collect(tmp_path, now=NOW - timedelta(hours=1)).taken_at == NOW - timedelta(hours=1)
    assert not [one for one in collect(tmp_path).sources if one.name == "clock"]


def test_without_a_time_inside_it_is_the_time_of_reading(tmp_path):
    write(tmp_path, scrape=series(UTIL, "a", 0, [(None, 5)]))
    before = datetime.now(UTC) - timedelta(seconds=1)
    taken = collect(tmp_path)
    assert before <= taken.taken_at <= datetime.now(UTC)
    assert "taken when it was read" in source(taken, "clock").detail
    assert not [one for one in collect(tmp_path, now=NOW).sources if one.name == "clock"]


def test_the_window_is_as_long_as_the_history(tmp_path):
    write(tmp_path, metrics=series(UTIL, "a", 0, hours(48, 50)))
    taken = collect(tmp_path)
    assert taken.window.end == NOW
    assert taken.window.start == NOW - timedelta(hours=48)
    assert collect(tmp_path, window=timedelta(hours=12)).window.start == NOW - timedelta(hours=12)
    assert "history" in taken.facts


@pytest.mark.parametrize("content", ["", " \n", '{"apiVersion":"v1","kind":"List","items":[]}', "# EOF\n"])
def test_empty_input(tmp_path, content):
    taken = collect(write(tmp_path, empty=content) / "empty")
    assert taken.nodes == ()
    assert len(taken.clusters) == 1
    assert not taken.usage


def test_a_metric_without_a_name_is_named(tmp_path):
    labels = {"Hostname": "a", "gpu": "0", "UUID": "GPU-1"}
    points = [[NOW.timestamp() - 60 * n, "40"] for n in range(60)][::-1]
    answer = {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": labels, "values": points}]}}
    file = tmp_path / "answer"
    file.write_text(json.dumps(answer))
    taken = collect(f"{UTIL}={file}")
    assert taken.usage.hourly["util_mean"].tolist() == pytest.approx([0.4, 0.4])
    with pytest.raises(UserError, match="METRIC=FILE"):
        collect(file)


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path):
    good = write(tmp_path / "good", nodes=listed(node("a")))
    (tmp_path / "broken.json").write_text('{"apiVersion": "v1", "kind": "List", "items": [')
    (tmp_path / "broken.yaml").write_text("apiVersion: v1\nkind: [unclosed\n")
    (tmp_path / "junk").write_bytes(os.urandom(5000))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(listed(node("b")).encode())[:-20])
    (tmp_path / "nccl.log").write_text("NCCL version 2.26.2+cuda12.2\n")
    (tmp_path / "error.json").write_text('{"status":"error","errorType":"bad_data","error":"parse error"}')
    names = ["broken.json", "broken.yaml", "junk", "cut.gz", "nccl.log", "error.json"]
    taken = collect(good, *(tmp_path / name for name in names), tmp_path / "missing")
    assert [one.name for one in taken.nodes] == ["a"]
    failed = {one.name: one.detail for one in taken.sources if one.status == "failed"}
    assert set(failed) == {*names, str(tmp_path / "missing")}
    assert "no whole line" in failed["nccl.log"]
    assert "parse error" in failed["error.json"]
    with pytest.raises(UserError, match="nothing could be read") as refused:
        collect(*(tmp_path / name for name in names))
    assert refused.value.code == 2
    assert "5 more" in refused.value.message


def test_hostile_text_goes_through_without_harm(tmp_path):
    evil = "\x1b]0;owned\x07<script>{{7*7}}"
    evil_node = node("a", gpus=1, team=evil)
    lines = series(UTIL, "a", 0, hours(2, 50), pod=evil.replace("\x1b", ""), namespace="x")
    taken = collect(write(tmp_path, nodes=listed(evil_node), metrics=lines))
    store.save(taken, tmp_path / "kept.gpuaudit")
    assert store.load(tmp_path / "kept.gpuaudit").nodes == taken.nodes


def test_names_that_no_terminal_shows(tmp_path):
    odd = tmp_path / os.fsdecode(b"a\xff\x1b[31m.json")
    odd.write_text("nothing of use")
    write(tmp_path / "good", nodes=listed(node("a")))
    taken = collect(odd, tmp_path / "good")
    (failed,) = [one for one in taken.sources if one.status == "failed"]
    assert failed.name == "a\\xff\\x1b[31m.json"
    store.dumps(taken)


def test_utf16_as_powershell_writes_it(tmp_path):
    (tmp_path / "nodes.json").write_bytes(listed(node("a")).encode("utf-16"))
    (tmp_path / "metrics.prom").write_bytes(series(UTIL, "a", 0, hours(2, 50)).encode("utf-16"))
    taken = collect(tmp_path)
    assert taken.join_ratio == 1
    assert taken.usage


PATCHES = [b"null", b'"', b"{", b"1e999", b"-1", b"\xff", b"\x00", b"\\ud800", b"\n", b""]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_damaged_input_is_read_or_refused(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    write(folder, nodes=listed(node("a", gpus=1)), pods=listed(pod("p", "a", gpus=1)))
    write(folder, metrics=series(UTIL, "a", 0, hours(1, 50)))
    for file in folder.iterdir():
        content = file.read_bytes()
        place = data.draw(st.integers(0, len(content)))
        patch = data.draw(
            st.sampled_from([b"null", b'"', b"{", b"1e999", b"-1", b"\xff", b"\x00", b"\\ud800", b"\n", b""])
        )
        cut = data.draw(st.integers(0, 40))
        file.write_bytes(content[:place] + patch + content[place + cut :])
    try:
        taken = collect(folder)
    except UserError as error:
        assert error.hint  # noqa: PT017
    else:
        store.save(taken, folder / "kept")
        assert store.dumps(store.load(folder / "kept")) == store.dumps(taken)
