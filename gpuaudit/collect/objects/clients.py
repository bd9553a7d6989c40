"""Which applications call a model whose address their environment names. Of the address only the class is kept.

The address itself lives no longer than the reading: it decides whether a Service in front of a model, a gateway, a
public model API or something unknown is called, and goes no further.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gpuaudit.cluster.platform import Service
from gpuaudit.cluster.workloads import HostClass, ModelClient, Pod
from gpuaudit.collect.kubernetes_types import Object
from gpuaudit.collect.kubernetes_types.apps import Controller
from gpuaudit.collect.objects.pods import host_class
from gpuaudit.collect.objects.systems import systems_of_image
from gpuaudit.collect.objects.workloads import template_of
from gpuaudit.knowledge.stack import matches, stack

_MAX_HOSTS = 20
_SERVICE = re.compile(r"(?P<name>[a-z0-9-]{1,63})(?:\.(?P<namespace>[a-z0-9-]{1,63})(?:\.svc(?:\.[a-z0-9.-]+)?)?)?")


class KeptClient(NamedTuple):
    """A controller whose template names models' endpoints: variable → host, before the hosts are classed."""

    kind: str
    namespace: str
    name: str
    hosts: Mapping[str, str]


def client_of(kind: str, item: Object) -> KeptClient | None:
    """Return the controller as a client of models, None when it names none, asks for no pod, or is a gateway itself."""
    template = template_of(item)
    if template is None or (isinstance(item, Controller) and item.spec.replicas == 0):
        return None
    containers = template.spec.containers or ()
    if any(key in stack().gateway.systems for one in containers for key in systems_of_image(one.image or "")):
        return None
    hosts = {
        variable.name: host
        for container in containers
        for variable in container.env or ()
        if variable.name in stack().client.env and (host := _host(variable.value or ""))
    }
    if not hosts:
        return None
    kept = dict(sorted(hosts.items())[:_MAX_HOSTS])
    return KeptClient(kind, item.metadata.namespace, item.metadata.name, kept)


def client_records(
    kept: Iterable[KeptClient], services: Iterable[Service], pods: Iterable[Pod], *, cluster: str
) -> tuple[ModelClient, ...]:
    """Return the clients with the class of each host."""
    found = {(one.namespace, one.name): one for one in services}
    serving: dict[str, list[Mapping[str, str]]] = {}
    for pod in pods:
        serving.setdefault(pod.namespace, []).append(pod.labels)
    return tuple(
        ModelClient(
            cluster=cluster,
            kind=one.kind,
            namespace=one.namespace,
            name=one.name,
            endpoints={name: _class(host, one.namespace, found, serving) for name, host in one.hosts.items()},
        )
        for one in sorted(kept, key=lambda one: (one.namespace, one.kind, one.name))
    )


def _host(value: str) -> str:
    """Return the host of an address; nothing when it is a reference that is filled in later."""
    text = re.sub(r"^[a-z][a-z0-9+.-]*://", "", value.strip().lower()[:2048])
    host = text.partition("/")[0].rpartition("@")[2].partition(":")[0][:253]
    return "" if "$" in host or "{" in host else host


def _class(
    host: str,
    namespace: str,
    services: Mapping[tuple[str, str], Service],
    serving: Mapping[str, list[Mapping[str, str]]],
) -> HostClass:
    gateway = stack().gateway
    match = _SERVICE.fullmatch(host)
    key = (match["namespace"] or namespace, match["name"]) if match else ("", "")
    service = services.get(key)
    if service is not None:
        if gateway.names(service.name, service.labels | service.selector):
            return "gateway"
        held = any(service.selector.items() <= labels.items() for labels in serving.get(key[0], ()))
        return "model" if service.selector and held else "in-cluster"
    if host_class(host) == "in-cluster":
        named = match is not None and matches(gateway.service_names, match["name"])
        return "gateway" if named else "in-cluster"
    if matches(gateway.external_hosts, host):
        return "gateway"
    return "provider" if matches(stack().client.provider_hosts, host) else "external"
