"""What surrounds the work, and what a person should know of the reading."""

from collections.abc import Iterable

from gpuaudit.cluster.nodes import Cluster, Node
from gpuaudit.cluster.platform import Event
from gpuaudit.cluster.platform import Service as ServiceRecord
from gpuaudit.cluster.platform import VolumeClaim as VolumeClaimRecord
from gpuaudit.collect.gather.state import Gathered, KeptEndpoints
from gpuaudit.collect.kubernetes_types.core import Service, StorageClass, VolumeClaim
from gpuaudit.collect.objects.platform import service_record, volume_claim_record
from gpuaudit.knowledge.objects import objects


def services(state: Gathered) -> tuple[ServiceRecord, ...]:
    """Return the services with the number of their ready endpoints, None when no endpoint was read at all."""
    ready: dict[tuple[str, str], int] = {}
    for row in state.kept.values("endpoints", KeptEndpoints):
        ready[row.namespace, row.service] = ready.get((row.namespace, row.service), 0) + row.ready
    unknown = 0 if ready else None
    return tuple(
        service_record(item, ready.get((item.metadata.namespace, item.metadata.name), unknown), cluster=state.cluster)
        for item in state.kept.values("services", Service)
    )


def volume_claims(state: Gathered) -> tuple[VolumeClaimRecord, ...]:
    """Return the volume claims with what provisions their class."""
    classes = {item.metadata.name: item.provisioner or "" for item in state.kept.values("classes", StorageClass)}
    claims = state.kept.values("volumes", VolumeClaim)
    return tuple(volume_claim_record(item, classes, cluster=state.cluster) for item in claims)


def events(state: Gathered) -> tuple[Event, ...]:
    """Return events about kept pods and about anything else, the newest within the bound."""
    found = [
        event
        for event in state.kept.values("events", Event)
        if event.kind != "Pod" or ("", "Pod") not in state.seen or (event.namespace, event.name) in state.pods
    ]
    limit = objects().limits.events
    if len(found) > limit:
        found.sort(key=lambda event: (event.last is not None, event.last), reverse=True)
        state.left_out[("", "Event"), ""] += len(found) - limit
    return tuple(sorted(found[:limit], key=lambda e: (e.namespace, e.kind, e.name, e.reason, str(e.last), e.message)))


def cluster_record(state: Gathered, nodes: Iterable[Node]) -> Cluster:
    """Return the cluster; `listed` only if its nodes were read."""
    return Cluster(
        name=state.cluster,
        uid=min(state.uids) if len(state.uids) == 1 else None,
        server=state.server,
        version=state.version,
        providers=tuple(sorted({node.provider for node in nodes if node.provider})),
        listed=("", "Node") in state.seen and not state.tenant,
        read_namespaces=tuple(sorted(state.within.get(("", "Pod"), ()))),
    )


def notes(state: Gathered) -> tuple[str, ...]:
    """Return lines for a person: doubled, broken, mixed, unknown and left-out objects."""
    kept = state.kept
    found = []
    if kept.doubled:
        differed = f"{kept.replaced} differed and the newer was used" if kept.replaced else "no two differed"
        found.append(f"{kept.doubled} objects stand in more than one input; {differed}")
    if state.broken.count:
        found.append(f"{state.broken.count} objects could not be read: " + "; ".join(state.broken.lines[:3]))
    if len(state.uids) > 1:
        found.append(f"objects of {len(state.uids)} clusters are mixed: kube-system has several UIDs")
    if state.other_kinds:
        found.append(
            "kinds that are not read: " + ", ".join(f"{n} {k}" for k, n in sorted(state.other_kinds.items())[:20])
        )
    for name in ("Event", "ConfigMap"):
        if count := sum(count for ((_, kind), _), count in state.left_out.items() if kind == name):
            found.append(f"{count} {name}s beyond the bound were left out")
    if state.ended_pods > objects().limits.gpu_pods_ended:
        found.append(
            f"{state.ended_pods - objects().limits.gpu_pods_ended} ended GPU pods beyond the bound were left out"
        )
    return tuple(found)
