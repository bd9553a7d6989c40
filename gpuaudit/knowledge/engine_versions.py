"""Serving engines: versions that are out of care or open to attack, and servers that leave most of a GPU unused."""

import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from typing import Literal

from gpuaudit.knowledge.reading import Entry, read_toml

Condition = Literal["", "multi_node", "vision", "v0"]
Kind = Literal["unmaintained", "security", "slow"]

_TAG = re.compile(r":(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})(?:@sha256:[0-9a-f]+)?$")
_NUMBERS = re.compile(r"(?:^|(?<=[-_v]))([0-9]{1,4}(?:\.[0-9]{1,4}){1,2})(?:\.post[0-9]+)?(?![.0-9])")
_UNRELEASED = re.compile(r"(?i)(rc|dev|nightly|alpha|beta)[\d._-]*|\d(a|b)\d")


class Reason(Entry, frozen=True, rename={"from_": "from"}):
    """Why versions from `from_` (None = any) up to, not including, `below` should go; `only` where that was seen."""

    engine: str
    below: str
    kind: Kind
    what: str
    source: str
    from_: str | None = None
    only: Condition = ""


class Server(Entry, frozen=True):
    """A server that leaves most of a GPU unused: by the key of a known system, its images or its command."""

    key: str
    name: str
    what: str
    source: str
    images: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    model_only: bool = False  # said only where the arguments or variables name a model

    def matches(self, *, engine: str | None, image: str, words: str) -> bool:
        """Whether a container runs this server."""
        if self.key and engine == self.key:
            return True
        by_image = any(_pattern(pattern).search(image[:512]) for pattern in self.images)
        return by_image or any(_pattern(pattern).search(words[:4096]) for pattern in self.commands)


class Inefficient(Entry, frozen=True):
    """The servers, the cards that matter, and the engines that are no such server."""

    gpu_memory_mib_from: int
    not_generative: tuple[str, ...]  # regular expressions over models' names
    better: tuple[str, ...]
    server: tuple[Server, ...]


class _Vision(Entry, frozen=True):
    models: tuple[str, ...]
    source: str


class _Variable(Entry, frozen=True):
    variable: str
    value: str
    source: str


class _MultiNode(Entry, frozen=True):
    kinds: tuple[str, ...]
    size_flags: tuple[str, ...]
    source: str


class _File(Entry, frozen=True):
    compiled: date
    reason: tuple[Reason, ...]
    images: dict[str, tuple[str, ...]]
    multi_node: _MultiNode
    vision: _Vision
    v0: _Variable
    inefficient: Inefficient


@cache
def _file() -> _File:
    return read_toml("engine_versions", _File)


def compiled() -> date:
    """Return the day on which the table was made."""
    return _file().compiled


def engine_of_image(image: str) -> str | None:
    """Return the engine whose version the image's tag is, None for any other image."""
    found = (key for key, patterns in _file().images.items() if any(_pattern(p).search(image[:512]) for p in patterns))
    return next(found, None)


def spans_nodes(kind: str) -> bool:
    """Whether workloads of the kind run one server over several nodes."""
    return kind in _file().multi_node.kinds


def size_flags() -> tuple[str, ...]:
    """Return the flags whose product is the number of GPUs of one server."""
    return _file().multi_node.size_flags


def version_text(image: str) -> str | None:
    """Return the version in an image's tag; None for `latest`, a digest, a nightly or anything that is no version."""
    tag = _TAG.search(image[:512])
    if tag is None or _UNRELEASED.search(tag["tag"]):
        return None
    found = _NUMBERS.search(tag["tag"])
    return found[1] if found else None


def version_of_image(image: str) -> tuple[int, ...] | None:
    """Return the version in an image's tag as numbers that can be compared."""
    text = version_text(image)
    return _numbers(text) if text else None


def reasons(engine: str, version: tuple[int, ...]) -> Iterator[Reason]:
    """Yield why this version of an engine should go, whatever the conditions."""
    for row in _file().reason:
        low = _numbers(row.from_) if row.from_ else ()
        if row.engine == engine and low <= version < _numbers(row.below):
            yield row


def takes_pictures(model: str | None) -> bool:
    """Whether a model's name says that it takes images or video."""
    return any(_pattern(pattern).search((model or "")[:256]) for pattern in _file().vision.models)


def runs_v0(env: dict[str, str]) -> bool:
    """Whether a container's variables switch vLLM's old engine on."""
    return env.get(_file().v0.variable) == _file().v0.value


def is_generative(model: str | None) -> bool | None:
    """Whether a model writes text, as far as its name tells; None without a name."""
    if not model:
        return None
    return not any(_pattern(pattern).search(model[:256]) for pattern in inefficient().not_generative)


def inefficient() -> Inefficient:
    """Return the servers that leave most of a GPU unused."""
    return _file().inefficient


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)
