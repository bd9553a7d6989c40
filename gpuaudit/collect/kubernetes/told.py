"""How reading a cluster went, in one line for a person, and as a source of the snapshot."""

from collections.abc import Iterable, Sequence

from gpuaudit.cluster.platform import Source, SourceStatus
from gpuaudit.collect.inventory import Inventory
from gpuaudit.collect.kubernetes.listing import How, Listed
from gpuaudit.collect.kubernetes.reading import Reading

THROTTLED_HINT = "the API server has too much to do, or limits this account (priority and fairness): try again later"
_NAMED = 6
_WEIGHTY = ("pods", "nodes", "namespaces")  # without these there is no audit


def source_of(reading: Reading, inventory: Inventory, *, alone: bool) -> Source:
    """Return the source that a reading is: ok, partial (something is missing), or failed."""
    cluster = reading.connection.cluster
    return Source(
        name="kubernetes" if alone else f"kubernetes of {cluster}",
        status=status_of(reading),
        detail="; ".join([_place(reading), *_lines(reading), *inventory.notes]),
        provides=() if status_of(reading) == "failed" else inventory.provides,
        cluster=cluster,
    )


def status_of(reading: Reading) -> SourceStatus:
    """Return failed when nothing was read, partial when anything that is there was not, else ok."""
    if reading.fatal or not any(one.how in (How.READ, How.PARTLY) or one.objects for one in reading.listed):
        return "failed"
    stopped = reading.interrupted or reading.out_of_time
    whole = all(one.complete or one.how is How.ABSENT for one in reading.listed)
    trouble = stopped or reading.discovered.stale or reading.builder.broken
    return "ok" if whole and not trouble else "partial"


def throttled(listed: Iterable[Listed], fatal: str = "") -> bool:
    """Whether the server refused a kind, or to say anything, because of too many requests (429)."""
    return any(told.startswith("429") or ", after 429" in told for told in (fatal, *(one.detail for one in listed)))


def weight(name: str) -> tuple[int, str]:
    """Return a key that sorts kinds by what an audit loses without them, then by name."""
    return (_WEIGHTY.index(name) if name in _WEIGHTY else len(_WEIGHTY), name)


def tenant_namespaces(reading: Reading) -> tuple[str, ...] | None:
    """Return the namespaces whose pods were read when it was not all of them."""
    pods = pods_of(reading)
    return pods.namespaces if pods else None


def pods_of(reading: Reading) -> Listed | None:
    """Return how listing the pods went."""
    return next((one for one in reading.listed if one.name == "pods"), None)


def _place(reading: Reading) -> str:
    connection = reading.connection
    unchecked = ", whose certificate is not checked" if connection.unchecked else ""
    return f"context {connection.context}" + (f" at {connection.server}{unchecked}" if connection.server else "")


def _lines(reading: Reading) -> list[str]:
    """Return what is missing, the gravest first."""
    lines = [reading.fatal] if reading.fatal else []
    used = "" if status_of(reading) == "failed" else ": what was read until then is used"
    if reading.interrupted:
        lines.append(f"stopped by hand{used}")
    if reading.out_of_time and not reading.fatal:
        lines.append(f"the time was over (--max-time){used}")
    spaces = tenant_namespaces(reading)
    if spaces:
        lines.append(f"pods of {_names(spaces)} only: no bill, since nodes or others' use of them are not seen")
        if not reading.chosen:
            lines.append("these namespaces are those that the kubeconfig or the cluster names: others by --namespace")
    for how in (How.FORBIDDEN, How.FAILED, How.OUT_OF_TIME):
        lines += _group(how, [one for one in reading.listed if one.how is how])
    broken = [one for one in reading.listed if one.how is How.PARTLY and one.namespaces is None]
    lines += _group(How.PARTLY, broken)
    lines += [f"{one.name} {remark}" for one in reading.listed for remark in dict.fromkeys(one.remarks)]
    if reading.discovered.guessed:
        lines.append("the server does not tell what it has: built-in kinds were tried")
    if reading.discovered.stale:
        lines.append(f"groups whose own server does not answer: {_names(reading.discovered.stale)}")
    return lines


def _group(how: How, listed: Sequence[Listed]) -> list[str]:
    if not listed:
        return []
    names = _names(sorted((one.name for one in listed), key=weight))
    first = next((one.detail for one in listed if one.detail), "")
    told = f" ({first})" if first and how is not How.FORBIDDEN else ""
    return [f"{how.value}: {names}{told}"]


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
