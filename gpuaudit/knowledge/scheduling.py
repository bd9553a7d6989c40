"""How schedulers, queues, quotas and disruption budgets say why work waits or stays where it is."""

import re
from functools import cache
from typing import Literal

from gpuaudit.knowledge.kubernetes import matches
from gpuaudit.knowledge.reading import Entry, read_toml

Why = Literal["zone", "affinity", "gang"]


class QuotaTexts(Entry, frozen=True):
    """Messages about quotas; `exceeded` has groups quota, requested, used, limited (each `NAME=AMOUNT,…`)."""

    refused_reasons: tuple[str, ...]
    exceeded: str
    requests_prefix: str
    queue_never: tuple[str, ...]  # what is asked can never be let in
    queue_full: tuple[str, ...]
    queue_topology: tuple[str, ...]
    sources: tuple[str, ...]


class Verdict(Entry, frozen=True):
    """What a scheduler's message gives as the reason."""

    reason: Why
    patterns: tuple[str, ...]
    sources: tuple[str, ...]


class PlaceLabels(Entry, frozen=True):
    """Node labels that say what a node is, and where it stands."""

    hardware_prefixes: tuple[str, ...]
    hardware: tuple[str, ...]
    zone: tuple[str, ...]
    owner_taints: tuple[str, ...]
    sources: tuple[str, ...]


class Gang(Entry, frozen=True):
    """What shows that pods are ranks of one job, and which kinds let them in together."""

    default_schedulers: tuple[str, ...]
    kinds: tuple[str, ...]
    batch_kinds: tuple[str, ...]
    grouped_kinds: tuple[str, ...]
    startup_path: str
    node_flags: tuple[str, ...]
    process_flags: tuple[str, ...]
    node_env: tuple[str, ...]
    process_env: tuple[str, ...]
    rendezvous_flags: tuple[str, ...]
    programs: tuple[str, ...]
    env_prefixes: tuple[str, ...]
    parallel_flags: tuple[str, ...]
    gang_schedulers: tuple[str, ...]
    sources: tuple[str, ...]


class Blocked(Entry, frozen=True):
    """An event that says that a budget blocked a move; no `reasons` = any reason."""

    reasons: tuple[str, ...]
    pattern: str
    source: str


class SharedMemory(Entry, frozen=True):
    """What containers get at /dev/shm, and how a process ends that wrote beyond it."""

    default_bytes: int
    bus_error_exit: int
    sources: tuple[str, ...]


class Persons(Entry, frozen=True):
    """Label and annotation keys whose value is a person."""

    keys: tuple[str, ...]
    sources: tuple[str, ...]


class Scoring(Entry, frozen=True):
    """How kube-scheduler chooses among nodes that fit, by the type of its scoring strategy."""

    default: str
    packing: tuple[str, ...]
    sources: tuple[str, ...]


class Scheduling(Entry, frozen=True):
    """The whole file."""

    compiled: str
    sources: dict[str, str]
    moving_consolidation: tuple[str, ...]  # Karpenter's policies that move pods; WhenEmpty moves none
    quota: QuotaTexts
    verdict: tuple[Verdict, ...]
    labels: PlaceLabels
    gang: Gang
    blocked: tuple[Blocked, ...]
    shared_memory: SharedMemory
    persons: Persons
    scoring: Scoring


@cache
def scheduling() -> Scheduling:
    """Return the table."""
    return read_toml("scheduling", Scheduling)


def verdict(message: str) -> Why | None:
    """Return the reason that a scheduler's message gives beyond a lack of room, None when it gives none."""
    return next((row.reason for row in scheduling().verdict if matches(row.patterns, message)), None)


def is_hardware(label: str) -> bool:
    """Whether a node label says what hardware a node has."""
    known = scheduling().labels
    return label in known.hardware or label.startswith(known.hardware_prefixes)


def refused_by_quota(message: str) -> re.Match[str] | None:
    """Return the parts of a message that a ResourceQuota refused a pod."""
    return re.search(scheduling().quota.exceeded, message[:2000])


def blocking_budgets(reason: str, message: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the budgets and the pods (namespace/name) that an event says kept a node from being emptied."""
    for row in scheduling().blocked:
        found = re.search(row.pattern, message[:2000]) if not row.reasons or reason in row.reasons else None
        if found:
            told = found.groupdict()
            budgets = tuple(part.strip() for part in (told.get("budget") or "").split(",") if part.strip())
            return budgets, tuple(filter(None, [told.get("pod")]))
    return None
