"""Namespaces, services, events, configuration, storage, quotas, autoscalers, budgets, and custom resources."""

from typing import Any

import msgspec

from gpuaudit.collect.kubernetes_types.meta import Condition, Int32, Labels, Object, Part, Quantities, Selector, Time


class ServicePort(Part):
    """A port of a service."""

    name: str | None = None
    port: Int32 = 0


class ServiceSpec(Part):
    """What a service selects."""

    selector: Labels = None
    ports: list[ServicePort] | None = None
    type: str | None = None
    external_name: str | None = None


class Service(Object):
    """A service."""

    spec: ServiceSpec = msgspec.field(default_factory=ServiceSpec)


class EndpointConditions(Part):
    """Whether an endpoint takes traffic; absent means yes."""

    ready: bool | None = None


class Endpoint(Part):
    """One endpoint."""

    conditions: EndpointConditions = msgspec.field(default_factory=EndpointConditions)


class EndpointSlice(Object):
    """Endpoints of a service."""

    endpoints: list[Endpoint] | None = None


class InvolvedObject(Part):
    """What an event is about."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class EventSource(Part):
    """Who reported."""

    component: str | None = None


class EventSeries(Part):
    """Repetitions of an event."""

    count: Int32 | None = None
    last_observed_time: Time | None = None


class Event(Object):
    """An event, in the form of either API group."""

    involved_object: InvolvedObject | None = None
    regarding: InvolvedObject | None = None
    reason: str | None = None
    message: str | None = None
    note: str | None = None
    type: str | None = None
    count: Int32 | None = None
    first_timestamp: Time | None = None
    last_timestamp: Time | None = None
    event_time: Time | None = None
    series: EventSeries | None = None
    source: EventSource | None = None
    reporting_component: str | None = None
    reporting_controller: str | None = None


class ConfigMap(Object):
    """A ConfigMap."""

    data: dict[str, str] | None = None


class ClaimResources(Part):
    """What a volume claim asks for."""

    requests: Quantities = None


class VolumeClaimSpec(Part):
    """Spec of a PersistentVolumeClaim."""

    storage_class_name: str | None = None
    access_modes: list[str] | None = None
    resources: ClaimResources = msgspec.field(default_factory=ClaimResources)


class VolumeClaimStatus(Part):
    """Status of a PersistentVolumeClaim."""

    capacity: Quantities = None


class VolumeClaim(Object):
    """A PersistentVolumeClaim."""

    spec: VolumeClaimSpec = msgspec.field(default_factory=VolumeClaimSpec)
    status: VolumeClaimStatus = msgspec.field(default_factory=VolumeClaimStatus)


class StorageClass(Object):
    """A StorageClass."""

    provisioner: str | None = None


class ScopeExpression(Part):
    """Which pods a quota is for."""

    scope_name: str = ""
    operator: str = ""
    values: list[str] | None = None


class ScopeSelector(Part):
    """Which pods a quota is for: all of these."""

    match_expressions: list[ScopeExpression] | None = None


class QuotaStatus(Part):
    """Limits and use of a ResourceQuota."""

    hard: Quantities = None
    used: Quantities = None


class QuotaSpec(QuotaStatus):
    """What a ResourceQuota asks for."""

    scopes: list[str] | None = None
    scope_selector: ScopeSelector | None = None


class ResourceQuota(Object):
    """A ResourceQuota."""

    spec: QuotaSpec = msgspec.field(default_factory=QuotaSpec)
    status: QuotaStatus = msgspec.field(default_factory=QuotaStatus)


class BudgetSpec(Part):
    """Spec of a PodDisruptionBudget."""

    selector: Selector | None = None
    min_available: str | Int32 | None = None
    max_unavailable: str | Int32 | None = None


class BudgetStatus(Part):
    """Status of a PodDisruptionBudget."""

    disruptions_allowed: Int32 | None = None
    current_healthy: Int32 | None = None
    desired_healthy: Int32 | None = None
    expected_pods: Int32 | None = None


class Budget(Object):
    """A PodDisruptionBudget."""

    spec: BudgetSpec = msgspec.field(default_factory=BudgetSpec)
    status: BudgetStatus = msgspec.field(default_factory=BudgetStatus)


class PriorityClass(Object):
    """A PriorityClass."""

    value: Int32 | None = None
    global_default: bool | None = None
    preemption_policy: str | None = None


class Custom(Object):
    """A custom resource, or any kind without a type of its own; only allow-listed paths of it are kept."""

    spec: dict[str, Any] | None = None
    status: dict[str, Any] | None = None


class ScaleTarget(Part):
    """What an autoscaler scales."""

    api_version: str = ""
    kind: str = ""
    name: str = ""


class HpaSpec(Part):
    """Spec of a HorizontalPodAutoscaler (v2; v1 has one CPU target)."""

    scale_target_ref: ScaleTarget = msgspec.field(default_factory=ScaleTarget)
    min_replicas: Int32 | None = None
    max_replicas: Int32 | None = None
    metrics: list[dict[str, Any]] | None = None
    behavior: dict[str, Any] | None = None
    target_cpu: Int32 | None = msgspec.field(default=None, name="targetCPUUtilizationPercentage")


class HpaStatus(Part):
    """Status of a HorizontalPodAutoscaler."""

    current_replicas: Int32 | None = None
    desired_replicas: Int32 | None = None
    conditions: list[Condition] | None = None


class Hpa(Object):
    """A HorizontalPodAutoscaler."""

    spec: HpaSpec = msgspec.field(default_factory=HpaSpec)
    status: HpaStatus = msgspec.field(default_factory=HpaStatus)
