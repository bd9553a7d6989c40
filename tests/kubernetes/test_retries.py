"""How often failed work is tried again, as each kind says it; and the flags that show checkpoints."""

from typing import Any

import pytest

from gpuaudit.cluster.workloads import Workload
from tests.kubernetes.objects import Tree, container, inventory, pod, thing

TEMPLATE: Tree = {"spec": {"containers": [container({"gpu": 1})]}}


def workload(kind: str, api_version: str, spec: Tree) -> Workload:
    (found,) = inventory(thing(kind, "train", api_version, spec=spec)).workloads
    return found


@pytest.mark.parametrize(
    ("kind", "api_version", "spec"),
    [
        ("Job", "batch/v1", {"backoffLimit": 3, "template": TEMPLATE}),
        ("CronJob", "batch/v1", {"jobTemplate": {"spec": {"backoffLimit": 3, "template": TEMPLATE}}}),
        (
            "PyTorchJob",
            "kubeflow.org/v1",
            {"runPolicy": {"backoffLimit": 3}, "pytorchReplicaSpecs": {"Worker": {"template": TEMPLATE}}},
        ),
        ("Job", "batch.volcano.sh/v1alpha1", {"maxRetry": 3, "tasks": [{"template": TEMPLATE}]}),
        (
            "JobSet",
            "jobset.x-k8s.io/v1alpha2",
            {"failurePolicy": {"maxRestarts": 3}, "replicatedJobs": [{"template": {"spec": {"template": TEMPLATE}}}]},
        ),
        ("RayJob", "ray.io/v1", {"backoffLimit": 3, "rayClusterSpec": {"headGroupSpec": {"template": TEMPLATE}}}),
    ],
)
def test_each_kind_says_its_retries(kind: str, api_version: str, spec: Tree) -> None:
    assert workload(kind, api_version, spec).retries == 3


@pytest.mark.parametrize("damaged", [None, "3", True, [3], {"n": 3}])
def test_what_is_no_number_is_not_known(damaged: Any) -> None:
    spec = {"runPolicy": {"backoffLimit": damaged}, "pytorchReplicaSpecs": {"Worker": {"template": TEMPLATE}}}
    assert workload("PyTorchJob", "kubeflow.org/v1", spec).retries is None


def test_flags_of_checkpoints_are_kept_and_others_dropped() -> None:
    command = ["python", "train.py", "--save-interval", "500", "--resume_from_checkpoint=/ckpt/last", "--secret", "x"]
    (found,) = inventory(pod(containers=[container({"gpu": 1}, command=command)])).pods
    words = " ".join(found.containers[0].args)
    assert "--save-interval 500" in words
    assert "--resume_from_checkpoint" in words
    assert "--secret" not in words
