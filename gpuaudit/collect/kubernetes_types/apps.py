"""Workload controllers of Kubernetes itself."""

import msgspec

from gpuaudit.collect.kubernetes_types.meta import Condition, Int32, Meta, Object, Part, Time
from gpuaudit.collect.kubernetes_types.pods import PodSpec


class Template(Part):
    """A pod template."""

    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: PodSpec = msgspec.field(default_factory=PodSpec)


class RollingUpdate(Part):
    """How a roll-out proceeds."""

    max_surge: str | Int32 | None = None


class Strategy(Part):
    """Deployment strategy."""

    type: str | None = None
    rolling_update: RollingUpdate | None = None


class ClaimTemplate(Part):
    """A volume claim template of a StatefulSet."""

    metadata: Meta = msgspec.field(default_factory=Meta)


class ControllerSpec(Part):
    """Spec of Deployment, StatefulSet, DaemonSet and ReplicaSet."""

    replicas: Int32 | None = None
    template: Template | None = None
    strategy: Strategy | None = None
    volume_claim_templates: list[ClaimTemplate] | None = None


class ControllerStatus(Part):
    """Replica counts; DaemonSets have their own names for them."""

    replicas: Int32 | None = None
    ready_replicas: Int32 | None = None
    desired_number_scheduled: Int32 | None = None
    number_ready: Int32 | None = None
    conditions: list[Condition] | None = None


class Controller(Object):
    """A Deployment, StatefulSet, DaemonSet or ReplicaSet."""

    spec: ControllerSpec = msgspec.field(default_factory=ControllerSpec)
    status: ControllerStatus = msgspec.field(default_factory=ControllerStatus)


class JobSpec(Part):
    """What a Job runs."""

    completions: Int32 | None = None
    parallelism: Int32 | None = None
    backoff_limit: Int32 | None = None
    suspend: bool | None = None
    completion_mode: str | None = None
    template: Template | None = None


class JobStatus(Part):
    """How a Job fares."""

    active: Int32 | None = None
    succeeded: Int32 | None = None
    failed_indexes: str | None = None
    start_time: Time | None = None
    completion_time: Time | None = None
    conditions: list[Condition] | None = None


class Job(Object):
    """A Job."""

    spec: JobSpec = msgspec.field(default_factory=JobSpec)
    status: JobStatus = msgspec.field(default_factory=JobStatus)


class JobTemplate(Part):
    """The Job that a CronJob makes."""

    spec: JobSpec = msgspec.field(default_factory=JobSpec)


class CronJobSpec(Part):
    """When a CronJob runs what."""

    schedule: str | None = None
    time_zone: str | None = None
    suspend: bool | None = None
    job_template: JobTemplate | None = None


class CronJob(Object):
    """A CronJob."""

    spec: CronJobSpec = msgspec.field(default_factory=CronJobSpec)
