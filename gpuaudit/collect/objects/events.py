"""Events of either API group, bounded in number and length."""

from datetime import datetime

from gpuaudit.cluster.platform import Event as EventRecord
from gpuaudit.collect.kubernetes_types.core import Event
from gpuaudit.knowledge.objects import objects


def event_record(item: Event, *, cluster: str) -> EventRecord:
    """Return an event about an object."""
    about = item.involved_object or item.regarding
    first = item.first_timestamp or item.event_time or item.metadata.creation_timestamp
    component = (
        item.reporting_component or item.reporting_controller or (item.source.component if item.source else None)
    )
    return EventRecord(
        cluster=cluster,
        namespace=(about.namespace if about else "") or "",
        api_group=about.api_version.rpartition("/")[0] if about else "",
        kind=about.kind if about else "",
        name=about.name if about else "",
        reason=(item.reason or "")[:128],
        message=(item.message or item.note or "")[: objects().limits.message_chars],
        type=item.type or "Normal",
        count=(item.series.count if item.series else None) or item.count or 1,
        first=first,
        last=last_seen(item) or first,
        component=(component or "")[:128],
    )


def last_seen(item: Event) -> datetime | None:
    """Return when the event was last seen."""
    series = item.series.last_observed_time if item.series else None
    return series or item.last_timestamp or item.event_time
