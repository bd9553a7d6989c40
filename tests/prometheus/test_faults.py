"""A Prometheus that is limited, slow, busy, behind a login or dying: what was answered counts, the rest is said."""

import json
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gpuaudit.collect.prometheus.asking import HOUR_MS
from gpuaudit.collect.prometheus.engine_plan import EngineDialect, EnginePlan
from gpuaudit.collect.prometheus.plan import Dialect, Hours, Plan
from gpuaudit.errors import UserError
from gpuaudit.knowledge import engines, queries
from tests.metrics.history import SM, START, USED, gpu_hours, labels, openmetrics
from tests.prometheus.faults import Answer, Asked, DiedError, front
from tests.prometheus.reading import reading
from tests.prometheus.server import blocks, serving
from tests.prometheus.test_real_server import points

HOURS = 72
GPUS = 8
ALL = pytest.approx(HOURS * GPUS, rel=1e-3)


def history() -> list[str]:
    lines = []
    for gpu in range(GPUS):
        of = labels(gpu=gpu, pod="a", UUID=f"GPU-{gpu:x}0000000-aaaa")
        lines += openmetrics(SM, of, points(lambda t: 0.5, hours=HOURS, step=60))
        lines += openmetrics(USED, of, points(lambda t: 70000, hours=HOURS, step=60))
    return lines


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return blocks(history(), tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def url(data):
    with serving(data) as url:
        yield url


def error(status: int, text: str, *, kind: str = "execution", **headers: str) -> Answer:
    return status, headers, json.dumps({"status": "error", "errorType": kind, "error": text}).encode()


def total(found) -> float:
    return sum(gpu_hours(found.part).values())


def test_a_server_limited_to_few_samples_is_asked_in_pieces(data: Path, tmp_path: Path) -> None:
    with serving(data, "--query.max-samples=1000") as limited:
        found, asker = reading(limited, hours=HOURS)
    assert asker.halved > 0
    assert total(found) == ALL
    assert found.lost_hours == 0
    rows = found.part.usage.devices
    assert rows["util_p95"].tolist() == pytest.approx([0.5] * GPUS, rel=1e-3)
    assert rows["memory_p99_mib"].tolist() == [70000.0] * GPUS


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (422, "execution", "query timed out in expression evaluation"),
        (503, "timeout", "query timed out in expression evaluation"),
        (504, "", "upstream request timeout"),
        (400, "bad_data", "exceeded maximum resolution of 11,000 points per timeseries"),
        (422, "bad_data", "the total query time range exceeds the limit (err-mimir-max-total-query-length)"),
    ],
)
def test_long_ranges_that_are_refused_are_halved(url: str, status: int, kind: str, text: str) -> None:
    def trick(asked: Asked) -> Answer | None:
        span = float(asked.form.get("end", 0)) - float(asked.form.get("start", 0))
        long = asked.path.endswith("/query_range") and span > 10 * 3600
        return error(status, text, kind=kind) if long else None

    with front(url, trick) as server:
        found, asker = reading(server.url, hours=HOURS)
    assert asker.halved > 0
    assert total(found) == ALL


@pytest.mark.parametrize("labels", ['{"gpu": 1}', "[]", '"x"'])
def test_series_whose_labels_are_none_are_said_and_their_hours_unknown(url: str, labels: str) -> None:
    row = f'{{"metric": {labels}, "values": [[{START.timestamp() + 3600}, "0.5"]]}}'
    body = f'{{"status": "success", "data": {{"resultType": "matrix", "result": [{row}]}}}}'.encode()

    def trick(asked: Asked) -> Answer | None:
        hourly = asked.path.endswith("/query_range") and "count_over_time" in asked.form.get("query", "")
        return (200, {}, body) if hourly and SM in asked.form["query"] else None

    with front(url, trick) as server:
        found, _ = reading(server.url, hours=HOURS)
    assert (total(found), found.lost_hours) == (0, HOURS)
    assert any("not an answer of Prometheus" in text for text in found.troubles)


