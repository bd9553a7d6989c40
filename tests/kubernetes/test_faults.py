"""Every fault that a real API server and the way to it can have, through real sockets."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest

from gpuaudit.audit import audit
from gpuaudit.collect.kubernetes.connection import connections
from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.collect.kubernetes.fetch import Fetcher
from gpuaudit.collect.kubernetes.reading import read_cluster
from gpuaudit.config import Config
from gpuaudit.errors import UserError
from gpuaudit.gate import judge, parse_gates
from gpuaudit.loader import load_rules
from gpuaudit.plan.pricebook import PriceBook
from gpuaudit.report.terminal import Screen, render_screen
from tests.kubernetes.broken_answers import cut, dribble, drop, garble, slow, trickle
from tests.kubernetes.reading import PODS, live, the_source
from tests.kubernetes.replay import Fault, Handler, Replay, plain, status
from tests.kubernetes.test_lab import check_nodes

pytestmark = pytest.mark.usefixtures("impatient")


def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuaudit.collect.kubernetes.listing.PAGE", 25)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(PODS, answer=plain(429, "slow down", **{"Retry-After": "1"}), times=2),
        Fault(PODS, answer=plain(429, "slow down", **{"Retry-After": "999999"}), times=1),
        Fault(PODS, answer=status(500, "etcd leader changed"), times=3),
        Fault(PODS, answer=status(503), times=1),
        Fault(PODS, answer=status(504), times=1),
        Fault(PODS, act=drop, times=2),
        Fault(PODS, act=cut, times=2),
        Fault(PODS, act=garble, times=1),
        Fault("/api/v1/", act=drop, times=3),
        Fault("/apis", act=drop, times=1),
        Fault("/version", answer=status(500)),
    ],
    ids=lambda fault: f"{fault.path}-{getattr(fault.act, '__name__', fault.answer and fault.answer[0])}-{fault.times}",
)
def test_what_passes_leaves_no_trace(api: Replay, fault: Fault) -> None:
    api.faults.append(Fault(fault.path, fault.act, fault.answer, fault.times))
    found = live(api)
    check_nodes(found)
    assert the_source(found).status == "ok", the_source(found).detail


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(PODS, answer=plain(429, "Too many requests")), "failed: pods (429 Too many requests)"),
        (Fault(PODS, answer=status(500, "boom")), "failed: pods (500 boom)"),
        (Fault(PODS, act=drop), "failed: pods (the connection broke"),
        (Fault(PODS, act=cut), "failed: pods (the connection broke"),
        (Fault(PODS, act=garble), "failed: pods (the answer is malformed"),
        (Fault(PODS, answer=(302, {"Location": "http://127.0.0.1:1/login"}, b"")), "failed: pods (302"),
        (
            Fault(PODS, answer=(200, {}, b'{"kind":"PodList","items":[{"metadata":7}')),
            "failed: pods (the answer is malformed",
        ),
        (Fault(PODS, answer=(200, {"Content-Encoding": "gzip"}, b"no gzip")), "failed: pods (the connection broke"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_stays_is_said_and_nothing_is_concluded_from_missing_pods(api: Replay, fault: Fault, words: str) -> None:
    """Without all pods every node looks empty: the fact is missing, so no rule may say so."""
    api.faults.append(Fault(fault.path, fault.act, fault.answer))
    found = live(api)
    source = the_source(found)
    assert source.status == "partial"
    assert words in source.detail
    assert "pods" not in source.provides
    assert "nodes" in source.provides
    assert all(node.pods_bound is None for node in found.nodes)
    assert sum("/api/v1/pods?limit=" in target for _, _, target in api.asked) <= 8  # tries are bounded


@pytest.mark.parametrize(
    ("path", "missing"),
    [("/api/v1/nodes", "nodes"), ("/api/v1/events", "events"), ("/apis/apps/v1/deployments", "workloads")],
)
def test_each_kind_may_be_forbidden_on_its_own(api: Replay, path: str, missing: str) -> None:
    root, _, plural = path.rpartition("/")
    api.faults += [Fault(f"{root}/namespaces/", answer=status(403)), Fault(path, answer=status(403, "forbidden"))]
    found = live(api)
    assert missing not in the_source(found).provides
    assert f"not allowed: {plural}" in the_source(found).detail
    assert found.pods
    assert found.clusters[0].listed == (missing != "nodes")


def test_a_broken_page_in_the_middle_makes_the_kind_incomplete(api: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pages(monkeypatch)
    api.faults.append(Fault(PODS, answer=status(500, "boom"), after=2))
    found = live(api)
    assert "partly read: pods (500 boom)" in the_source(found).detail
    assert "pods" not in the_source(found).provides


def test_broken_objects_are_named_and_the_rest_is_used(api: Replay) -> None:
    def change(path: str, answer: Any) -> Any:
        if not path.startswith(PODS):
            return answer
        body = json.loads(answer[2])
        body["items"][5]["spec"] = "hostile"
        return answer[0], answer[1], json.dumps(body).encode()

    api.change = change
    found = live(api)
    assert "1 objects could not be read: Pod/" in the_source(found).detail
    assert the_source(found).status == "partial"
    assert len(found.nodes) == 35


@pytest.mark.parametrize(
    "act",
    [
        slow(30),
        trickle(30),
        dribble(b"X-Slow: ", 30),
        dribble(b"Transfer-Encoding: chunked\r\n\r\n1;x=", 30),
        dribble(b"Content-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\x03", 30),
    ],
    ids=["silent", "trickling", "in its head", "in a chunk's head", "in the name of a gzip"],
)
def test_time_that_is_over_gives_what_was_read(api: Replay, act: Any) -> None:
    api.faults.append(Fault(PODS, act=act))
    started = time.monotonic()
    found = live(api, max_time=timedelta(seconds=2))
    assert time.monotonic() - started < 10
    source = the_source(found)
    assert source.status == "partial"
    assert "the time was over (--max-time)" in source.detail
    assert "pods" not in source.provides
    assert len(found.nodes) == 35


@pytest.mark.parametrize("act", [slow(30), dribble(b"X-Slow: ", 30)], ids=["silent", "trickling"])
def test_no_time_at_all(api: Replay, act: Any) -> None:
    api.faults.append(Fault("/api", act=act))
    started = time.monotonic()
    with pytest.raises(UserError) as caught:
        live(api, max_time=timedelta(seconds=1))
    assert "time" in caught.value.message
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("path", ["/api", "/apis"])
@pytest.mark.parametrize("act", [cut, garble], ids=["cut", "garbled"])
def test_what_a_server_has_is_asked_for_again(api: Replay, path: str, act: Any) -> None:
    api.faults.append(Fault(path, act=act, times=1))
    found = live(api)
    check_nodes(found)
    assert the_source(found).status == "ok"


def test_one_group_of_an_old_server_that_fails_loses_no_other(api: Replay) -> None:
    api.aggregated = False
    api.faults.append(Fault("/apis/batch/v1", answer=status(503, "unavailable")))
    found = live(api)
    check_nodes(found)
    assert the_source(found).status == "partial"
    assert "batch/v1" in the_source(found).detail


def test_a_slow_server_is_waited_for(api: Replay) -> None:
    api.faults.append(Fault(PODS, act=slow(1.0)))
    check_nodes(live(api))


def test_a_silent_server_is_not_waited_for_longer_than_a_read_may_take(api: Replay) -> None:
    api.faults.append(Fault("/version", act=slow(30)))
    (connection,) = connections((), api.kubeconfig("auditor"))
    fetcher = Fetcher(connection, Deadline(60), read_seconds=0.2)
    started = time.monotonic()
    with pytest.raises(Exception, match="too slow"):
        fetcher.get("/version")
    assert time.monotonic() - started < 5


def test_answers_without_end_are_cut_off(api: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuaudit.collect.kubernetes.fetch.MAX_BODY_BYTES", 300_000)
    found = live(api)  # all pods on one page are 900 kB: they are asked for in smaller pages
    check_nodes(found)
    assert any("limit=20" in target for _, _, target in api.asked)

    def flood(handler: Handler) -> None:
        handler.reply((200, {}, b'{"items":[' + b" " * 400_000))

    api.faults.append(Fault(PODS, act=flood))
    assert "larger than" in the_source(live(api)).detail


def test_the_servers_wish_to_wait_is_bounded(api: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own retries would sleep as long as a server says, silently."""
    monkeypatch.setattr("gpuaudit.collect.kubernetes.fetch.MAX_WAIT_SECONDS", 20.0)
    (connection,) = connections((), api.kubeconfig("auditor"))
    api.faults.append(Fault("/version", answer=plain(429, "later", **{"Retry-After": "3600"})))
    started = time.monotonic()
    with pytest.raises(Exception, match=r"time|429"):
        Fetcher(connection, Deadline(1.0)).get("/version")
    assert time.monotonic() - started < 3


