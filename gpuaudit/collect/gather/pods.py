"""Take a pod: keep it if it may hold a GPU, else fold it to what it costs its node."""

from contextlib import suppress

import msgspec

from gpuaudit.collect.broken import Kind
from gpuaudit.collect.decode import Decoded, metadata_of
from gpuaudit.collect.gather.state import Gathered, KeptPod, PodEvidence, version_of
from gpuaudit.collect.kubernetes_types import Identity
from gpuaudit.collect.kubernetes_types.pods import LightPod, Pod
from gpuaudit.collect.objects.conditions import condition
from gpuaudit.collect.objects.fold import FoldedPod, pod_key
from gpuaudit.collect.objects.owners import controller, owner_key, start_of
from gpuaudit.collect.objects.pods import claim_names, is_ready, pod_record
from gpuaudit.collect.objects.requests import Amounts, pod_requests
from gpuaudit.collect.objects.systems import agents_of, systems_of_image
from gpuaudit.collect.objects.units import is_gpu_resource
from gpuaudit.knowledge import kubernetes
from gpuaudit.knowledge.objects import objects

POD: Kind = ("", "Pod")
_ENDED = ("Succeeded", "Failed")
_WHOLE = msgspec.json.Decoder(Pod)
_LIGHT = msgspec.json.Decoder(LightPod)


def take_pods(state: Gathered, page: Decoded) -> None:
    """Take the unread pods of a page: few hold a GPU and are read whole.

    Pods of a workload follow one another, so a pod is first read as the one before had to be.
    """
    whole = False
    for raw in page.unread:
        try:
            pod = _read(raw, whole=whole)
            requests = pod_requests(pod.spec)
            whole = _may_hold(state, pod, requests)
            if whole:
                _take_whole(state, pod if isinstance(pod, Pod) else _WHOLE.decode(raw), requests)
            else:
                _take_light(state, pod, requests)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            page.fail(POD, metadata_of(raw), error)
    page.unread.clear()


def _read(raw: msgspec.Raw, *, whole: bool) -> Pod | LightPod:
    """Return a pod; lightly too where only what nobody needs of it is broken."""
    if whole:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            return _WHOLE.decode(raw)
    return _LIGHT.decode(raw)


def take_pod(state: Gathered, pod: Pod) -> None:
    """Take a pod unless a version as new is here already."""
    requests = pod_requests(pod.spec)
    if _may_hold(state, pod, requests):
        _take_whole(state, pod, requests)
    else:
        _take_light(state, pod, requests)


def _take_whole(state: Gathered, pod: Pod, requests: Amounts) -> None:
    """Take a pod that may hold a GPU."""
    key, version = (pod.metadata.namespace, pod.metadata.name), version_of(pod.metadata)
    known = state.pods.get(key)
    if known is None or _is_new(state, known.version, version):
        _take_evidence(state, pod)
        _keep(state, pod, requests, version)


def _take_light(state: Gathered, pod: Pod | LightPod, requests: Amounts) -> None:
    """Take a pod that holds no GPU."""
    key, version = (pod.metadata.namespace, pod.metadata.name), version_of(pod.metadata)
    kept = state.pods.get(key)
    if kept is not None and not _is_new(state, kept.version, version):
        return
    if kept is not None:
        del state.pods[key]
    _fold(state, pod, requests, version)
    if pod.status.phase not in _ENDED:
        state.owners.add_driver(pod.metadata)
    _take_evidence(state, pod)


def forget_pods(state: Gathered, namespace: str | None) -> None:
    """Forget the pods of a namespace, or all, and what they told of systems: they are listed anew."""
    state.evidence = {seen: None for seen in state.evidence if namespace not in (None, seen.namespace)}
    state.agents = {place: told for place, told in state.agents.items() if namespace not in (None, place[1])}
    state.pods = {key: pod for key, pod in state.pods.items() if namespace not in (None, key[0])}
    state.fold.forget(namespace)
    state.ended_pods = sum(pod.record.ended for pod in state.pods.values())


def settle(state: Gathered) -> None:
    """Leave one version of each pod, the newest: some had a GPU in one and none in another."""
    keys = {pod_key(*key): key for key in state.pods}
    settled = state.fold.settle({key: state.pods[pod].version for key, pod in keys.items()})
    state.kept.doubled += settled.doubled
    state.kept.replaced += settled.replaced
    for key in settled.newer:
        del state.pods[keys[key]]