def test_a_device_whose_only_hours_were_lost_is_unknown_whatever_else_is_told_of_it(tmp_path: Path) -> None:
    """Its counts were refused; means and percentiles of the window still name it."""
    lines = history()
    early = labels(gpu=9, pod="b", UUID="GPU-90000000-bbbb")
    lines += openmetrics(SM, early, points(lambda t: 0.9, hours=10, step=60))

    def trick(asked: Asked) -> Answer | None:
        query, first = asked.form.get("query", ""), float(asked.form.get("start", 0))
        counts = asked.path.endswith("/query_range") and "count_over_time" in query
        return (
            error(400, "not these hours", kind="bad_data") if counts and first < START.timestamp() + 12 * 3600 else None
        )

    with serving(blocks(lines, tmp_path)) as behind, front(behind, trick) as server:
        found, _ = reading(server.url, hours=HOURS)
    assert found.lost_hours > 0
    assert "GPU-90000000-bbbb" not in set(found.part.usage.devices["device"])
    assert total(found) == pytest.approx((HOURS - found.lost_hours) * GPUS, rel=1e-3)


def test_no_more_than_two_questions_are_in_flight(url: str) -> None:
    def trick(asked: Asked) -> None:
        time.sleep(0.02)

    with front(url, trick) as server:
        reading(server.url, hours=6)
    assert server.most_at_once == 2


def test_a_busy_server_is_given_time(url: str) -> None:
    def trick(asked: Asked) -> Answer | None:
        return error(429, "too many outstanding requests", **{"Retry-After": "0"}) if asked.number % 3 == 0 else None

    with front(url, trick) as server:
        found, _ = reading(server.url, hours=HOURS)
    assert total(found) == ALL
    assert found.troubles == ()


def test_a_server_that_dies_under_way_leaves_what_it_answered_about(url: str) -> None:
    def trick(asked: Asked) -> None:
        if asked.number > 30:
            raise DiedError

    started = time.monotonic()
    with front(url, trick) as server:
        found, _ = reading(server.url, hours=HOURS)
    assert time.monotonic() - started < 30
    assert found.lost_hours > 0
    assert total(found) == pytest.approx((HOURS - found.lost_hours) * GPUS, rel=1e-3)
    assert any("no connection" in text for text in found.troubles)


def test_hours_that_one_essential_question_failed_about_are_unknown(url: str) -> None:
    def trick(asked: Asked) -> Answer | None:
        failing = "max_over_time(DCGM_FI_PROF_SM_ACTIVE[1h])" in asked.form.get("query", "")
        return error(400, "boom") if failing and float(asked.form.get("start", 9e9)) < START.timestamp() + 8e4 else None

    with front(url, trick) as server:
        found, _ = reading(server.url, hours=HOURS)
    assert found.lost_hours == 24  # the piece of the older 24 hours
    assert total(found) == pytest.approx(48 * GPUS, rel=1e-3)


def test_a_failing_extra_leaves_a_gap_in_its_column_only(url: str) -> None:
    def trick(asked: Asked) -> Answer | None:
        return error(400, "boom") if "FB_USED" in asked.form.get("query", "") else None

    with front(url, trick) as server:
        found, _ = reading(server.url, hours=HOURS)
    assert found.part.usage.hourly["memory_max_mib"].isna().all()
    assert found.part.usage.hourly["util_mean"].notna().all()


def test_time_that_is_over_stops_the_questions(url: str) -> None:
    def trick(asked: Asked) -> None:
        time.sleep(0.3)

    with front(url, trick) as server:
        started = time.monotonic()
        found, _ = reading(server.url, hours=HOURS, seconds=2)
    assert time.monotonic() - started < 10
    assert any("time for collecting" in text for text in found.troubles)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {}, b"no"), "401"),
        ((403, {"Content-Type": "text/html"}, b"<h1>Forbidden</h1>"), "403 Forbidden"),
        ((302, {"Location": "https://login.example.org/?secret=1"}, b""), "302"),
        ((200, {"Content-Type": "text/html"}, b"<html>Sign in</html>"), "a web page"),
    ],
)
def test_a_login_in_front_is_told_at_once(url: str, answer: Answer, said: str) -> None:
    with front(url, lambda asked: answer) as server:
        found, asker = reading(server.url)
    assert found.refused
    assert said in found.troubles[0]
    assert "secret" not in found.troubles[0]
    assert asker.requests <= 3


