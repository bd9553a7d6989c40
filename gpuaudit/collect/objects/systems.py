"""Raw facts about installed systems: what was seen of each. A CRD alone says "installed once", not "it runs"."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple, get_args

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.platform import InstalledSystem, SystemSign
from gpuaudit.collect.kubernetes_types.apps import Controller
from gpuaudit.knowledge import kubernetes, systems
from gpuaudit.knowledge.systems import System

_MAX_EVIDENCE = 12
_MAX_SCHEDULERS = 100
_TAG = re.compile(r":([A-Za-z0-9_][A-Za-z0-9._-]{0,127})(?:@sha256:[0-9a-f]+)?$")
_VERSION = re.compile(r"v?\d+(?:\.\d+){1,3}(?:[-.+][0-9A-Za-z.]+)*")


@dataclass
class _Seen:
    """What was seen of one system; insertion order is kept, which is the order of strength."""

    evidence: dict[str, None] = field(default_factory=dict)
    namespaces: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)
    guesses: set[str] = field(default_factory=set)  # of its own workloads' images that are not known as its own
    own: list[bool] = field(default_factory=list)  # readiness of its own workloads
    hosted: list[bool] = field(default_factory=list)  # readiness of users' workloads that run its image
    signs: set[SystemSign] = field(default_factory=set)
    wanted: int = 0
    ready: int = 0
    told: bool = False  # some of its own workloads say how many of their pods are ready
    used: bool = False
    managed: bool = False

    def note(self, text: str, sign: SystemSign) -> None:
        self.signs.add(sign)
        if len(self.evidence) < _MAX_EVIDENCE:
            self.evidence[text[:300]] = None


class ControllerFacts(NamedTuple):
    """What a Deployment, DaemonSet or StatefulSet tells of a system."""

    kind: str
    namespace: str
    name: str
    images: tuple[str, ...]
    wanted: int
    ready: int | None  # None = the object has no status, as a manifest has none


def controller_facts(kind: str, item: Controller) -> ControllerFacts:
    """Return the facts of a controller."""
    containers = item.spec.template.spec.containers if item.spec.template else None
    images = tuple(container.image or "" for container in containers or ())
    return ControllerFacts(kind, item.metadata.namespace, item.metadata.name, images, *_replicas(item))


def shows_system(facts: ControllerFacts) -> bool:
    """Whether a controller is a known system's own, or runs its image."""
    return any(systems_of_image(image) for image in facts.images) or bool(_owners(facts))


class SystemFacts:
    """Collects evidence of systems from objects as they pass by."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._schedulers: set[str] = set()

    def add_controller(self, facts: ControllerFacts) -> None:
        """Take a Deployment, DaemonSet or StatefulSet: a system's own workload, or one that runs its image."""
        name = f"{facts.kind} {facts.namespace}/{facts.name}"
        imaged: dict[str, str] = {}
        for image in facts.images:
            for key in systems_of_image(image):
                imaged.setdefault(key, image)
        owned = _owners(facts)
        for key in sorted(owned | imaged.keys()):
            seen = self._seen.setdefault(key, _Seen())
            told = f", {imaged[key]}" if key in imaged else ""
            ready = (
                "it is not told whether it runs" if facts.ready is None else f"{facts.ready} of {facts.wanted} ready"
            )
            seen.note(f"{name}: {ready}{told}", "workload" if key in owned else "image")
            seen.namespaces.add(facts.namespace)
            if key in owned:
                seen.wanted, seen.ready = seen.wanted + facts.wanted, seen.ready + (facts.ready or 0)
                seen.told = seen.told or facts.ready is not None
            if facts.ready is not None:
                (seen.own if key in owned else seen.hosted).append(facts.wanted > 0 and facts.ready >= facts.wanted)
            seen.versions |= {found for image in (imaged.get(key),) if image and (found := _version(key, image))}
            seen.guesses |= {found for image in facts.images[:1] if key in owned and (found := image_version(image))}

    def add_pod(self, images: Iterable[str], scheduler: str | None, namespace: str, *, ready: bool) -> None:
        """Take a running pod by its images and scheduler."""
        for image in images:
            for key in systems_of_image(image):
                seen = self._seen.setdefault(key, _Seen())
                seen.namespaces.add(namespace)
                seen.used = seen.used or ready
                if ready:
                    seen.signs.add("image")
                if found := _version(key, image):
                    seen.versions.add(found)
        if scheduler and len(self._schedulers) < _MAX_SCHEDULERS:
            self._schedulers.add(scheduler)

    def add_schedulers(self) -> None:
        """Take the schedulers that the pods named."""
        for name in sorted(self._schedulers):
            for key in _systems_of_scheduler(name):
                seen = self._seen.setdefault(key, _Seen())
                seen.note(f"pods with schedulerName {name}", "scheduler")
                seen.used = True

    def add_crds(self, names: Iterable[str], groups: Iterable[str]) -> None:
        """Take the names of CRDs and of served API groups; weak evidence."""
        crds, served = set(names), set(groups)
        for system in systems.all_systems():
            pattern = re.compile(system.crd_regex) if system.crd_regex else None
            found = sorted(crd for crd in crds if crd in system.crds or (pattern and pattern.search(crd)))
            found = [crd for crd in found if not crd.endswith(".scheduling.run.ai") or crd in system.crds]
            only = [group for group in system.api_groups if group in served and not found]
            if found:
                more = f" and {len(found) - 1} more" if len(found) > 1 else ""
                self._of(system).note(f"CRD {found[0]}{more}", "crd")
            elif only:
                self._of(system).note(f"API group {only[0]} is served", "crd")

    def add_custom(self, group: str, kind: str, plural: str, name: str) -> None:
        """Take a custom resource: the system is in use."""
        crd = f"{plural}.{group}"
        for system in systems.all_systems():
            if crd in system.crds:
                seen = self._of(system)
                if not any(text.startswith(f"{kind} ") for text in seen.evidence):
                    seen.note(f"{kind} {name}", "custom")
                seen.used = True

    def add_nodes(self, nodes: Iterable[Node]) -> None:
        """Take labels and resources of nodes, counted."""
        labels: Counter[str] = Counter()
        resources: Counter[str] = Counter()
        products: Counter[str] = Counter()
        for node in nodes:
            labels.update(node.labels.keys())
            resources.update(item.name for item in node.resources if item.capacity)
            products[node.labels.get(kubernetes.gfd().product, "")] += 1
        for system in systems.all_systems():
            offered = _most(resources, partial(_is_resource, system))
            pattern = system.product_regex
            sliced = _most(products, partial(_is_product, pattern))
            if found := offered or sliced:
                seen = self._of(system)
                seen.note(f"{found[0]} on {found[1]} nodes", "resource")
                seen.used = True
            for prefix in system.node_labels:
                if told := _most(labels, partial(_starts, prefix)):
                    self._of(system).note(f"label {prefix} on {told[1]} nodes", "label")
                    break

    def add_provider_managed(self, key: str, why: str) -> None:
        """Say that the provider runs a system out of sight; that does not count where the system has workloads here."""
        seen = self._seen.setdefault(key, _Seen())
        seen.managed = not seen.own
        seen.note(why, "managed")

    def has_workload(self, key: str) -> bool:
        """Whether a workload of the system itself was seen."""
        return key in self._seen and bool(self._seen[key].own)

    def records(self, *, cluster: str) -> tuple[InstalledSystem, ...]:
        """Return one record per system that anything was seen of, by key."""
        return tuple(
            InstalledSystem(
                cluster=cluster,
                system=key,
                version=", ".join(sorted(seen.versions or seen.guesses)[:4]) or None,
                ready=all(seen.own) if seen.own else any(seen.hosted) if seen.hosted else None,
                in_use=seen.used or None,
                provider_managed=seen.managed,
                seen=tuple(sign for sign in get_args(SystemSign) if sign in seen.signs),
                pods_wanted=seen.wanted if "workload" in seen.signs else None,
                pods_ready=seen.ready if seen.told else None,
                evidence=tuple(seen.evidence),
                namespaces=tuple(sorted(seen.namespaces))[:20],
            )
            for key, seen in sorted(self._seen.items())
        )

    def _of(self, system: System) -> _Seen:
        return self._seen.setdefault(system.key, _Seen())


