"""Rule operator-not-ready."""

from collections.abc import Iterator

from gpuaudit.cluster.platform import CustomObject
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network.fabric import value
from gpuaudit.knowledge import fabric
from gpuaudit.knowledge.fabric import Operator
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, Subject, rule


@rule(Severity.MEDIUM, needs={"custom_objects"})
def operator_not_ready(snapshot: Snapshot) -> Iterator[Finding]:
    """An operator of the network or of the GPUs says that it has not done its work.

    Until then nodes lack what it brings: NIC drivers and RDMA device plugins (NicClusterPolicy), virtual functions
    (SriovNetworkNodeState), GPU drivers and plugins (ClusterPolicy, NVIDIADriver). Pods wait for resources that never
    come, or run without the fabric. Work in progress, and states that an object does not tell, are not judged.

    Look at the object's status and at the pods of the operand that it names (kubectl describe), and at the nodes that
    these pods do not run on.
    """
    for item in snapshot.custom_objects:
        for how in fabric.fabric().operator:
            if item.kind == how.kind and value(item, how.state) in how.bad:
                yield _finding(item, how)


def _finding(item: CustomObject, how: Operator) -> Finding:
    reasons = _reasons(item, how)
    failed = str(value(item, how.state))
    because = f": {reasons[0]}" if reasons else ""
    return Finding(
        subject=Subject(cluster=item.cluster, kind=item.kind, namespace=item.namespace or None, name=item.name),
        message=f"{item.kind} {item.name} is {failed}{because}; it brings {how.does}",
        evidence=(
            Evidence(name=how.state, value=failed, statistic="now", source="kubernetes"),
            *(Evidence(name=how.details or "condition", value=text, source="kubernetes") for text in reasons),
        ),
        confidence="likely",
        act=Act(kind="configure", target=item.name),
        fix=Fix(note="look at the operand that is not ready, and at the nodes where its pods do not run"),
        refutation="a roll-out that has only just begun, or a node that is out of service on purpose",
    )


def _reasons(item: CustomObject, how: Operator) -> list[str]:
    """Return what the object says of the reason, in at most four bounded lines."""
    told = value(item, how.details) if how.details else None
    found = [told] if isinstance(told, str) else []
    for part in told if isinstance(told, list) else []:
        if isinstance(part, dict) and part.get("state") in how.bad:
            found.append(str(part.get("message") or part.get("name") or ""))
    found += [f"{kind}: {reason}" for kind, status, reason in item.conditions if kind == "Ready" and status == "False"]
    return [" ".join(text.split())[:200] for text in found if text.strip()][:4]
