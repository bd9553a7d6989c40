"""Text of the Kubernetes API or of `kubectl get -o json|yaml` → typed objects.

A list is decoded in one go; when an object in it has a value of an unexpected type, the list is decoded object by
object, and the broken ones are counted and named. Malformed text is a `MalformedError`: nothing of it is used.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from gpuaudit.collect.broken import Broken, Kind
from gpuaudit.collect.kubernetes_types import Object, Part
from gpuaudit.collect.kubernetes_types.apps import Controller, CronJob, Job
from gpuaudit.collect.kubernetes_types.core import (
    Budget,
    ConfigMap,
    Custom,
    EndpointSlice,
    Event,
    Hpa,
    PriorityClass,
    ResourceQuota,
    Service,
    StorageClass,
    VolumeClaim,
)
from gpuaudit.collect.kubernetes_types.meta import ListMeta
from gpuaudit.collect.kubernetes_types.nodes import (
    DeviceClass,
    Node,
    ResourceClaim,
    ResourceClaimTemplate,
    ResourceSlice,
)
from gpuaudit.collect.kubernetes_types.pods import Pod

Text = bytes | bytearray
T = TypeVar("T")

TYPES: dict[Kind, type[Object]] = {
    ("", "ConfigMap"): ConfigMap,
    ("", "Event"): Event,
    ("", "Namespace"): Object,
    ("", "Node"): Node,
    ("", "PersistentVolumeClaim"): VolumeClaim,
    ("", "Pod"): Pod,
    ("", "ResourceQuota"): ResourceQuota,
    ("", "Service"): Service,
    ("apps", "DaemonSet"): Controller,
    ("apps", "Deployment"): Controller,
    ("apps", "ReplicaSet"): Controller,
    ("apps", "StatefulSet"): Controller,
    ("autoscaling", "HorizontalPodAutoscaler"): Hpa,
    ("batch", "CronJob"): CronJob,
    ("batch", "Job"): Job,
    ("discovery.k8s.io", "EndpointSlice"): EndpointSlice,
    ("events.k8s.io", "Event"): Event,
    ("policy", "PodDisruptionBudget"): Budget,
    ("resource.k8s.io", "DeviceClass"): DeviceClass,
    ("resource.k8s.io", "ResourceClaim"): ResourceClaim,
    ("resource.k8s.io", "ResourceClaimTemplate"): ResourceClaimTemplate,
    ("resource.k8s.io", "ResourceSlice"): ResourceSlice,
    ("scheduling.k8s.io", "PriorityClass"): PriorityClass,
    ("storage.k8s.io", "StorageClass"): StorageClass,
}

MAX_DEPTH = 100  # of a YAML tree; a deeper one would overflow the C loader's stack
_ALIAS_HINT = re.compile(rb"(?:^|[\s\[{,])[&*][^\s,\]}]", re.MULTILINE)
_DEPTH_HINT = re.compile(rb"^[ ?-]{%d}" % (2 * MAX_DEPTH), re.MULTILINE)


class MalformedError(ValueError):
    """The text is neither whole JSON nor whole YAML of Kubernetes objects."""


class Page(msgspec.Struct, Generic[T], gc=False):
    """A list as the API server sends it; its items carry no kind of their own."""

    items: list[T] | None  # Go writes an empty list as null
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)
    kind: str = ""
    api_version: str = msgspec.field(default="", name="apiVersion")


class Head(Part):
    """Just enough of an object to name it."""

    api_version: str = ""
    kind: str = ""
    metadata: dict[str, Any] = {}

    def __str__(self) -> str:
        """Return Kind/namespace/name."""
        names = (self.kind, self.metadata.get("namespace"), self.metadata.get("name"))
        return "/".join(str(name)[:253] for name in names if name) or "an object without a name"


@dataclass
class Decoded:
    """Objects of a text by kind, and what could not be used."""

    objects: list[tuple[Kind, Object]] = field(default_factory=list)
    broken: Broken = field(default_factory=Broken)
    metadata: ListMeta = field(default_factory=ListMeta)
    unread: list[msgspec.Raw] = field(default_factory=list)  # texts of objects that their taker reads himself

    @property
    def count(self) -> int:
        """How many objects there are, broken ones among them."""
        return len(self.objects) + len(self.unread) + self.broken.count

    def fail(self, kind: Kind, metadata: object, reason: object) -> None:
        """Count a broken object and, within bounds, name it."""
        known = metadata if isinstance(metadata, dict) else {}
        self.broken.add(kind, str(known.get("namespace") or "")[:253], str(Head(kind=kind[1], metadata=known)), reason)


def decode_page(data: Text, kind: Kind, *, unread: bool = False) -> Decoded:
    """Decode a list answered by the API server, whose items are of `kind`. Raises MalformedError.

    With `unread` the items stay text, which they share with `data`.
    """
    if unread:
        page = raw_page(data)
        return Decoded(unread=page.items or [], metadata=page.metadata)
    try:
        typed = _page_decoder(TYPES.get(kind, Custom)).decode(data)
    except msgspec.ValidationError:
        return _one_by_one(data, kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(str(error)) from error
    return Decoded(objects=[(kind, item) for item in typed.items or ()], metadata=typed.metadata)


def decode_text(data: bytes) -> Decoded:
    """Decode what kubectl printed: JSON or YAML, one object, a list, or several documents. Raises MalformedError."""
    decoded = Decoded()
    if data.lstrip()[:1] == b"{":
        _take_json(data, decoded)
    else:
        for document in yaml_documents(data):
            _take_tree(document, decoded)
    return decoded


def split_kind(api_version: str, kind: str) -> Kind:
    """Return group and kind: ("apps", "Deployment") of apps/v1 Deployment."""
    group, slash, _ = api_version.partition("/")
    return (group if slash else "", kind)


def raw_page(data: Text) -> "Page[msgspec.Raw]":
    """Return a list with its items unread. Raises MalformedError."""
    try:
        return _page_decoder(msgspec.Raw).decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(str(error)) from error


def metadata_of(text: msgspec.Raw) -> dict[str, Any]:
    """Return the metadata of a broken object, {} where they are broken too."""
    try:
        return dict(_decoder(Head).decode(text).metadata)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}


def _one_by_one(data: Text, kind: Kind) -> Decoded:
    page = raw_page(data)
    decoded = Decoded(metadata=page.metadata)
    for raw in page.items or ():
        _take_raw(raw, kind, decoded)
    return decoded


def _take_json(data: bytes, decoded: Decoded) -> None:
    try:
        head = _decoder(Head).decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(str(error)) from error
    if not head.kind.endswith("List"):
        _take_raw(msgspec.Raw(data), split_kind(head.api_version, head.kind), decoded)
        return
    page = raw_page(data)
    inherited = split_kind(head.api_version, head.kind.removesuffix("List"))
    decoded.metadata = page.metadata
    for raw in page.items or ():
        _take_raw(raw, inherited, decoded)


def _take_raw(raw: msgspec.Raw, inherited: Kind, decoded: Decoded) -> None:
    head, kind = Head(), inherited
    try:
        head = _decoder(Head).decode(raw)
        kind = split_kind(head.api_version, head.kind) if head.kind else inherited
        decoded.objects.append((kind, _decoder(TYPES.get(kind, Custom)).decode(raw)))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        decoded.fail(kind, head.metadata, error)


def _take_tree(tree: object, decoded: Decoded) -> None:
    """Take one YAML document: an object, a list of objects, or nothing."""
    if tree is None:
        return
    if not isinstance(tree, dict) or not isinstance(tree.get("kind"), str):
        raise MalformedError("a document without kind is no Kubernetes object")
    kind = split_kind(str(tree.get("apiVersion", "")), tree["kind"])
    items = tree.get("items")
    if not (kind[1].endswith("List") and isinstance(items, list)):
        _take_item(tree, kind, decoded)
        return
    inherited = (kind[0], kind[1].removesuffix("List"))
    for item in items:
        own = isinstance(item, dict) and item.get("kind")
        _take_item(item, split_kind(str(item.get("apiVersion", "")), str(own)) if own else inherited, decoded)


def _take_item(item: object, kind: Kind, decoded: Decoded) -> None:
    try:
        decoded.objects.append((kind, msgspec.convert(item, TYPES.get(kind, Custom))))
    except (msgspec.ValidationError, RecursionError) as error:
        decoded.fail(kind, item.get("metadata") if isinstance(item, dict) else None, error)


def yaml_documents(data: bytes) -> Iterator[object]:
    """Yield the documents of a YAML text, read by the safe C loader. Raises MalformedError.

    What the loader takes badly is refused before: aliases and deep nesting.
    """
    import yaml

    try:
        if _ALIAS_HINT.search(data) or _DEPTH_HINT.search(data) or data.count(b"[") + data.count(b"{") > MAX_DEPTH:
            _refuse_bombs(data)
        yield from yaml.load_all(data, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise MalformedError(str(error).replace("\n", " ")[:300]) from error


def _refuse_bombs(data: bytes) -> None:
    """Walk the events, which needs no stack, and refuse an alias (a small file becomes a huge tree) or a deep tree."""
    import yaml

    depth = 0
    for event in yaml.parse(data, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise MalformedError("YAML aliases are not accepted")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise MalformedError(f"the YAML is nested more than {MAX_DEPTH} deep")


@cache
def _page_decoder(item: type[T]) -> "msgspec.json.Decoder[Page[T]]":
    return msgspec.json.Decoder(Page[item])  # type: ignore[valid-type]


@cache
def _decoder(item: type[T]) -> "msgspec.json.Decoder[T]":
    return msgspec.json.Decoder(item)


# msgspec describes a type when it is first used; a thread that meets a half described one crashes the process. So all
# are described here, where the import lock lets one thread in.
for _item in {*TYPES.values(), Custom}:
    _page_decoder(_item)
    _decoder(_item)
_page_decoder(msgspec.Raw)
_decoder(Head)