def test_pages_wait_in_bounded_number(api: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetching runs ahead of decoding by a few pages, not by the whole cluster."""
    monkeypatch.setattr("gpuaudit.collect.kubernetes.listing.PAGE", 5)
    (connection,) = connections((), api.kubeconfig("auditor"))
    ahead: list[int] = []

    def progress(_: str) -> None:
        """Decode slowly: the fetchers have all the time to run ahead."""
        time.sleep(0.01)
        ahead.append(len(api.asked) - len(ahead) - 1)

    read_cluster(connection, Deadline(60), progress=progress)
    assert len(ahead) > 100
    assert max(ahead) <= 15  # discovery, workers, pages that wait


def test_a_screen_of_a_cluster_whose_pods_broke_off_calls_nothing_free(
    api: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pages(monkeypatch)
    api.faults.append(Fault(PODS, answer=status(500, "boom"), after=3))
    report = audit(live(api), load_rules(), Config(), PriceBook(None))
    verdict = judge(report, parse_gates(("high",)), min_coverage=0.0, strict=False)
    assert "not all pods were read" in verdict.blind
    for width in (80, 120):
        screen = " ".join(render_screen(report, Screen(width=width)).split())
        assert "pods read in part: what looks free may be held" in screen
        assert "CAPACITY unknown" in screen
        assert "no node was found that can go" not in screen
