"""Queues: what nobody else may use of their quota."""

from typing import Any

import pytest

from gpuaudit.cluster.platform import Queue
from tests.kubernetes.objects import inventory, thing

GPU = "nvidia.com/gpu"


def queue(api_version: str, kind: str = "Queue", **spec: Any) -> Queue:
    (found,) = inventory(thing(kind, "ads", api_version, "", spec=spec)).queues
    return found


def test_a_volcano_queue_keeps_its_guarantee_and_nothing_else() -> None:
    api = "scheduling.volcano.sh/v1beta1"
    assert queue(api, guarantee={"resource": {GPU: "8"}}, deserved={GPU: "16"}).guaranteed == {GPU: 8}
    assert queue(api, capability={GPU: 9}).guaranteed == {}


@pytest.mark.parametrize("damaged", [None, "8", {"resource": "many"}, {"resource": {GPU: "x"}}, [1]])
def test_a_damaged_guarantee_keeps_nothing(damaged: Any) -> None:
    assert queue("scheduling.volcano.sh/v1beta1", guarantee=damaged).guaranteed == {}


def test_kai_lends_what_is_not_used() -> None:
    assert queue("scheduling.run.ai/v2", resources={"gpu": {"quota": 8, "limit": -1}}).guaranteed == {}


@pytest.mark.parametrize(("limit", "kept"), [(None, None), ("4", 4), (0, 0), (["x"], None)])
def test_a_cluster_queue_tells_its_lending_limit_by_flavor(limit: Any, kept: float | None) -> None:
    resource = {"name": GPU, "nominalQuota": 12} | ({} if limit is None else {"lendingLimit": limit})
    groups = [{"coveredResources": [GPU], "flavors": [{"name": "h100", "resources": [resource]}]}]
    found = queue("kueue.x-k8s.io/v1beta1", "ClusterQueue", resourceGroups=groups, cohort="all")
    (flavor,) = found.flavors
    assert (flavor.flavor, flavor.nominal, flavor.lending_limit) == ("h100", 12, kept)
