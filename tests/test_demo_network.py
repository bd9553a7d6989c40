"""The demo's network stories: each rule of the area speaks of what was planted, and of nothing else."""

from functools import cache

import pytest

from gpuaudit.demand.network.fabric import fabric_of
from gpuaudit.outcome import Judged, evaluate
from gpuaudit.paths import builtin
from gpuaudit.store import load
from tests.rule_cases import RULES

NETWORK = {name: rule for name, rule in RULES.items() if rule.area == "network"}
STORIES = {
    "gpu-nic-affinity": ["dgx-03"],
    "link-down-or-degraded": ["dgx-02"],
    "link-errors": ["dgx-01"],
    "multi-node-without-rdma": ["llama-70b-preview"],
    "nccl-socket-fallback": ["ddp-debug"],
    "no-gpudirect-rdma": ["dgx-onprem"],
    "operator-not-ready": ["nic-cluster-policy"],
    "rdma-not-requested": ["ddp-debug"],
    "roce-not-lossless": ["dgx-onprem"],
    "slow-link": ["ddp-debug", "llama-70b-preview", "protein-lm"],
    "small-mtu": ["dgx-onprem"],
    "spread-over-zones": ["ddp-debug", "llama-70b-preview"],
    "tensor-parallel-across-nodes": ["llama-70b-preview"],
    "weights-over-slow-link": ["vllm-llama-70b-long"],
}
SILENT = ("pretrain-7b", "cluster-policy", "storage", "train-h100", "mig-a100", "vllm-llama-70b", "eno2", "mlx5_8")


@cache
def found() -> dict[str, tuple[Judged, ...]]:
    demo = load(builtin("snapshots") / "demo.gpuaudit")
    outcomes = evaluate(demo, NETWORK, options={}, opted_out=lambda *_: None)
    assert all(not outcome.missing for outcome in outcomes)
    return {outcome.rule.name: outcome.findings for outcome in outcomes}


def test_every_rule_of_the_area_has_a_story() -> None:
    assert set(STORIES) == set(NETWORK)


@pytest.mark.parametrize("rule", NETWORK)
def test_a_rule_speaks_of_its_story(rule: str) -> None:
    assert sorted(judged.finding.subject.name for judged in found()[rule]) == STORIES[rule]


@pytest.mark.parametrize("name", SILENT)
def test_what_is_right_is_left_alone(name: str) -> None:
    for findings in found().values():
        for judged in findings:
            assert judged.finding.subject.name != name
            assert f" {name} " not in judged.finding.message


def test_nobody_is_hurt_so_that_nothing_is_protected() -> None:
    assert {judged.severity.value for findings in found().values() for judged in findings} == {"medium", "low"}


def test_the_fabric_of_the_pools() -> None:
    pools = {one.pool: one for one in fabric_of(load(builtin("snapshots") / "demo.gpuaudit"))}
    assert (pools["train-h100"].kind, pools["train-h100"].gpudirect, pools["train-h100"].exposed) == ("efa", True, True)
    dgx = pools["dgx-onprem"]
    assert (dgx.kind, dgx.lossless, dgx.gpudirect, dgx.exposed) == ("roce", False, False, False)
