"""Take what there may be any number of, events and ConfigMaps, within bounds."""

from gpuaudit.cluster.platform import CustomObject
from gpuaudit.collect.broken import Kind
from gpuaudit.collect.gather.published import is_published, take_published
from gpuaudit.collect.gather.state import Gathered
from gpuaudit.collect.kubernetes_types import Object
from gpuaudit.collect.kubernetes_types.core import ConfigMap, Event
from gpuaudit.collect.objects.events import event_record
from gpuaudit.collect.objects.platform import config_record, wants_config
from gpuaudit.collect.objects.settings import settings_record
from gpuaudit.knowledge.objects import objects

CONFIG_MAPS = "custom /ConfigMap"


def take_config(state: Gathered, _kind: Kind, item: Object) -> None:
    """Keep a ConfigMap that tells settings, or what the probes of nodes saw."""
    if isinstance(item, ConfigMap) and is_published(item):
        take_published(state, item)
        return
    if not isinstance(item, ConfigMap) or not state.kept.wants(CONFIG_MAPS, item.metadata):
        return
    record = settings_record(item, cluster=state.cluster)
    if record is None:
        if not wants_config(item):
            return
        record = config_record(item, cluster=state.cluster)
    chars = _chars(record)
    if state.config_chars + chars > objects().limits.config_total_chars:
        state.left_out[state.kept.taking, item.metadata.namespace] += 1
        return
    state.config_chars += chars
    state.kept.put(CONFIG_MAPS, item.metadata, record)


def take_event(state: Gathered, _kind: Kind, item: Object) -> None:
    """Keep an event within bounds; once all pods were read, only those about pods that are kept."""
    if not isinstance(item, Event) or not state.kept.wants("events", item.metadata):
        return
    record = event_record(item, cluster=state.cluster)
    strange = state.pods_complete and record.kind == "Pod" and (record.namespace, record.name) not in state.pods
    if strange or state.kept.count("events") >= 2 * objects().limits.events:
        state.left_out[state.kept.taking, record.namespace] += not strange
        return
    state.kept.put("events", item.metadata, record)


def recount(state: Gathered, kind: Kind, namespace: str | None) -> None:
    """Have the bounds of a kind that is listed anew, there or everywhere, count what is still here."""
    for place in [place for place in state.left_out if place[0] == kind and namespace in (None, place[1])]:
        del state.left_out[place]
    state.config_chars = sum(map(_chars, state.kept.values(CONFIG_MAPS, CustomObject)))


def _chars(record: CustomObject) -> int:
    return sum(map(len, record.fields.values()))
