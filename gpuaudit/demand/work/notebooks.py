"""Interactive work: which workloads are notebooks, when they last used their GPU, and what culls them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Container, Pod
from gpuaudit.demand.memory import once
from gpuaudit.demand.usage.hours import IDLE_BELOW
from gpuaudit.demand.usage.judgement import COVERAGE, FLOOR_CEILING
from gpuaudit.demand.usage.tenures import Tenure
from gpuaudit.demand.usage.traces import trace
from gpuaudit.knowledge import kubernetes

SATURDAY = 5
LEFT_HOURS = 24.0  # outside weekends


@dataclass(frozen=True)
class Rest:
    """How long a notebook has not used its devices. `working_hours` leave weekends out."""

    hours: float
    working_hours: float
    last_worked: datetime | None  # None = not within the window


def is_notebook(snapshot: Snapshot, owner: str) -> bool:
    """Whether the workload is interactive by its kind, its labels, its image or its command."""
    marks = kubernetes.notebooks()
    workload = snapshot.workload_by_id.get(owner)
    if workload and f"{workload.kind}.{workload.api_group}" in marks.kinds:
        return True
    return any(_is_interactive(pod) for pod in snapshot.pods_by_workload.get(owner, ()))


def _is_interactive(pod: Pod) -> bool:
    marks = kubernetes.notebooks()
    if any(key in pod.labels for key in marks.label_keys):
        return True
    if any(pod.labels.get(key) == value for key, value in marks.labels.items()):
        return True
    return any(
        kubernetes.matches(marks.images, container.image)
        or kubernetes.matches(marks.commands, " ".join(container.args))
        for container in pod.containers
        if not container.init
    )


def rest(snapshot: Snapshot, unit: Sequence[Tenure], *, timezone: str, below: float = IDLE_BELOW) -> Rest | None:
    """Return how long all devices of the unit have done nothing, up to now; None when that was not seen whole."""
    rests = [_rest(snapshot, tenure, ZoneInfo(timezone), below) for tenure in unit]
    known = [one for one in rests if one is not None]
    return min(known, key=lambda one: one.hours) if known and len(known) == len(rests) else None


def rests(snapshot: Snapshot, unit: Sequence[Tenure], *, timezone: str) -> bool:
    """Whether the notebook is left by the yardsticks that abandoned-notebook has without options."""
    found = rest(snapshot, unit, timezone=timezone)
    return found is not None and found.working_hours >= LEFT_HOURS


def _rest(snapshot: Snapshot, tenure: Tenure, zone: ZoneInfo, below: float) -> Rest | None:
    import numpy as np

    hours = trace(snapshot, tenure)
    most = np.where(np.isnan(hours["util_max"]), hours["util_mean"], hours["util_max"])
    seen = ~np.isnan(most)
    if not seen.any():
        return None
    watts = hours["power_mean_watts"]
    draws = (
        watts > FLOOR_CEILING * tenure.power_limit_watts if tenure.power_limit_watts and not tenure.profile else False
    )
    worked = np.flatnonzero((most >= below) | draws)
    start = int(worked[-1]) + 1 if len(worked) else 0
    quiet = np.flatnonzero(seen[start:]) + start
    now = snapshot.window.end.timestamp() / 3600
    first = float(hours.hour[start]) if start < len(hours) else now
    counted = float(hours.seen_hours[quiet].sum()) if not tenure.shared else float(len(quiet))
    if now - first <= 0 or counted < COVERAGE * (now - first):
        return None
    working = [i for i in quiet if _moment(hours.hour[i]).astimezone(zone).weekday() < SATURDAY]
    share = 1.0 if tenure.shared else float(hours.seen_hours[working].mean()) if working else 0.0
    last = _moment(hours.hour[start - 1]) if start else None
    return Rest(now - first, len(working) * share, last)


def _moment(hour: float) -> datetime:
    return datetime.fromtimestamp(int(hour) * 3600, UTC)


@once
def culled_after_hours(snapshot: Snapshot) -> float | None:
    """Return the idle time after which a culler that was seen ends notebooks; None when none was seen."""
    found = [hours for pod in snapshot.pods for one in pod.containers if (hours := _timeout(one)) is not None]
    return max(found, default=None)


def _timeout(container: Container) -> float | None:
    """Kubeflow says it in minutes (CULL_IDLE_TIME), the hub's culler in seconds (--timeout)."""
    enabled = container.env.get("ENABLE_CULLING", "").casefold() == "true"
    minutes = container.env.get("CULL_IDLE_TIME", "")
    if enabled and re.fullmatch(r"\d{1,6}", minutes):
        return int(minutes) / 60
    words = " ".join(container.args)
    if kubernetes.matches(kubernetes.notebooks().culler_commands, words):
        seconds = re.search(r"--timeout[= ](\d{1,8})", words)
        return int(seconds[1]) / 3600 if seconds else None
    return None
