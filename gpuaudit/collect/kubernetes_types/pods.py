"""Pods."""

from collections.abc import Sequence

import msgspec

from gpuaudit.collect.kubernetes_types.meta import (
    Condition,
    Expression,
    Identity,
    Int32,
    Int64,
    Labels,
    Object,
    Part,
    Quantities,
    Quantity,
    Time,
)


class Resources(Part):
    """Requests and limits of a container or of a whole pod."""

    requests: Quantities = None
    limits: Quantities = None


class EnvVar(Part):
    """An environment variable with a literal value; references to Secrets have none."""

    name: str = ""
    value: str | None = None


class Asking(Part):
    """A container as far as the scheduler and the search for known systems read it."""

    image: str | None = None
    resources: Resources = msgspec.field(default_factory=Resources)
    restart_policy: str | None = None


class Container(Asking):
    """A container of a pod or of a pod template."""

    name: str = ""
    command: list[str] | None = None
    args: list[str] | None = None
    env: list[EnvVar] | None = None
    security_context: "SecurityContext | None" = None


class SecurityContext(Part):
    """Of a container."""

    privileged: bool | None = None


class NodeTerm(Part):
    """A node affinity term; fields are those of the node itself (its name)."""

    match_expressions: list[Expression] | None = None
    match_fields: list[Expression] | None = None


class NodeTerms(Part):
    """Required node affinity."""

    node_selector_terms: list[NodeTerm] | None = None


class NodeAffinity(Part):
    """Only what is required binds a pod."""

    required: NodeTerms | None = msgspec.field(default=None, name="requiredDuringSchedulingIgnoredDuringExecution")


class Affinity(Part):
    """Affinity of a pod; pod affinity is not read."""

    node_affinity: NodeAffinity | None = None


class Toleration(Part):
    """A toleration; without a key it tolerates everything."""

    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None


class EmptyDir(Part):
    """A scratch volume, in memory or on disk."""

    medium: str | None = None
    size_limit: Quantity | None = None


class HostPath(Part):
    """A path of the node."""

    path: str = ""


class PvcVolume(Part):
    """A volume that a claim gives."""

    claim_name: str = ""


class Volume(Part):
    """A volume of a pod."""

    name: str = ""
    empty_dir: EmptyDir | None = None
    persistent_volume_claim: PvcVolume | None = None
    host_path: HostPath | None = None


class Gate(Part):
    """A scheduling gate."""

    name: str = ""


class PodClaim(Part):
    """A reference to a resource claim or its template."""

    name: str = ""
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None


class GangRef(Part):
    """What a pod names its gang by: Kubernetes' own workload (1.35) or pod group (later)."""

    name: str | None = None
    pod_group_name: str | None = None


class LightSpec(Part):
    """What a pod asks for, as far as the scheduler reads it."""

    containers: Sequence[Asking] | None = None
    init_containers: Sequence[Asking] | None = None
    node_name: str | None = None
    scheduler_name: str | None = None
    overhead: Quantities = None
    resources: Resources | None = None


class PodSpec(LightSpec):
    """What a pod asks for."""

    containers: Sequence[Container] | None = None
    init_containers: Sequence[Container] | None = None
    node_selector: Labels = None
    affinity: Affinity | None = None
    tolerations: list[Toleration] | None = None
    priority: Int32 | None = None
    priority_class_name: str | None = None
    scheduling_gates: list[Gate] | None = None
    host_network: bool | None = None
    host_ipc: bool | None = msgspec.field(default=None, name="hostIPC")
    workload_ref: GangRef | None = None
    scheduling_group: GangRef | None = None
    resource_claims: list[PodClaim] | None = None
    volumes: list[Volume] | None = None
    termination_grace_period_seconds: Int64 | None = None


class Terminated(Part):
    """How a container ended."""

    reason: str | None = None
    exit_code: Int32 | None = None
    finished_at: Time | None = None


class Running(Part):
    """Since when a container runs."""

    started_at: Time | None = None


class Waiting(Part):
    """Why a container does not run."""

    reason: str | None = None


class ContainerState(Part):
    """One of the three."""

    running: Running | None = None
    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(Part):
    """State of a container."""

    name: str = ""
    ready: bool | None = None
    restart_count: Int32 | None = None
    state: ContainerState | None = None
    last_state: ContainerState | None = None


class ClaimStatus(Part):
    """Which claim was made from a template."""

    name: str = ""
    resource_claim_name: str | None = None


class RequestMapping(Part):
    """Which extended resource a claim's request stands for."""

    resource_name: str = ""


class ExtendedClaimStatus(Part):
    """The claim behind extended resources that DRA serves."""

    resource_claim_name: str | None = None
    request_mappings: list[RequestMapping] | None = None


class PodStatus(Part):
    """How a pod fares."""

    phase: str | None = None
    reason: str | None = None
    message: str | None = None
    conditions: list[Condition] | None = None
    start_time: Time | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    resource_claim_statuses: list[ClaimStatus] | None = None
    extended_resource_claim_status: ExtendedClaimStatus | None = None


class Pod(Object):
    """A pod."""

    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)


class State(Part):
    """The state of one condition, without its times."""

    type: str = ""
    status: str = ""


class LightMeta(Identity):
    """What tells which pod it is, and the names of its annotations."""

    annotations: dict[str, msgspec.Raw] | None = None


class LightPodSpec(LightSpec):
    """What a pod asks for, and whether it uses claims."""

    resource_claims: list[msgspec.Raw] | None = None


class LightStatus(Part):
    """How a pod fares, as far as a pod without GPU is looked at."""

    phase: str | None = None
    conditions: list[State] | None = None
    extended_resource_claim_status: ExtendedClaimStatus | None = None


class LightPod(Part):
    """A pod as far as it tells whether it holds a GPU, and what one without costs its node: a third of the work."""

    metadata: LightMeta = msgspec.field(default_factory=LightMeta)
    spec: LightPodSpec = msgspec.field(default_factory=LightPodSpec)
    status: LightStatus = msgspec.field(default_factory=LightStatus)
