"""Which profile of one GPU model can stand in for a profile of another."""

from collections.abc import Mapping, Sequence

from gpuaudit.errors import UserError
from gpuaudit.knowledge import mig
from gpuaudit.knowledge.mig import MigGpu, MigProfile

Serving = Mapping[str, str]  # request → the profile that serves it on one GPU model


def asked(gpus: Sequence[MigGpu], demand: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Return the demand by profile name, repeats added up. UserError for a profile that none of the GPUs has."""
    wanted: dict[str, int] = {}
    for text, count in demand:
        row = next((row for gpu in gpus if (row := mig.profile(gpu, text))), None)
        if row is None:
            names = list(dict.fromkeys(row.name for gpu in gpus for row in gpu.profiles))
            raise UserError(f"no profile {text!r} on {' or '.join(gpu.key for gpu in gpus)}", hint=_choices(names))
        wanted[row.name] = wanted.get(row.name, 0) + count
    return wanted


def serving(gpu: MigGpu, home: Sequence[MigGpu], requests: Sequence[str]) -> Serving:
    """Return the smallest profile of `gpu` that serves each request; a request that none serves is left out.

    A profile serves a request of its own name. Where the name does not exist, the smallest profile serves it that has
    at least the SMs and the memory of some profile of that name among the `home` GPUs, and the same media or graphics
    variant. SMs or memory that are not known serve nothing.
    """
    return {name: row.name for name in requests if (row := _smallest(gpu, home, name))}


def _smallest(gpu: MigGpu, home: Sequence[MigGpu], name: str) -> MigProfile | None:
    own = mig.profile(gpu, name)
    if own is not None:
        return own
    needs = [row for other in home if (row := mig.profile(other, name))]
    able = [row for row in gpu.profiles if any(_serves(row, need) for need in needs)]
    # where a bigger profile can start, a smaller one can too: the smallest is never the worse choice
    return min(able, key=lambda row: (row.size, -len(row.starts), row.g), default=None)


def _serves(have: MigProfile, need: MigProfile) -> bool:
    if have.sm is None or need.sm is None or have.memory_mib is None or need.memory_mib is None:
        return False
    return _variant(have) == _variant(need) and have.sm >= need.sm and have.memory_mib >= need.memory_mib


def _variant(row: MigProfile) -> str:
    return row.name.partition("gb")[2]


def _choices(names: Sequence[str]) -> str:
    return f"its profiles are {', '.join(names)}"
