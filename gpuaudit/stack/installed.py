"""The verdict on a system from its own traces alone: what runs, what only was installed once, what a provider runs."""

from gpuaudit.cluster.platform import InstalledSystem
from gpuaudit.knowledge.stack import stack
from gpuaudit.stack.view import UNREAD, Verdict, View

MOST_EVIDENCE = 4
NOT_RUNNING = "its CRD is served, but it is not running: nothing but traces of an installation"


def installed(view: View, *keys: str) -> Verdict:
    """Return the verdict on the systems behind a row: the strongest of theirs."""
    order = ("present", "misconfigured", "provider_managed", "unknown", "absent")
    told = [of_record(view, record) for key in keys if (record := view.system(key))]
    return min(told, key=lambda one: order.index(one.status), default=view.nothing())


def of_record(view: View, record: InstalledSystem) -> Verdict:
    """Return the verdict on one system of which something was seen."""
    evidence = record.evidence[:MOST_EVIDENCE] or tuple(f"seen in {name}" for name in record.namespaces[:1])
    if record.pods_wanted is not None:
        return _of_own(record, evidence)
    if not record.seen and record.ready is not None:  # a snapshot of before signs were kept
        return Verdict("present" if record.ready or record.in_use else "misconfigured", evidence, record.version)
    if "image" in record.seen:
        running = record.ready is not False or bool(record.in_use)
        told = evidence if running else ("no pod that runs it is ready", *evidence)
        return Verdict("present" if running else "misconfigured", told, record.version)
    if record.provider_managed:
        return Verdict("provider_managed", evidence, record.version)
    if "resource" in record.seen:
        return Verdict("present", evidence, record.version)
    return _of_traces(view, record, evidence)


def _of_traces(view: View, record: InstalledSystem, evidence: tuple[str, ...]) -> Verdict:
    """Return the verdict on a system of which nothing runs: what is left of it, or hints at it."""
    if not view.looked:
        return Verdict("unknown", (*evidence, UNREAD), record.version)
    if "scheduler" in record.seen:
        return Verdict("misconfigured", ("pods name its scheduler, and nothing of it runs", *evidence))
    if "custom" in record.seen or "crd" in record.seen:
        return Verdict("absent", (NOT_RUNNING, *evidence))
    return Verdict("absent", ("only labels of nodes hint at it", *evidence))


def _of_own(record: InstalledSystem, evidence: tuple[str, ...]) -> Verdict:
    """Return the verdict on a system whose own workloads were seen."""
    if record.pods_ready is None and "image" not in record.seen:
        return Verdict("unknown", ("its workload is there; whether it runs is not told", *evidence), record.version)
    if record.pods_ready or record.pods_ready is None:
        managed = set(record.namespaces) <= set(stack().provider_namespaces) and record.namespaces
        return Verdict("provider_managed" if managed else "present", evidence, record.version)
    if record.pods_wanted:
        return Verdict("misconfigured", ("none of its pods is ready", *evidence), record.version)
    return Verdict("misconfigured", ("it is installed and asks for no pod", *evidence), record.version)
