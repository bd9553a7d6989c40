"""Queues: what they may use, and what of it nobody else may."""

from typing import Any

import pytest

from gpuaudit.cluster.platform import Queue
from tests.kubernetes.objects import inventory, thing

GPU = "nvidia.com/gpu"


def cluster_queue(*quotas: dict[str, Any], flavors: tuple[str, ...] = ("h100",), **spec: Any) -> Queue:
    found = [{"name": name, "resources": [{"name": GPU} | quota]} for name, quota in zip(flavors, quotas, strict=True)]
    groups = [{"coveredResources": [GPU], "flavors": found}]
    item = thing("ClusterQueue", "ads", "kueue.x-k8s.io/v1beta1", "", spec={"resourceGroups": groups} | spec)
    (queue,) = inventory(item).queues
    return queue


def test_without_a_cohort_all_is_kept() -> None:
    queue = cluster_queue({"nominalQuota": "12"})
    assert queue.guaranteed == {GPU: 12}
    assert queue.flavors == {GPU: ("h100",)}


@pytest.mark.parametrize("key", ["cohort", "cohortName"])
def test_in_a_cohort_only_what_the_lending_limit_keeps_back(key: str) -> None:
    assert cluster_queue({"nominalQuota": 12}, **{key: "all"}).guaranteed == {}
    assert cluster_queue({"nominalQuota": 12, "lendingLimit": "4"}, **{key: "all"}).guaranteed == {GPU: 8}
    assert cluster_queue({"nominalQuota": 12, "lendingLimit": 20}, **{key: "all"}).guaranteed == {}


def test_flavors_add_up() -> None:
    queue = cluster_queue(
        {"nominalQuota": 8, "lendingLimit": 0}, {"nominalQuota": 4}, flavors=("h100", "a100"), cohort="all"
    )
    assert queue.nominal == {GPU: 12}
    assert queue.guaranteed == {GPU: 8}
    assert queue.flavors == {GPU: ("a100", "h100")}


def test_damaged_quotas_keep_nothing() -> None:
    assert cluster_queue({"nominalQuota": "many", "lendingLimit": ["x"]}).guaranteed == {}
    assert cluster_queue({"nominalQuota": None}).nominal == {GPU: 0}


def test_a_volcano_queue_keeps_its_guarantee_and_nothing_else() -> None:
    spec = {"guarantee": {"resource": {GPU: "8"}}, "deserved": {GPU: "16"}}
    (queue,) = inventory(thing("Queue", "ads", "scheduling.volcano.sh/v1beta1", "", spec=spec)).queues
    assert queue.guaranteed == {GPU: 8}
    (plain,) = inventory(thing("Queue", "b", "scheduling.volcano.sh/v1beta1", "", spec={"capability": {GPU: 9}})).queues
    assert plain.guaranteed == {}


def test_kai_lends_what_is_not_used() -> None:
    spec = {"resources": {"gpu": {"quota": 8, "limit": -1}}}
    (queue,) = inventory(thing("Queue", "ads", "scheduling.run.ai/v2", "", spec=spec)).queues
    assert queue.guaranteed == {}
