"""A live audit measured by a Prometheus: named, found behind the API server's proxy, or the exporters alone."""

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gpuaudit.audit import audit
from gpuaudit.cluster.platform import Source
from gpuaudit.collect.live import collect_live
from gpuaudit.config import Config
from gpuaudit.errors import UserError
from gpuaudit.loader import load_rules
from gpuaudit.plan.pricebook import PriceBook
from tests import engine_story
from tests.kubernetes.replay import Fault, Handler, Replay, plain, replay_server
from tests.metrics.history import POWER, SM, START, USED, labels, lines, openmetrics
from tests.prometheus.faults import front
from tests.prometheus.server import blocks, serving
from tests.prometheus.test_real_server import points

NOW = START + timedelta(hours=30)
HELD = {  # of the recorded cluster: pod, namespace, node
    "vllm-llama-8b-jnfbksllcm-btsph": ("nlp-prod", "ip-10-0-54-109.ec2.internal"),
    "jupyter-alice-0": ("notebooks", "ip-10-0-45-46.ec2.internal"),
}
PROXY = "/api/v1/namespaces/monitoring/services/prometheus-k8s:web/proxy"
EXPORTER = "/api/v1/namespaces/gpu-operator/pods/nvidia-dcgm-exporter-"


def device(gpu: int, pod: str) -> dict[str, str]:
    namespace, node = HELD[pod]
    return labels(gpu=gpu, host=node, exported_pod=pod, exported_namespace=namespace, instance="10.0.0.9:9400")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Replay]:
    with replay_server(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    history = []
    for gpu, pod in enumerate(HELD):
        history += openmetrics(SM, device(gpu, pod), points(lambda t: 0.3, hours=30))
        history += openmetrics(POWER, device(gpu, pod), points(lambda t: 300, hours=30))
        history += openmetrics(USED, device(gpu, pod), points(lambda t: 70000, hours=30))
    with serving(blocks(history, tmp_path_factory.mktemp("live"))) as url:
        yield url


def forwarded(behind: str, prefix: str) -> Callable[[Handler], None]:
    """Answer requests below a proxy's path as the server behind does."""

    def act(handler: Handler) -> None:
        try:
            with urllib.request.urlopen(behind + handler.path.removeprefix(prefix), timeout=30) as answer:
                handler.reply((answer.status, {"Content-Type": "application/json"}, answer.read()))
        except urllib.error.HTTPError as error:
            handler.reply((error.code, {"Content-Type": "application/json"}, error.read()))

    return act


def live(api: Replay, **settings):
    settings = {"now": NOW, "window": timedelta(hours=30)} | settings
    return collect_live(Config(kubeconfig=api.kubeconfig("auditor"), **settings)).snapshot


def source(snapshot, name: str = "prometheus") -> Source:
    return next(one for one in snapshot.sources if one.name == name)


def check(snapshot) -> None:
    told = source(snapshot)
    assert told.status == "ok", told.detail
    assert {"utilization", "sm_active", "history", "pod_attribution", "power", "memory_used"} <= set(told.provides)
    rows = snapshot.usage.devices
    assert sorted(rows["owner"]) == ["lab/Deployment/nlp-prod/vllm-llama-8b", "lab/StatefulSet/notebooks/jupyter-alice"]
    assert rows["samples"].tolist() == [3600.0, 3600.0]
    assert snapshot.join_ratio == 1.0
    assert (snapshot.window.start, snapshot.window.end) == (START, NOW)
    assert "history since 09 Nov 2026" in told.detail


def test_a_prometheus_found_in_the_cluster_is_read_through_the_proxy(api: Replay, url: str) -> None:
    api.faults.append(Fault(PROXY, act=forwarded(url, PROXY)))
    found = live(api)
    check(found)
    assert "monitoring/prometheus-k8s:web" in source(found).detail
    asked = [target for _, method, target in api.asked if target.startswith(PROXY)]
    assert max(len(target) for target in asked) < 4096
    assert {method for _, method, _ in api.asked} == {"GET"}
    report = audit(found, load_rules(), Config(), PriceBook(None))
    assert report.utilization.metric == "sm_active"
    assert report.utilization.mean == pytest.approx(0.3)
    assert report.coverage.join_ratio == 1.0


def test_a_named_prometheus_is_read_at_its_url(api: Replay, url: str) -> None:
    found = live(api, prometheus_url=url)
    check(found)
    assert not any("/proxy/" in target for _, _, target in api.asked)


def test_only_what_matches_is_read(api: Replay, url: str) -> None:
    found = live(api, prometheus_url=url, prometheus_match=('gpu="1"',))
    assert found.usage.devices["owner"].tolist() == ["lab/StatefulSet/notebooks/jupyter-alice"]
    with pytest.raises(UserError, match="no label matcher"):
        live(api, prometheus_url=url, prometheus_match=('gpu="1"} or up{',))


def test_the_prometheus_of_another_cluster_is_refused(api: Replay, tmp_path: Path) -> None:
    other = openmetrics(SM, labels(host="elsewhere", pod="x", cluster="other"), points(lambda t: 0.3, hours=30))
    other += openmetrics(SM, labels(host="nowhere", pod="y", cluster="third"), points(lambda t: 0.3, hours=30))
    with serving(blocks(other, tmp_path)) as wrong:
        found = live(api, prometheus_url=wrong)
    told = source(found)
    assert (told.status, told.provides) == ("failed", ())
    assert "another cluster" in told.detail
    assert not len(found.usage.devices)
    assert found.join_ratio == 0.0
    assert {node.cluster for node in found.nodes} == {"lab"}
    report = audit(found, load_rules(), Config(), PriceBook(None))
    assert {"idle-gpu", "underused-gpu"} <= {row.rule for row in report.coverage.not_evaluated}


def test_of_a_shared_store_only_this_cluster_is_taken(api: Replay, tmp_path: Path) -> None:
    mixed = []
    for gpu, pod in enumerate(HELD):
        mixed += openmetrics(SM, device(gpu, pod) | {"cluster": "a"}, points(lambda t: 0.3, hours=30))
    mixed += openmetrics(SM, labels(host="elsewhere", pod="x", cluster="b"), points(lambda t: 0.3, hours=30))
    with serving(blocks(mixed, tmp_path)) as shared:
        found = live(api, prometheus_url=shared)
    assert set(found.usage.devices["cluster"]) == {"lab"}
    assert len(found.usage.devices) == 2
    assert found.join_ratio == 1.0


def test_engines_without_a_gpu_metric_show_their_users_and_no_use_of_gpus(api: Replay, tmp_path: Path) -> None:
    """A Prometheus that scrapes vLLM and no dcgm-exporter: who is served is known, what the GPUs did is not."""
    name, (namespace, _) = "vllm-llama-8b-jnfbksllcm-btsph", HELD["vllm-llama-8b-jnfbksllcm-btsph"]
    told = engine_story.vllm(engine_story.pod(name, namespace), hours=30)
    with serving(blocks(told, tmp_path)) as engines:
        found = live(api, prometheus_url=engines)
    report = audit(found, load_rules(), Config(), PriceBook(None))
    served = {row.workload: row for row in report.serving}
    row = served.pop("lab/Deployment/nlp-prod/vllm-llama-8b")
    assert {one.requests for one in served.values()} <= {None}
    assert row.requests == pytest.approx(100 * 30, rel=5e-3)
    assert row.ttft_p95_seconds is not None
    assert report.utilization.mean is None
    assert report.utilization.metric is None
    assert "utilization" not in source(found).provides
    assert not any(finding.rule == "idle-gpu" for finding in report.findings)
    assert report.plan.savings_monthly.booked == pytest.approx(
        audit(live(api), load_rules(), Config(), PriceBook(None)).plan.savings_monthly.booked
    )


def test_a_server_that_nobody_can_reach_leaves_the_inventory(api: Replay) -> None:
    found = live(api, prometheus_url="http://127.0.0.1:9")
    assert source(found).status == "failed"
    assert "no connection" in source(found).detail
    assert len(found.nodes) == 35


def test_exporters_are_a_point_in_time_when_there_is_no_prometheus(api: Replay) -> None:
    pages = {
        "cgrqf": [line.rpartition(" ")[0] for line in lines(SM, device(0, "jupyter-alice-0"), [(0, 0.25)])],
        "cpjfg": None,
    }

    def act(handler: Handler) -> None:
        page = next((page for name, page in pages.items() if name in handler.path), None)
        body = ("\n".join(page) + "\n").encode() if page else None
        handler.reply((200, {"Content-Type": "text/plain"}, body) if body else plain(500, "exporter is ill"))

    api.faults.append(Fault(EXPORTER, act=act))
    found = live(api)
    told = source(found, "dcgm-exporter")
    assert told.status == "partial"
    assert "point in time" in told.detail
    assert "history" not in told.provides
    assert "utilization" in told.provides
    assert found.usage.hourly["util_mean"].tolist() == [0.25]
    assert found.usage.devices["interval_seconds"].isna().all()
    assert found.usage.devices["owner"].tolist() == ["lab/StatefulSet/notebooks/jupyter-alice"]


def test_without_either_the_source_is_absent(api: Replay) -> None:
    api.faults.append(Fault("/api/v1/pods?labelSelector", answer=plain(403, "no")))
    found = live(api)
    assert source(found).status in ("absent", "failed")
    assert not len(found.usage.devices)


def test_a_slow_server_costs_no_more_than_the_time_there_is(api: Replay, url: str) -> None:
    import time

    with front(url, lambda asked: time.sleep(0.5)) as slow:
        started = time.monotonic()
        found = live(api, prometheus_url=slow.url, max_time=timedelta(seconds=8))
    assert time.monotonic() - started < 20
    assert source(found).status in ("partial", "failed")
    assert "time for collecting" in source(found).detail


def test_now_is_the_end_of_the_window(api: Replay, url: str) -> None:
    found = live(api, prometheus_url=url, now=datetime(2026, 11, 9, 6, tzinfo=UTC), window=timedelta(hours=6))
    assert found.usage.devices["samples"].tolist() == [720.0, 720.0]
