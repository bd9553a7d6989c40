"""Language models and the engines that serve them, as far as GPU memory goes: geometry, data types, reservations."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Literal

from gpuaudit.knowledge.reading import Entry, read_toml


class Model(Entry, frozen=True):
    """A family of one size. `params_b` in billions; None = not known or of no use (see `attention`)."""

    name: str
    pattern: str
    source: str
    attention: Literal["full", "latent", "mixed"] = "full"
    params_b: float | None = None
    layers: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    latent: int | None = None  # values a token and layer, shared by all heads
    context: int | None = None  # tokens, unless the server is told otherwise

    def kv_bytes_per_token(self, value_bytes: float, *, tensor_parallel: int = 1) -> float | None:
        """Return the KV cache of one token over all devices of a replica, in bytes; None where it cannot be told.

        Heads that are fewer than the devices, and latent values, are kept on each device again.
        """
        if self.layers is None or self.attention == "mixed":
            return None
        if self.attention == "latent":
            return None if self.latent is None else self.layers * self.latent * value_bytes * tensor_parallel
        if self.kv_heads is None or self.head_dim is None:
            return None
        return 2 * self.layers * max(self.kv_heads, tensor_parallel) * self.head_dim * value_bytes


class Dtype(Entry, frozen=True):
    """A data type of weights, as names and flags tell it."""

    pattern: str
    dtype: str


class Names(Entry, frozen=True):
    """Patterns of names whose memory follows other laws than a plain language model's."""

    other_kinds: str
    multimodal: str
    long_context: str


class Memory(Entry, frozen=True):
    """Yardsticks of the memory formula; see the table's own comments."""

    quantized_spread: float
    weights_floor: float
    overhead_gib: float
    overhead_share: float
    kv_margin: float
    constant_below: float
    reserved_below: float
    reserved_above: float
    hours_for_constant: float


class Preallocator(Entry, frozen=True):
    """An engine that reserves memory in advance: `share` of a device unless flags or variables say another."""

    system: str
    share: float
    flags: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    note: str = ""


class Framework(Entry, frozen=True):
    """A framework that reserves memory in advance, unless a variable has the value that switches it off."""

    name: str
    share: float
    off: dict[str, str]
    env: tuple[str, ...] = ()


class Unsettling(Entry, frozen=True):
    """Flags that make an LLM server's need unknown, with the values that stand for not at all."""

    what: str
    flags: tuple[str, ...]
    off: tuple[str, ...] = ()


class Flags(Entry, frozen=True):
    """Flags of serving engines, by what they set."""

    tensor_parallel: tuple[str, ...]
    pipeline_parallel: tuple[str, ...]
    max_model_len: tuple[str, ...]
    kv_dtype: tuple[str, ...]
    quantization: tuple[str, ...]


class Models(Entry, frozen=True):
    """The whole table."""

    compiled: str
    model: tuple[Model, ...]
    sources: dict[str, str]
    name: Names
    dtype: tuple[Dtype, ...]
    memory: Memory
    preallocator: tuple[Preallocator, ...]
    framework: tuple[Framework, ...]
    unsettling: tuple[Unsettling, ...]
    flags: Flags


@cache
def models() -> Models:
    """Return the table."""
    return read_toml("models", Models)


def bare_name(text: str) -> str:
    """Return a model's name without its owner or path, in the form that the patterns read.

    Of a folder in a Hugging Face cache (`models--OWNER--NAME/snapshots/…`) it is the model's.
    """
    cached = re.search(r"models--[^/]+?--([^/]+)", text[:1000])
    last = cached[1] if cached else text[:300].rstrip("/").rpartition("/")[2]
    return re.sub(r"[\s_:]+", "-", last.casefold())


def find(text: str) -> Model | None:
    """Return the model of this name or path; None for one that is not in the table."""
    name = bare_name(text)
    return next((row for row in models().model if _pattern(f"(?:{row.pattern})(?![a-z0-9])").search(name)), None)


def is_multimodal(text: str) -> bool:
    """Whether a model's name says that it reads images or sound."""
    return bool(_pattern(models().name.multimodal).search(bare_name(text)))


def generates(text: str) -> bool:
    """Whether a model's name does not say that it embeds, ranks or classifies."""
    return not _pattern(models().name.other_kinds).search(bare_name(text))


def has_longer_context(text: str) -> bool:
    """Whether a model's name says that its context was extended."""
    return bool(_pattern(models().name.long_context).search(bare_name(text)))


def dtype_of(*texts: str) -> str | None:
    """Return the data type that names or flags tell; None = none of them says one."""
    for row in models().dtype:
        if any(_pattern(row.pattern).search(text[:300].casefold()) for text in texts):
            return row.dtype
    return None


def preallocators() -> Mapping[str, Preallocator]:
    """Return the engines that reserve memory in advance, by their key among the systems."""
    return {row.system: row for row in models().preallocator}


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)