def test_another_server_is_no_prometheus(url: str) -> None:
    with front(url, lambda asked: (200, {}, b'{"hello":"world"}')) as server:
        found, _ = reading(server.url, hours=2)
    assert not len(found.part.usage.devices)
    assert any("not an answer of Prometheus" in text for text in found.troubles)


def test_nobody_there_is_told_at_once() -> None:
    found, asker = reading("http://127.0.0.1:9")
    assert asker.requests <= 3
    assert "no connection to 127.0.0.1:9" in found.troubles[0]


def test_headers_user_and_password_are_sent_and_never_told(url: str) -> None:
    with front(url, lambda asked: None) as server:
        host = urlsplit(server.url).netloc
        found, _ = reading(f"http://me:secret@{host}", hours=2, headers=["X-Scope-OrgID: team"])
    assert all(asked.headers["X-Scope-OrgID"] == "team" for asked in server.asked)
    assert all(asked.headers["Authorization"].startswith("Basic ") for asked in server.asked)
    assert "secret" not in repr(
        found.part.usage.devices["source"].tolist() + [metric.source for metric in found.part.metrics]
    )


@pytest.mark.parametrize("text", ["localhost:9090", "ftp://x", "", "http://"])
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        reading(text)


def test_the_number_of_requests_depends_on_the_window_alone(url: str, tmp_path: Path) -> None:
    one = openmetrics(SM, labels(pod="a"), points(lambda t: 0.5, hours=HOURS, step=60))
    with serving(blocks(one, tmp_path)) as small:
        _, few = reading(small, hours=HOURS)
    _, many = reading(url, hours=HOURS)
    assert few.requests == many.requests


def test_no_range_begins_or_ends_on_the_grid_of_scrapes() -> None:
    """2.x counts a sample at the early edge of a range, 3.x does not: no sample may lie there."""
    start = round(START.timestamp() * 1000)
    plan = Plan(Dialect(frozenset(["UUID"]), holding=SM), Hours(start + 1_234_000, start + 40 * HOUR_MS), chunk_hours=7)
    asked = [plan.of_piece(query, piece) for piece in plan.pieces() for query in queries.templates() if query.field]
    asked += [plan.window(query) for query in queries.templates() if query.field]
    for question in asked:
        for moment in range(question.piece.first, question.piece.last + 1, question.piece.range_ms):
            assert moment % 1000 == 999
            assert (moment - question.piece.range_ms) % 1000 == 999


def test_every_template_is_valid_and_short_enough_for_a_proxy(url: str) -> None:
    """As the server's own parser sees it, with every label that is known."""
    from urllib.parse import quote_plus

    from gpuaudit.collect.prometheus.reading import _every_label

    start = round(START.timestamp() * 1000)
    dialect = Dialect(_every_label(), ('cluster="prod-use1"',), USED)
    plan = Plan(dialect, Hours(start, start + 24 * HOUR_MS), chunk_hours=24)
    every = frozenset(one.name for one in engines.signals())
    engine_plan = EnginePlan(
        EngineDialect(every, _every_label() | set(engines.model_labels())),
        Hours(start, start + 24 * HOUR_MS),
        plan.pieces(),
    )
    assert len(queries.templates()) <= 60
    assert len({query.name for query in queries.templates()}) == len(queries.templates())
    with front(url, lambda asked: None) as server:
        from gpuaudit.collect.kubernetes.deadline import Deadline
        from gpuaudit.collect.prometheus.asking import Asker
        from gpuaudit.collect.prometheus.transport import direct

        asker = Asker(direct(server.url), Deadline(60))
        for query in queries.templates():
            asked = [plan.window(query)] if not query.signals else [one for _, one in engine_plan.questions(query)]
            for question in asked[:20]:
                asker.rows(question.text, question.piece)
                assert len(quote_plus(question.text)) < queries.limits().get_bytes - 300, query.name
