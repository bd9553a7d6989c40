"""GPUs that findings set free on nodes that stay: a device or a workload counts once, however many rules speak."""

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.outcome import Judged
from gpuaudit.plan.findings_part import regained_gpus
from gpuaudit.plan.release import Release
from gpuaudit.rule import Act, Confidence, Finding, Severity, Subject
from tests.build import NOW, WINDOW


def judged(rule: str, name: str, *, devices: tuple[str, ...] = (), sure: Confidence = "likely") -> Judged:
    subject = Subject(cluster="c", kind="Pod", namespace="ml", name=name, gpus=2.0, devices=devices)
    finding = Finding(
        subject=subject,
        workload=f"c/Pod/ml/{name}",
        message=f"{name} by {rule}",
        confidence=sure,
        act=Act(kind="release_gpus", target=name),
    )
    return Judged(id=f"{rule}-{name}", rule=rule, area="x", severity=Severity.MEDIUM, finding=finding)


def regained(*found: Judged) -> float:
    return regained_gpus(Snapshot(taken_at=NOW, window=WINDOW), found, Release())


def test_two_rules_of_one_device_free_it_once() -> None:
    devices = ("n1/0", "n1/1")
    assert regained(judged("idle-gpu", "a", devices=devices), judged("ownerless-gpu-pod", "a", devices=devices)) == 2


def test_two_rules_of_one_pod_without_metrics_free_it_once() -> None:
    assert regained(judged("failing-pod-holds-gpu", "a"), judged("ownerless-gpu-pod", "a")) == 2


def test_a_rule_that_knows_the_devices_and_one_that_does_not_free_them_once() -> None:
    known = judged("idle-gpu", "a", devices=("n1/0", "n1/1"))
    assert regained(known, judged("failing-pod-holds-gpu", "a")) == 2


def test_other_work_counts_besides_and_a_suspicion_does_not() -> None:
    assert regained(judged("idle-gpu", "a"), judged("idle-gpu", "b"), judged("idle-gpu", "d", sure="investigate")) == 4
