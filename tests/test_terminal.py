"""The terminal report: fits its width, at most 40 lines, nothing hostile gets through, golden screens of the demo."""

import os
import unicodedata
from pathlib import Path

import msgspec
import pytest

from gpuaudit import schema
from gpuaudit.audit import audit
from gpuaudit.cluster.nodes import Cluster
from gpuaudit.cluster.platform import Source
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Waiting
from gpuaudit.config import Config
from gpuaudit.loader import load_rules
from gpuaudit.paths import builtin
from gpuaudit.plan.pricebook import PriceBook
from gpuaudit.report.json import decode, render
from gpuaudit.report.plain import printable
from gpuaudit.report.terminal import Screen, render_screen
from gpuaudit.report.terminal.canvas import width_of
from gpuaudit.store import load
from tests.build import NOW, WINDOW, node, pod, usage

EVERY_FACT = tuple(sorted({fact for rule in load_rules().values() for fact in rule.needs}))
GOLDEN = Path(__file__).parent / "golden"
HOSTILE = "\x1b[31mred\x1b]0;title\x07\u202eevil\n\r\t[bold]x[/bold] :smile: \u200b名前" * 3


def report(snapshot: Snapshot) -> schema.Report:
    return audit(snapshot, load_rules(), Config(), PriceBook())


@pytest.fixture(scope="module")
def demo() -> schema.Report:
    return report(load(builtin("snapshots") / "demo.gpuaudit"))


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
@pytest.mark.parametrize("show_all", [False, True])
def test_it_fits(demo: schema.Report, width: int, show_all: bool) -> None:
    lines = render_screen(demo, Screen(width=width), show_all=show_all).splitlines()
    assert max(map(width_of, lines)) <= width
    assert show_all or len(lines) <= 40
    assert all(line == line.rstrip() for line in lines)


def golden(name: str, text: str) -> None:
    """Compare with a kept text; UPDATE_GOLDEN=1 writes it anew: look at the difference before you commit it."""
    file = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [80, 100, 200])
def test_golden_screens_of_the_demo(demo: schema.Report, width: int) -> None:
    golden(f"demo-{width}.txt", render_screen(demo, Screen(width=width)))


@pytest.mark.parametrize("name", ["quiet", "cpu-only"])
def test_golden_reports_of_small_clusters(name: str) -> None:
    small = report(load(builtin("snapshots") / f"{name}.gpuaudit"))
    golden(f"{name}.json", render(small))
    golden(f"{name}-all.txt", render_screen(small, Screen(width=100), show_all=True))


def test_every_row_with_money_is_on_the_screen_and_they_add_up(demo: schema.Report) -> None:
    text = render_screen(demo, Screen(width=100), top=1)
    for action in demo.actions:
        assert not action.booked_monthly or f"{action.booked_monthly:,.0f}" in text
    assert f"{demo.plan.savings_monthly.booked:,.0f}" in text


def test_all_tells_of_each_served_model_what_its_engine_told(demo: schema.Report) -> None:
    lines = render_screen(demo, Screen(width=200), show_all=True).partition("\nSERVING\n")[2].splitlines()
    slow = next(line for line in lines if "Qwen2.5-32B-Instruct" in line)
    assert "p95 first token 9.4 s" in slow
    assert "1.7 % failed" in slow
    silent = next(line for line in lines if "Deployment/docs/reranker" in line)
    assert silent.endswith("nothing was read of its engine")


def test_the_word_waste_never_stands_there(demo: schema.Report) -> None:
    assert "waste" not in render_screen(demo, Screen(width=200), show_all=True).lower()


def test_nothing_hostile_reaches_the_terminal() -> None:
    cluster = Cluster(name=HOSTILE)
    nodes = (node(HOSTILE, cluster=HOSTILE, pool=HOSTILE, instance_type=HOSTILE, cordoned=True),)
    pods = (pod(HOSTILE, HOSTILE, 2, cluster=HOSTILE, namespace=HOSTILE),)
    sources = (Source(name=HOSTILE, status="failed", detail=HOSTILE, provides=("nodes", "pods")),)
    shot = Snapshot(taken_at=NOW, window=WINDOW, clusters=(cluster,), nodes=nodes, pods=pods, sources=sources)
    for screen in (Screen(width=80), Screen(width=200, color=False)):
        text = render_screen(report(shot), screen, show_all=True)
        assert not [char for char in text if unicodedata.category(char) in {"Cc", "Cf"} and char != "\n"]
        assert "[bold]x[/bold]" in text or "…" in text


