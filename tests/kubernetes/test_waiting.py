"""Unmet demand: pods that wait, each once, and what they would get."""

import pytest

from tests.kubernetes.objects import GFD_A100, Tree, inventory, node, owned_by, pod, thing
from tests.kubernetes.queues import GPU, NO_QUOTA, kueue, waits


def test_pods_of_a_workload_wait_together() -> None:
    job = thing("Job", "sweep", "batch/v1")
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/35 nodes",
        "lastTransitionTime": "2026-11-21T14:46:13Z",
    }
    pods = [
        pod(
            f"s{i}",
            node_name=None,
            requests=GPU,
            meta={"ownerReferences": [owned_by(job)]},
            status={"conditions": [condition]},
        )
        for i in range(3)
    ]
    (found,) = inventory(job, *pods).waiting
    assert (found.workload, found.count, found.gpus, found.pods) == ("c/Job/team/sweep", 12.0, 12.0, 3)
    assert (found.reason, found.message) == ("Unschedulable", "0/35 nodes")
    assert found.since
    assert found.since.isoformat() == "2026-11-21T14:46:13+00:00"


def test_cpu_work_that_waits_is_not_reported() -> None:
    assert waits(pod(node_name=None, requests={"cpu": "4"})) == []


def test_a_deleted_pending_pod_does_not_wait() -> None:
    assert waits(pod(node_name=None, requests=GPU, meta={"deletionTimestamp": "2026-11-21T14:46:13Z"})) == []


def test_pods_that_stand_for_waiting_fractions_are_not_counted_beside_them() -> None:
    """KAI's node-scale-adjuster asks for whole GPUs in the place of fractions."""
    part = pod("part", node_name=None, meta={"annotations": {"gpu-fraction": "0.5"}})
    stand_in = pod("scaling-part", node_name=None, namespace="kai-scale-adjust", requests={"nvidia.com/gpu": "1"})
    assert [(one.resource, one.gpus) for one in inventory(part, stand_in).waiting] == [("gpu-fraction", 0.5)]


SHARED = {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.replicas": "4"}
SINGLE = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", "nvidia.com/mig.strategy": "single"}


@pytest.mark.parametrize(
    ("nodes", "each", "selector", "expected"),
    [
        ([SHARED, SHARED], 1, {}, 0.25),
        ([GFD_A100, GFD_A100], 1, {}, 1.0),
        ([GFD_A100 | SINGLE], 1, {}, 1 / 7),
        ([GFD_A100, SHARED], 1, {}, None),  # nobody knows where it goes
        ([GFD_A100, SHARED | {"pool": "dev"}], 1, {"pool": "dev"}, 0.25),
        ([GFD_A100, SHARED], 2, {}, 2.0),  # several replicas give no more than one
        ([], 1, {}, 1.0),
    ],
)
def test_what_a_pod_that_waits_would_get(nodes: list[Tree], each: int, selector: Tree, expected: float | None) -> None:
    there = [node(f"n{i}", labels=labels, gpu=8) for i, labels in enumerate(nodes)]
    one = pod(node_name=None, requests={"nvidia.com/gpu": str(each)}, spec={"nodeSelector": selector})
    (found,) = inventory(*there, one).waiting
    assert found.gpus == (None if expected is None else pytest.approx(expected))
    template = {"spec": {"nodeSelector": selector, "containers": one["spec"]["containers"]}}
    group = kueue("w", None, NO_QUOTA)
    group["spec"]["podSets"] = [{"name": "main", "count": 1, "template": template}]
    (queued,) = inventory(*there, group).waiting
    assert queued.gpus == found.gpus


def test_a_pod_that_no_node_could_ever_hold_is_no_demand() -> None:
    """One such pod of a stranger would keep all nodes for itself."""
    found = inventory(pod(node_name=None, requests={"nvidia.com/gpu": "9E"}), pod("b", node_name=None, requests=GPU))
    assert [one.count for one in found.waiting] == [4.0]
    assert len(found.pods) == 2
