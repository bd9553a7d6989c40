"""What all Kubernetes objects share: metadata, owners, conditions, quantities, times."""

from datetime import datetime
from typing import Annotated

import msgspec

Time = Annotated[datetime, msgspec.Meta(tz=True)]  # RFC 3339; a time without zone is an error
Quantity = str | int | float  # "100m", "1Gi", 8
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]  # JSON has integers of any length
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Quantities = dict[str, Quantity] | None
Labels = dict[str, str] | None


class Part(msgspec.Struct, rename="camel", gc=False):
    """A piece of an object: camel case outside, fields that are not named here are skipped unread."""


class OwnerReference(Part):
    """Who made the object."""

    kind: str = ""
    name: str = ""
    api_version: str = ""
    uid: str = ""
    controller: bool | None = None


class Identity(Part):
    """The part of ObjectMeta that tells which object it is, in which version, and whose."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: Time | None = None
    labels: Labels = None
    owner_references: list[OwnerReference] | None = None


class Meta(Identity):
    """ObjectMeta."""

    deletion_timestamp: Time | None = None
    annotations: Labels = None
    finalizers: list[str] | None = None


class ListMeta(Part):
    """Metadata of a list: where the next page begins."""

    continue_: str = msgspec.field(default="", name="continue")
    resource_version: str = ""
    remaining_item_count: Int64 | None = None


class Condition(Part):
    """A status condition; also conditions of custom resources, whose times may be missing."""

    type: str = ""
    status: str = ""
    reason: str | None = None
    message: str | None = None
    last_transition_time: Time | None = None
    last_heartbeat_time: Time | None = None


class Object(Part):
    """Any object: its kind and metadata."""

    api_version: str = ""
    kind: str = ""
    metadata: Meta = msgspec.field(default_factory=Meta)


class Expression(Part):
    """One expression of a label selector or a node affinity term."""

    key: str = ""
    operator: str = ""
    values: list[str] | None = None


class Selector(Part):
    """A label selector."""

    match_labels: Labels = None
    match_expressions: list[Expression] | None = None
