"""What scheduling comes to in sum, and what must hold of every blame whatever the cluster."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit.demand.scheduling.asks import asks, obstacles
from gpuaudit.demand.scheduling.blames import blames
from gpuaudit.demand.scheduling.gangs import scheduling_summary
from gpuaudit.demand.scheduling.placement import free_units, room_for
from tests.rule_cases import snapshot_of

NODES = [{"name": "n1"}, {"name": "n2"}, {"name": "n3"}]


def waiting(name: str, gpus: float, *, pods: int = 1, since: str = "-10h") -> dict[str, Any]:
    return {
        "namespace": "ml",
        "workload": f"prod/Job/ml/{name}",
        "resource": "nvidia.com/gpu",
        "count": gpus * pods,
        "gpus": gpus * pods,
        "since": since,
        "reason": "Unschedulable",
        "pods": pods,
    }


def test_nothing_waits() -> None:
    summary = scheduling_summary(snapshot_of({"nodes": NODES}))
    assert (summary.gangs_on_default, summary.queued_gpus, summary.queued_while_idle) == (0, 0, 0)
    assert (summary.idle_meanwhile_gpus, summary.lost_gpu_hours, summary.reasons) == (0, None, {})


def test_what_waits_while_gpus_are_idle() -> None:
    args = {"args": ["torchrun", "--nnodes=2"]}
    case = {
        "nodes": NODES,
        "pods": [
            {"of": "Job/ml/a", "node": "n1", "gpus": 5, "scheduler": "default-scheduler", "container": args},
            {"of": "Job/ml/a", "node": "n2", "gpus": 5, "scheduler": "default-scheduler", "container": args},
            {"of": "Job/ml/c", "node": "n3", "gpus": 5},
            {"of": "Job/ml/b", "gpus": 8, "phase": "Pending"},
        ],
        "waiting": [waiting("b", 8)],
    }
    summary = scheduling_summary(snapshot_of(case))
    assert (summary.gangs_on_default, summary.gang_gpus, summary.gangs_stuck) == (1, 10, 0)
    assert (summary.queued_gpus, summary.queued_gpu_hours) == (8, 80)
    assert (summary.queued_while_idle, summary.queued_while_idle_gpus) == (1, 8)
    assert (summary.idle_meanwhile_gpus, summary.reasons) == (9, {"fragmentation": 1})


def test_what_is_not_known_is_not_zero() -> None:
    case = {"nodes": NODES, "waiting": [waiting("b", 8) | {"gpus": None}], "workloads": {"Job/ml/b": {}}}
    summary = scheduling_summary(snapshot_of(case))
    assert (summary.queued_gpus, summary.queued_gpu_hours) == (None, None)


HELD = st.lists(st.integers(0, 8), min_size=3, max_size=3)
ASKED = st.lists(st.tuples(st.integers(1, 8), st.integers(1, 3)), min_size=1, max_size=3)


@settings(deadline=None, max_examples=60)
@given(held=HELD, asked=ASKED)
def test_blames_claim_no_more_than_there_is(held: list[int], asked: list[tuple[int, int]]) -> None:
    """Also: a node without an obstacle has room, and work is blamed on nothing that is not free."""
    pods: list[dict[str, Any]] = [
        {"of": f"Job/ml/h{i}", "node": f"n{i + 1}", "gpus": gpus} for i, gpus in enumerate(held) if gpus
    ]
    pods += [
        {"of": f"Job/ml/w{i}", "gpus": gpus, "count": count, "phase": "Pending"}
        for i, (gpus, count) in enumerate(asked)
    ]
    lines = [waiting(f"w{i}", gpus, pods=count) for i, (gpus, count) in enumerate(asked)]
    snapshot = snapshot_of({"nodes": NODES, "pods": pods, "waiting": lines})
    for ask in asks(snapshot):
        for node in obstacles(snapshot, ask).get("none", ()):
            assert room_for(snapshot, node, ask.largest, "nvidia.com/gpu") >= 1
    for blame in blames(snapshot):
        free = sum(free_units(snapshot, node, "nvidia.com/gpu") for node in blame.nodes)
        assert 0 <= blame.beyond <= blame.free <= 24 - sum(held)
        assert blame.free == free
        assert blame.beyond >= min(1, blame.ask.each)