def image_version(image: str) -> str | None:
    """Return the version in an image's tag, None for a digest alone, `latest` and the like."""
    tag = _TAG.search(image[:512])
    found = _VERSION.search(tag[1]) if tag else None
    return found[0] if found else None


def _owners(facts: ControllerFacts) -> set[str]:
    """Return the systems that a controller is the own workload of."""
    return set(systems.of_workload(kind=facts.kind, name=facts.name, namespace=facts.namespace))


def _version(key: str, image: str) -> str | None:
    """Return the version that an image tells of a system; of some only certain images tell its own."""
    system = systems.by_key(key)
    return image_version(image) if system and system.tells_version(image) else None


@lru_cache(maxsize=8192)
def systems_of_image(image: str) -> tuple[str, ...]:
    """Return the keys of the systems that an image is of."""
    return systems.of_image(image)


@lru_cache(maxsize=256)
def _systems_of_scheduler(name: str) -> tuple[str, ...]:
    return tuple(system.key for system in systems.all_systems() if name and name in system.scheduler_names)


def _replicas(item: Controller) -> tuple[int, int | None]:
    """Return how many pods are wanted and how many are ready, None for an object without a status."""
    status = item.status
    if status.desired_number_scheduled is not None:
        return status.desired_number_scheduled, status.number_ready or 0
    told = status.replicas is not None or status.ready_replicas is not None or bool(status.conditions)
    wanted = item.spec.replicas if item.spec.replicas is not None else 1
    return wanted, (status.ready_replicas or 0) if told or wanted == 0 else None


def _is_product(pattern: str | None, name: str) -> bool:
    return bool(pattern and re.search(pattern, name))


def _starts(prefix: str, name: str) -> bool:
    return name.startswith(prefix)


def _most(counts: Mapping[str, int], wanted: Callable[[str], bool]) -> tuple[str, int] | None:
    """Return the most common of the names that are wanted, with its count."""
    found = [(count, name) for name, count in counts.items() if wanted(name)]
    if not found:
        return None
    count, name = max(found, key=lambda one: (one[0], one[1]))
    return name, count


def _is_resource(system: System, name: str) -> bool:
    by_pattern = system.resource_regex is not None and re.search(system.resource_regex, name) is not None
    return by_pattern or any(name.startswith(prefix) for prefix in system.resources)


@lru_cache(maxsize=8192)
def agents_of(images: tuple[str, ...]) -> frozenset[str]:
    """Return the systems that a pod is an agent of, by its images."""
    return frozenset(key for image in images for key in systems_of_image(image))
