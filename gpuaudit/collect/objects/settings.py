"""Settings of schedulers and queues that stand in ConfigMaps: only what a rule reads is kept, the rest is dropped."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gpuaudit.cluster.platform import CustomObject
from gpuaudit.collect.decode import MalformedError, yaml_documents
from gpuaudit.collect.kubernetes_types.core import ConfigMap
from gpuaudit.collect.objects.nodes import bounded
from gpuaudit.collect.objects.trees import mapping, rows, text
from gpuaudit.knowledge.objects import objects

MAX_FILES = 20


def settings_record(item: ConfigMap, *, cluster: str) -> CustomObject | None:
    """Return what a ConfigMap says of a scheduler or of Kueue, None for any other one.

    `scheduler.NAME` = {"scoring", "resources", "gang"} of each profile; `kueue.PATH` = a setting of Kueue.
    """
    fields: dict[str, str] = {}
    for content in list((item.data or {}).values())[:MAX_FILES]:
        for document in _documents(content):
            fields |= _scheduler(document) | _queue(document)
    if not fields:
        return None
    return CustomObject(
        cluster=cluster,
        api_group="",
        kind="ConfigMap",
        name=item.metadata.name,
        namespace=item.metadata.namespace,
        fields=fields,
        labels=bounded(item.metadata.labels),
    )


def _documents(content: str) -> Iterator[Mapping[str, Any]]:
    """Yield the documents of a file that may be such settings; what is no YAML is none."""
    rules = objects().settings
    if len(content) > objects().limits.config_value_chars:
        return
    if rules.scheduler_kind not in content and rules.queue_group not in content:
        return
    try:
        yield from map(mapping, yaml_documents(content.encode()))
    except MalformedError:
        return


def _scheduler(document: Mapping[str, Any]) -> dict[str, str]:
    rules = objects().settings
    if document.get("kind") != rules.scheduler_kind:
        return {}
    found = {}
    for profile in rows(document.get("profiles")) or [{}]:
        configs = {text(row.get("name")): mapping(row.get("args")) for row in rows(profile.get("pluginConfig"))}
        strategy = mapping(configs.get(rules.scoring_plugin, {}).get("scoringStrategy"))
        enabled = {
            text(row.get("name"))
            for point in mapping(profile.get("plugins")).values()
            for row in rows(mapping(point).get("enabled"))
        }
        told = {
            "scoring": text(strategy.get("type")) or None,
            "resources": [text(row.get("name")) for row in rows(strategy.get("resources"))[:20]],
            "gang": bool(enabled & set(rules.gang_plugins)),
        }
        found[f"scheduler.{text(profile.get('schedulerName'))[:253] or 'default-scheduler'}"] = json.dumps(told)
    return found


def _queue(document: Mapping[str, Any]) -> dict[str, str]:
    rules = objects().settings
    group = text(document.get("apiVersion")).partition("/")[0]
    if (document.get("kind"), group) != (rules.queue_kind, rules.queue_group):
        return {}
    found = {"kueue.seen": "true"}
    for path in rules.queue_paths:
        value: object = document
        for step in path.split("."):
            value = mapping(value).get(step)
        if value is not None:
            told = json.dumps(value, default=str, sort_keys=True)
            found[f"kueue.{path}"] = told[: objects().limits.custom_value_chars]
    return found
