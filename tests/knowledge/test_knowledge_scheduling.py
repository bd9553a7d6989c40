"""How schedulers, quotas and budgets say why."""

import pytest

from gpuaudit.knowledge.scheduling import blocking_budgets, is_hardware, refused_by_quota, scheduling, verdict


@pytest.mark.parametrize(
    ("reason", "message", "budgets", "pods"),
    [
        ("DisruptionBlocked", "Pdb prevents pod evictions (PodDisruptionBudget=[a/b])", ("a/b",), ()),
        ("DisruptionBlocked", "Pdb prevents pod evictions (PodDisruptionBudget=a/b)", ("a/b",), ()),
        ("DisruptionBlocked", "Pdb prevents pod evictions (PodDisruptionBudget=[a/b, c/d])", ("a/b", "c/d"), ()),
        ("DisruptionBlocked", 'Cannot disrupt Node: PDB "a/b" prevents pod evictions', ("a/b",), ()),
        ("Unconsolidatable", "pdb default/inflate-pdb prevents pod evictions", ("default/inflate-pdb",), ()),
        ("ScaleDownFailed", "not enough pod disruption budget to move a/b-0", (), ("a/b-0",)),
        ("EvictionFailed", "Cannot evict pod as it would violate the pod's disruption budget.", (), ()),
    ],
)
def test_events_of_blocking_budgets(reason: str, message: str, budgets: tuple[str, ...], pods: tuple[str, ...]) -> None:
    assert blocking_budgets(reason, message) == (budgets, pods)


@pytest.mark.parametrize("message", ["", "Can't replace with a cheaper node", "Pulled image"])
def test_other_events_name_no_budget(message: str) -> None:
    assert blocking_budgets("DisruptionBlocked", message) is None


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("0/2 nodes are available: 2 node(s) had volume node affinity conflict.", "zone"),
        ("0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints.", "affinity"),
        ("1/2 tasks in gang unschedulable: pod group is not ready, 1 Pending, 2 minAvailable", "gang"),
        ("0/2 nodes are available: 2 Insufficient nvidia.com/gpu.", None),
        ("", None),
    ],
)
def test_what_a_scheduler_says(message: str, why: str | None) -> None:
    assert verdict(message) == why


def test_a_refusal_tells_its_numbers() -> None:
    told = refused_by_quota(
        'pods "x" is forbidden: exceeded quota: gpu, requested: requests.nvidia.com/gpu=8, '
        "used: requests.nvidia.com/gpu=120, limited: requests.nvidia.com/gpu=128"
    )
    assert told
    assert told["quota"] == "gpu"
    assert told["requested"] == "requests.nvidia.com/gpu=8"
    assert refused_by_quota("exceeded quota") is None


def test_labels_of_hardware() -> None:
    assert is_hardware("nvidia.com/gpu.product")
    assert is_hardware("node.kubernetes.io/instance-type")
    assert not is_hardware("topology.kubernetes.io/zone")


def test_every_source_tag_is_explained() -> None:
    table = scheduling()
    used = {*table.quota.sources, *table.labels.sources, *table.gang.sources, *table.shared_memory.sources}
    used |= {*table.persons.sources, *table.scoring.sources, *(tag for row in table.verdict for tag in row.sources)}
    used |= {row.source for row in table.blocked}
    assert used <= set(table.sources)