def _is_new(state: Gathered, known: int, version: int) -> bool:
    """Whether a pod's version is newer than the one that is here; counts a pod that was seen before."""
    state.kept.doubled += 1
    state.kept.replaced += known != version
    return known < version


def refold(state: Gathered, kept: KeptPod) -> None:
    """Fold a pod that turned out to hold no GPU: its claims are of other devices."""
    record, start = kept.record, kept.start
    gone = record.phase in _ENDED
    key = owner_key(record.namespace, record.name, start.owner)
    state.seeds.setdefault(key, start)
    state.fold.add(
        FoldedPod(
            namespace=record.namespace,
            name=record.name,
            version=kept.version,
            node=None if gone else record.node,
            cpu_cores=record.requests.get("cpu", 0.0),
            memory_bytes=record.requests.get("memory", 0.0),
            owner=key,
        )
    )


def _may_hold(state: Gathered, pod: Pod | LightPod, requests: Amounts) -> bool:
    if pod.spec.resource_claims or pod.status.extended_resource_claim_status:
        return True
    for name in requests:
        if is_gpu_resource(name) or name in state.extended:
            return True
    names = pod.metadata.annotations
    if not names:
        return False
    marks = kubernetes.fractions()
    return marks.fraction in names or marks.memory_mib in names


def _keep(state: Gathered, pod: Pod, requests: Amounts, version: int) -> None:
    record = pod_record(pod, requests, cluster=state.cluster)
    if record.ended and not _room_for_ended(state):
        state.pods.pop((record.namespace, record.name), None)  # an older version still ran
        _fold(state, pod, requests, version)
        return
    scheduled = condition(pod.status.conditions, "PodScheduled")
    message = (scheduled.message if scheduled and scheduled.status == "False" else None) or ""
    state.pods[(record.namespace, record.name)] = KeptPod(
        version=version,
        record=record,
        start=start_of(pod.metadata),
        templates=claim_names(pod).templates,
        message=message[: objects().limits.message_chars],
        by_claim=_by_claim(pod),
    )
    state.owners.add("", "Pod", pod.metadata)


def _by_claim(pod: Pod) -> tuple[str, ...] | None:
    """Return the extended resources that a pod got as a claim; None when it has no such claim."""
    extended = pod.status.extended_resource_claim_status
    if extended is None or not extended.resource_claim_name:
        return None
    return tuple(row.resource_name for row in extended.request_mappings or ())


def _room_for_ended(state: Gathered) -> bool:
    state.ended_pods += 1
    return state.ended_pods <= objects().limits.gpu_pods_ended


def _fold(state: Gathered, pod: Pod | LightPod, requests: Amounts, version: int) -> None:
    node = None if pod.status.phase in _ENDED else pod.spec.node_name or None
    state.fold.add(
        FoldedPod(
            pod.metadata.namespace,
            pod.metadata.name,
            version,
            node,
            requests.get("cpu", 0.0),
            requests.get("memory", 0.0),
            _owner_key(state, pod.metadata) if _matters(state, node) else "",
        )
    )


def _matters(state: Gathered, node: str | None) -> bool:
    """Whether a node may have GPUs: then it counts whose its pods are."""
    return node is not None and (node in state.gpu_nodes or not state.nodes_complete)


def _owner_key(state: Gathered, meta: Identity) -> str:
    """Return a key that pods of one owner share, and remember what tells their root."""
    key = owner_key(meta.namespace, meta.name, controller(meta))
    if key not in state.seeds:
        state.seeds[key] = start_of(meta)
    return key


def _take_evidence(state: Gathered, pod: Pod | LightPod) -> None:
    """Note which known systems a pod is part of, and whether it is ready on its node."""
    if pod.status.phase in _ENDED:
        return
    spec, namespace = pod.spec, pod.metadata.namespace
    own = tuple([container.image or "" for container in spec.containers or ()])
    ready = is_ready(pod.status)
    images = (*own, *[container.image or "" for container in spec.init_containers]) if spec.init_containers else own
    known = tuple([image for image in images if systems_of_image(image)])  # others may be as many as the pods
    state.evidence[PodEvidence(known, spec.scheduler_name, namespace, ready)] = None
    agents = agents_of(own)
    if agents and spec.node_name and _matters(state, spec.node_name):
        here = state.agents.setdefault((spec.node_name, namespace), {})
        for key in agents:
            here[key] = ready or here.get(key, False)
