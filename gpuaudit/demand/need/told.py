"""What serving containers were told by flags and variables."""

from collections.abc import Iterable, Iterator, Sequence

from gpuaudit.cluster.workloads import Container, Pod


def serving_containers(pods: Iterable[Pod]) -> tuple[Container, ...]:
    """Return the containers that run with the pods, each kind once."""
    found = {
        (one.name, one.image, one.args, tuple(sorted(one.env.items()))): one
        for pod in pods
        for one in pod.containers
        if not one.init
    }
    return tuple(found[key] for key in sorted(found))


def flag_values(containers: Iterable[Container], flags: Sequence[str], env: Sequence[str] = ()) -> tuple[str, ...]:
    """Return each value that a flag or variable of these names has; "" for a flag without one."""
    return tuple(value for one in containers for value in (*_flags(one.args, flags), *_variables(one.env, env)))


def number(text: str) -> float | None:
    """Return a number as vLLM's command line reads it: `8192`, `32k` = 32,000, `32K` = 32,768; None for others."""
    factors = {"k": 1e3, "m": 1e6, "K": 2.0**10, "M": 2.0**20}
    factor = factors.get(text[-1:], 1.0)
    digits = text[:-1] if text[-1:] in factors else text
    try:
        value = float(digits) * factor
    except ValueError:
        return None
    return value if 0 < value < 1e15 else None


def single(values: Sequence[str], default: float) -> float | None:
    """Return the number that all values agree on, the default when there is none, None when they differ or are not."""
    numbers = {number(value) for value in values}
    if not numbers:
        return default
    return numbers.pop() if len(numbers) == 1 else None


def _flags(words: Sequence[str], flags: Sequence[str]) -> Iterator[str]:
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name not in flags:
            continue
        if equals:
            yield value
        else:
            following = words[position + 1] if position + 1 < len(words) else ""
            yield "" if following.startswith("-") and number(following[1:]) is None else following


def _variables(env: dict[str, str], names: Sequence[str]) -> Iterator[str]:
    return (env[name] for name in names if env.get(name))
