"""Nodes, and the device inventory of dynamic resource allocation (DRA)."""

import msgspec

from gpuaudit.collect.kubernetes_types.meta import Condition, Int64, Meta, Object, Part, Quantities, Quantity, Time


class Taint(Part):
    """A taint."""

    key: str = ""
    value: str | None = None
    effect: str = ""
    time_added: Time | None = None


class NodeSpec(Part):
    """What was decided about a node."""

    provider_id: str | None = msgspec.field(default=None, name="providerID")
    unschedulable: bool | None = None
    taints: list[Taint] | None = None


class NodeInfo(Part):
    """Versions on a node."""

    kernel_version: str | None = None
    os_image: str | None = None
    kubelet_version: str | None = None


class NodeAddress(Part):
    """A host name or IP of a node."""

    type: str = ""
    address: str = ""


class NodeStatus(Part):
    """What a node offers and how it fares."""

    addresses: list[NodeAddress] | None = None

    capacity: Quantities = None
    allocatable: Quantities = None
    conditions: list[Condition] | None = None
    node_info: NodeInfo = msgspec.field(default_factory=NodeInfo)


class LabelsOwned(Part):
    """The labels that a writer of an object owns."""

    labels: dict[str, object] | None = msgspec.field(default=None, name="f:labels")


class FieldsOwned(Part):
    """The fields that a writer of an object owns, as far as they are read here."""

    metadata: LabelsOwned | None = msgspec.field(default=None, name="f:metadata")


class Writer(Part):
    """Who wrote which fields of an object, and when it last changed one of them."""

    time: Time | None = None
    fields: FieldsOwned | None = msgspec.field(default=None, name="fieldsV1")


class NodeMeta(Meta):
    """ObjectMeta with its writers; kubectl leaves them out."""

    managed_fields: list[Writer] | None = None


class Node(Object):
    """A node."""

    metadata: NodeMeta = msgspec.field(default_factory=NodeMeta)

    spec: NodeSpec = msgspec.field(default_factory=NodeSpec)
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)


class Attribute(Part):
    """A typed attribute of a device: exactly one field is set."""

    string: str | None = None
    number: Int64 | None = msgspec.field(default=None, name="int")
    flag: bool | None = msgspec.field(default=None, name="bool")
    version: str | None = None


class DeviceCapacity(Part):
    """An amount that a device offers; older APIs give the quantity alone."""

    value: Quantity | None = None


class DeviceBody(Part):
    """Attributes and capacity: of the device itself (v1), or under `basic` (v1alpha3, v1beta1)."""

    attributes: dict[str, Attribute] | None = None
    capacity: dict[str, DeviceCapacity | Quantity] | None = None


class Device(DeviceBody):
    """A device in a resource slice."""

    name: str = ""
    basic: DeviceBody | None = None


class SlicePool(Part):
    """The pool that a slice is part of; only its newest generation counts."""

    name: str = ""
    generation: Int64 = 0


class SliceSpec(Part):
    """Devices of one driver, mostly on one node."""

    driver: str = ""
    node_name: str | None = None
    pool: SlicePool = msgspec.field(default_factory=SlicePool)
    devices: list[Device] | None = None


class ResourceSlice(Object):
    """A DRA inventory."""

    spec: SliceSpec = msgspec.field(default_factory=SliceSpec)


class ExactRequest(Part):
    """A request for devices of one class."""

    name: str = ""
    device_class_name: str = ""
    count: Int64 | None = None
    allocation_mode: str | None = None
    admin_access: bool | None = None


class DeviceRequest(ExactRequest):
    """A named request: `exactly` (v1, v1beta2), `firstAvailable`, or flat (v1beta1)."""

    exactly: ExactRequest | None = None
    first_available: list[ExactRequest] | None = None


class ClaimDevices(Part):
    """The requests of a claim."""

    requests: list[DeviceRequest] | None = None


class ClaimSpec(Part):
    """What a claim asks for."""

    devices: ClaimDevices = msgspec.field(default_factory=ClaimDevices)


class AllocatedDevice(Part):
    """A device that a claim was given."""

    request: str = ""
    driver: str = ""
    pool: str = ""
    device: str = ""
    admin_access: bool | None = None
    consumed_capacity: Quantities = None


class AllocatedDevices(Part):
    """The devices that a claim was given."""

    results: list[AllocatedDevice] | None = None


class Allocation(Part):
    """The outcome of an allocation."""

    devices: AllocatedDevices = msgspec.field(default_factory=AllocatedDevices)


class Consumer(Part):
    """Who may use a claim."""

    resource: str = ""
    name: str = ""
    uid: str = ""


class ClaimAllocation(Part):
    """How a claim fares."""

    allocation: Allocation | None = None
    reserved_for: list[Consumer] | None = None


class ResourceClaim(Object):
    """A DRA claim."""

    spec: ClaimSpec = msgspec.field(default_factory=ClaimSpec)
    status: ClaimAllocation = msgspec.field(default_factory=ClaimAllocation)


class ClaimTemplate(Part):
    """The claim that a template makes."""

    spec: ClaimSpec = msgspec.field(default_factory=ClaimSpec)


class ResourceClaimTemplate(Object):
    """A template of DRA claims."""

    spec: ClaimTemplate = msgspec.field(default_factory=ClaimTemplate)


class DeviceClassSpec(Part):
    """What a class is known as to pods that ask for an extended resource."""

    extended_resource_name: str | None = None


class DeviceClass(Object):
    """A DRA device class."""

    spec: DeviceClassSpec = msgspec.field(default_factory=DeviceClassSpec)
