"""What is known of kube-scheduler's own configuration: how it scores nodes, and whether it starts gangs together."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.memory import once
from gpuaudit.knowledge.scheduling import scheduling

FIELD = "scheduler."


@dataclass(frozen=True)
class Profile:
    """Settings of the default profile; `scoring` and `gang` None = the configuration cannot be seen."""

    scoring: str | None = None
    gang: bool | None = None
    source: str = ""


def profile(snapshot: Snapshot, cluster: str) -> Profile:
    """Return what a ConfigMap says of the default scheduler's profile; a managed control plane shows none."""
    return _profiles(snapshot).get(cluster, Profile())


@once
def _profiles(snapshot: Snapshot) -> Mapping[str, Profile]:
    found: dict[str, Profile] = {}
    names = [FIELD + name for name in scheduling().gang.default_schedulers if name]
    for item in snapshot.custom_objects:
        text = next((item.fields[name] for name in names if name in item.fields), None)
        if item.kind == "ConfigMap" and text:
            told = json.loads(text)
            scoring = told.get("scoring") or scheduling().scoring.default
            found[item.cluster] = Profile(scoring, bool(told.get("gang")), f"ConfigMap {item.namespace}/{item.name}")
    return found


def packs(found: Profile) -> bool | None:
    """Whether the scheduler fills nodes up before it takes the next one; None = not known."""
    return None if found.scoring is None else found.scoring in scheduling().scoring.packing