def test_colour_is_only_where_asked_for(demo: schema.Report) -> None:
    assert "\x1b[" in render_screen(demo, Screen(width=100, color=True))
    assert "\x1b" not in render_screen(demo, Screen(width=100))
    assert render_screen(demo, Screen(width=100, unicode=False)).isascii()


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "NO GPUS were found"),
        ({"clusters": (Cluster(name="c", listed=False),)}, "whether there are any is not known"),
        ({"nodes": (node("cpu", cards=()),)}, "NO GPUS were found"),
        ({"nodes": (node("n"),), "pods": (pod("w", "n"),)}, "what the GPUs do was not measured"),
        (
            {"nodes": (node("n"),), "pods": (pod("w", "n"),), "usage": usage(("n", "c/Deployment/n/w", 0.9))},
            "by the rules that could be judged",
        ),
        (
            {
                "nodes": (node("n"),),
                "pods": (pod("w", "n"),),
                "usage": usage(("n", "c/Deployment/n/w", 0.9)),
                "sources": (Source(name="s", status="ok", provides=EVERY_FACT),),
            },
            "NOTHING TO DO",
        ),
    ],
    ids=["empty", "nodes not read", "CPU only", "no metrics", "blind rules", "healthy"],
)
def test_nothing_to_do_is_a_screen_of_its_own(facts: dict[str, object], words: str) -> None:
    known: dict[str, object] = {
        "clusters": (Cluster(name="c"),),
        "sources": (Source(name="s", status="ok", provides=("nodes", "pods", "workloads")),),
    }
    shot = Snapshot(taken_at=NOW, window=WINDOW, **(known | facts))  # type: ignore[arg-type]
    assert words in render_screen(report(shot), Screen(width=100))


def test_json_survives_the_round_trip(demo: schema.Report) -> None:
    text = render(demo)
    assert decode(text.encode(), "x") == msgspec.convert(msgspec.to_builtins(demo), schema.Report)
    assert render(decode(text.encode(), "x")) == text
    assert "NaN" not in text


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "tab\tnew\nline",
        "\x1b[2J",
        "\u202e",
        "\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
    ],
)
def test_printable_is_one_safe_line(text: str) -> None:
    clean = printable(text)
    assert "\n" not in clean
    assert "\x1b" not in clean
    assert len(printable("x" * 99, limit=10)) == 10


@pytest.mark.parametrize(
    ("sizes", "gpus", "words"),
    [
        ((None,), None, "1 pod of unknown size: how much of a card each gets is not told"),
        ((None, 4.0), 4.0, "4 GPUs are waited for"),
        ((4.0,), 4.0, "4 GPUs are waited for"),
        ((), 0.0, "no GPU work waits"),
    ],
)
def test_pods_of_unknown_size_that_wait_are_told_beside_the_others(
    sizes: tuple[float | None, ...], gpus: float | None, words: str
) -> None:
    waiting = tuple(
        Waiting(cluster="c", namespace="n", workload=f"w{number}", resource="nvidia.com/gpu", count=4, gpus=size)
        for number, size in enumerate(sizes)
    )
    report = report_of(("nodes", "pods"), waiting)
    assert report.utilization.demand.pending_gpus == gpus
    assert report.utilization.demand.pending_unsized_pods == sizes.count(None)
    screen = render_screen(report, Screen(width=100))
    assert words in screen
    assert ("of unknown size" in screen) == (None in sizes)
    assert report_of(("nodes",), ()).utilization.demand.pending_unsized_pods is None


def report_of(facts: tuple[str, ...], waiting: tuple[Waiting, ...]) -> schema.Report:
    source = Source(name="kubernetes", status="ok", provides=facts)
    shot = Snapshot(
        taken_at=NOW,
        window=WINDOW,
        clusters=(Cluster(name="c"),),
        sources=(source,),
        nodes=(node("n1"),),
        waiting=waiting,
    )
    return audit(shot, {}, Config(), PriceBook(None))
