"""Rule straggler-gpu."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.nodes import Card
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import Tenure
from gpuaudit.demand.subjects import count, duration, listed
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.demand.work.straggling import Straggler, gangs, stragglers
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule

AS_BUSY = 0.95  # of its siblings' activity: it works as much, on less power


@rule(Severity.MEDIUM, needs={"utilization", "pod_attribution", "history", "power"})
def straggler_gpu(
    snapshot: Snapshot, *, below: float = 0.85, hours: float = 24.0, share_of_hours: float = 0.9
) -> Iterator[Finding]:
    """One GPU of a job stays behind its siblings.

    In a job whose ranks wait for each other at every step, the slowest GPU sets the pace of all: one that is
    throttled by heat, capped in power, or fed through half a PCIe slot slows the other 63. It shows as a GPU that is
    as busy as its siblings and draws far less power, hour after hour. When it is less busy too, it may simply have
    less to do (a stage of a pipeline, a rank without a share), so that only asks for a look. GPUs of different
    models, gangs whose parts are unequal anyway, serving and shared GPUs are not compared.

    Look at the throttle reasons, PCIe width and ECC counters of that GPU and at the cooling of its host (nvidia-smi
    -q); let the job run without it, and compare the time of a step. Exclude the host until it is mended.
    """
    for owner, unit in gangs(snapshot):
        found = stragglers(snapshot, unit, below=below, share_of_hours=share_of_hours)
        if found and found[0].hours >= hours:
            yield _finding(snapshot, owner, unit, found, below)


def _finding(
    snapshot: Snapshot, owner: str, unit: Sequence[Tenure], found: Sequence[Straggler], below: float
) -> Finding:
    nodes = sorted({straggler.tenure.node for straggler in found})
    devices = [straggler.tenure.device for straggler in found]
    node = nodes[0] if len(nodes) == 1 else None
    subject = workload_subject(snapshot, owner, devices=devices, gpus=float(len(found)), node=node)
    as_busy = all(straggler.util >= AS_BUSY for straggler in found)
    least = min(straggler.power for straggler in found)
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{count(len(found), 'GPU')} of {subject.namespace}/{subject.name} on {listed(nodes)} drew {least:.0%} "
        f"of its siblings' power over {duration(found[0].hours)} of work, {_meaning(as_busy, len(unit) - len(found))}",
        evidence=tuple(_evidence(snapshot, found, below)),
        confidence="likely" if as_busy else "investigate",
        act=Act(
            kind="configure", risk="restart", target=owner, unblocks=f"{len(unit) - len(found)} GPUs that wait for it"
        ),
        fix=Fix(note="check throttle reasons, PCIe width, ECC and cooling of that GPU; run the job without its host"),
        refutation="steps that take as long without this GPU, or a rank that has less to do by design",
    )


def _meaning(as_busy: bool, others: int) -> str:
    return f"as busy as they: {count(others, 'GPU')} wait for it" if as_busy else "and was less busy"


def _evidence(snapshot: Snapshot, found: Sequence[Straggler], below: float) -> Iterator[Evidence]:
    for straggler in found:
        tenure, seconds = straggler.tenure, straggler.hours * 3600.0
        for name, value in ((f"power of {tenure.device} to siblings'", straggler.power),
                            (f"{tenure.metric} of {tenure.device} to siblings'", straggler.util)):  # fmt: skip
            yield Evidence(
                name=name,
                value=round(value, 3),
                unit="ratio",
                statistic="median of hours",
                window_seconds=seconds,
                source=tenure.source,
            )
        for name, text in _causes(_card(snapshot, tenure)):
            yield Evidence(name=f"{name} of {tenure.device}", value=text, statistic="now", source="node facts")
    yield Evidence(name="threshold", value=below, unit="ratio", observed=False, source="option below")


def _card(snapshot: Snapshot, tenure: Tenure) -> Card | None:
    found = snapshot.card_by_uuid.get(tenure.card)
    node = snapshot.node_by_key.get((tenure.cluster, tenure.node))
    if found or node is None:
        return found[1] if found else None
    return next((card for card in node.cards if f"{node.name}/{card.index}" == tenure.card), None)


def _causes(card: Card | None) -> Iterator[tuple[str, str]]:
    """What the card itself says that may hold it back."""
    if card is None:
        return
    if card.power_limit_watts:
        yield "power limit", f"{card.power_limit_watts:g} W"
    if card.pcie_width and card.pcie_max_width and card.pcie_width < card.pcie_max_width:
        yield "PCIe width", f"x{card.pcie_width} of x{card.pcie_max_width}"
    if card.faults:
        yield "faults", ", ".join(card.faults)
