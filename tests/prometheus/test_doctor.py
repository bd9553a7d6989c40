"""`doctor` looks at a Prometheus: who answers, since when, what an audit would ask of it, and what is missing."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gpuaudit.cluster.nodes import Span
from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.collect.prometheus.asking import Asker
from gpuaudit.collect.prometheus.examining import ExaminedServer, examine_server
from gpuaudit.collect.prometheus.transport import direct
from gpuaudit.knowledge import queries
from tests.kubernetes.reading import run
from tests.kubernetes.replay import Fault, Replay, plain, replay_server
from tests.metrics.history import POWER, SM, START, labels, openmetrics
from tests.prometheus.faults import front
from tests.prometheus.reading import reading
from tests.prometheus.server import blocks, serving
from tests.prometheus.test_live import PROXY, forwarded
from tests.prometheus.test_real_server import points

HOURS = 30
GPUS = 4


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    history = []
    for gpu in range(GPUS):
        history += openmetrics(SM, labels(gpu=gpu, exported_pod=f"p{gpu}"), points(lambda t: 0.3, hours=HOURS))
        history += openmetrics(POWER, labels(gpu=gpu, exported_pod=f"p{gpu}"), points(lambda t: 300, hours=HOURS))
    with serving(blocks(history, tmp_path_factory.mktemp("doctor"))) as url:
        yield url


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Replay]:
    with replay_server(tmp_path) as server:
        yield server


def examined(url: str, *, hours: int = HOURS, before: int = 0) -> ExaminedServer:
    window = Span(start=START - timedelta(hours=before), end=START + timedelta(hours=hours))
    return examine_server(Asker(direct(url), Deadline(60)), window=window)


def test_what_a_server_has_is_told(url: str) -> None:
    found = examined(url)
    assert (found.status, found.detail) == ("ok", "")
    assert found.name.startswith("Prometheus 2")
    assert dict(found.devices) == {SM: GPUS, POWER: GPUS}
    assert found.interval_seconds == pytest.approx(30, rel=0.02)
    assert found.whole
    assert found.facts == {"sm_active", "power", "utilization", "pod_attribution", "history"}


def test_every_template_is_in_the_plan_with_what_it_costs(url: str) -> None:
    plan = {row.name: row for row in examined(url).plan}
    assert plan.keys() == {query.name for query in queries.templates()}
    assert len(plan) <= 60
    samples = GPUS * HOURS * 120
    assert plan["sm-active-mean"].samples == pytest.approx(samples, rel=0.02)
    assert plan["sm-active-p95"].samples == pytest.approx(samples, rel=0.02)
    assert plan["dram-mean"].samples == 0  # it has no such metric
    assert "quantile_over_time(0.95, DCGM_FI_PROF_SM_ACTIVE[30h])" in plan["sm-active-p95"].query


def test_no_more_is_asked_than_the_plan_says(url: str) -> None:
    planned = examined(url).plan
    with front(url, lambda asked: None) as watched:
        reading(watched.url, hours=HOURS)
    asked = [one.form["query"] for one in watched.asked if "/api/v1/query" in one.path]
    assert len(asked) <= sum(row.requests for row in planned) + 4  # raw samples, to see the interval
    texts = {row.query for row in planned}
    assert {text for text in asked if "quantile_over_time" in text} <= texts


@pytest.mark.parametrize("before", [10, 100])
def test_history_that_begins_within_the_window_is_dated(url: str, before: int) -> None:
    found = examined(url, before=before)
    assert not found.whole
    assert found.since is not None
    assert abs(found.since - START) <= timedelta(hours=2)
    read = next(row.samples for row in found.plan if row.name == "sm-active-mean")
    assert read == pytest.approx(GPUS * HOURS * 120, rel=0.1)  # not of the hours before


def test_a_day_of_history_is_wanted(url: str) -> None:
    assert "history" not in examined(url, hours=20).facts


def test_looking_is_cheap(url: str) -> None:
    with front(url, lambda asked: None) as watched:
        examined(watched.url, before=1000)
    assert len(watched.asked) <= 16


def test_what_cannot_be_reached_is_said() -> None:
    found = examined("http://127.0.0.1:9")
    assert found.status == "failed"
    assert "no connection" in found.detail
    assert not found.facts


def test_the_command_finds_it_behind_the_proxy(api: Replay, url: str) -> None:
    api.faults.append(Fault(PROXY, act=forwarded(url, PROXY)))
    arguments = ("doctor", "--now", "2026-11-10T06:00:00Z", "--window", f"{HOURS}h")
    config = str(api.kubeconfig("auditor"))
    told = json.loads(run(*arguments, "-o", "json", KUBECONFIG=config).stdout)
    (server,) = told["prometheus"]
    assert (server["server"], server["status"], server["cluster"]) == ("monitoring/prometheus-k8s:web", "ok", "lab")
    assert server["whole_window"]
    silent = {rule["name"]: rule["missing"] for rule in told["rules"]}
    assert silent["idle-gpu"] == []
    text = run(*arguments, KUBECONFIG=config).stdout
    assert "PROMETHEUS  Prometheus 2" in text
    assert "history over the whole window" in text
    assert "sm-active-p95" in text


def test_exporters_alone_confirm_nothing(api: Replay) -> None:
    done = run("doctor", KUBECONFIG=str(api.kubeconfig("auditor")))
    assert done.returncode == 0
    assert "PROMETHEUS  dcgm-exporter" in done.stdout
    assert "confirms nothing about the window" in done.stdout


def test_none_at_all_is_said(api: Replay) -> None:
    api.faults += [
        Fault("/api/v1/pods?labelSelector", answer=plain(403, "no")),
        Fault("/api/v1/services", answer=plain(403, "no")),
    ]
    done = run("doctor", KUBECONFIG=str(api.kubeconfig("auditor")))
    assert "PROMETHEUS  none" in done.stdout
