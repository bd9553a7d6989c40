"""Prometheus 2.x and 3.x treat the early edge of a range differently; what is read must be the same.

No 3.x server can be had here. But on times in whole milliseconds its range (T-R, T] is 2.x's [T-(R-1 ms), T]: a server
in front that shortens every range so answers as 3.x does.
"""

import re
import urllib.error
import urllib.parse
import urllib.request

import pandas as pd
import pytest

from gpuaudit.knowledge import queries
from tests.prometheus.faults import Answer, Asked, Trick, front
from tests.prometheus.reading import reading
from tests.prometheus.server import blocks, serving
from tests.prometheus.test_real_server import HOURS, story

_RANGE = re.compile(r"\[(\d+)(h|ms)(:\w+)?\]")


def shortened(query: str) -> str:
    def shorter(match: re.Match[str]) -> str:
        length = int(match[1]) * (3_600_000 if match[2] == "h" else 1)
        return f"[{length - 1}ms{match[3] or ''}]"

    return _RANGE.sub(shorter, query)


def as_3x(behind: str) -> Trick:
    """Answer as 3.x would, by the 2.x server behind."""

    def trick(asked: Asked) -> Answer | None:
        if "query" not in asked.form:
            return None
        form = asked.form | {"query": shortened(asked.form["query"])}
        try:
            with urllib.request.urlopen(behind + asked.path, data=urllib.parse.urlencode(form).encode()) as answer:
                return answer.status, {}, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, {}, error.read()

    return trick


def test_a_shortened_range_is_what_3x_reads() -> None:
    assert shortened("max_over_time(a[1h]) + b[30h:1h] + c[1799999ms]") == (
        "max_over_time(a[3599999ms]) + b[107999999ms:1h] + c[1799998ms]"
    )


def test_both_editions_give_the_same_tables(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Samples lie on every full hour, where the editions differ for a query that asks there."""
    with serving(blocks(story(), tmp_path_factory.mktemp("editions"))) as url:
        old, _ = reading(url, hours=HOURS)
        with front(url, as_3x(url)) as server:
            new, _ = reading(server.url, hours=HOURS)
            asked = [one.form["query"] for one in server.asked if "query" in one.form]
    assert any(shortened(text) != text for text in asked)
    assert old.troubles == new.troubles == ()
    for one, other in (
        (old.part.usage.devices, new.part.usage.devices),
        (old.part.usage.hourly, new.part.usage.hourly),
    ):
        assert len(one)
        pd.testing.assert_frame_equal(
            one.drop(columns="source", errors="ignore"), other.drop(columns="source", errors="ignore")
        )
    assert old.part.cards == new.part.cards
    assert old.part.present == new.part.present


@pytest.mark.parametrize("name", sorted({query.expression for query in queries.templates()}))
def test_every_expression_asks_by_ranges_that_are_seen_here(name: str) -> None:
    """A range in a form that the test cannot shorten would be no test."""
    query = next(query for query in queries.templates() if query.expression == name)
    ranges = re.findall(r"\[[^\]]*\]", queries.expression(query).text)
    assert all(one in ("[$range]", "[1h]", "[$range:1h]", "[$range:5m]") for one in ranges)
