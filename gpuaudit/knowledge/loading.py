"""What loading a model costs: sizes, links, storage, measured loads, start-up phases. GB = 1e9 bytes."""

from collections.abc import Mapping
from functools import cache

from gpuaudit.knowledge.reading import Entry, read_toml


class Weights(Entry, frozen=True):
    """A model's weights on disk."""

    model: str
    params_b: float  # billions; 0 = not known
    dtype: str
    gb: float
    source: str


class Storage(Entry, frozen=True):
    """A storage's limit, in MiB/s or GB/s as its source says it."""

    name: str
    source: str
    mib_s: float | None = None
    gb_s: float | None = None
    iops: int | None = None
    note: str = ""
    disagreement: str = ""

    @property
    def gb_per_second(self) -> float | None:
        """Its limit in GB/s."""
        return self.gb_s if self.mib_s is None else self.mib_s * 2**20 / 1e9


class Measured(Entry, frozen=True):
    """A load that someone measured, in seconds."""

    set: str
    model: str
    loader: str
    load_s: float
    source: str
    storage: str = ""
    vllm_ready_s: float | None = None
    load_random_s: float | None = None
    note: str = ""


class VllmStartup(Entry, frozen=True):
    """Phases of a vLLM start and example durations in seconds."""

    phases: tuple[str, ...]
    phases_note: str
    torch_compile_s_example: float
    weights_load_s_example: float
    total_s_example: float
    example_source: str
    engine_overhead_s_runai: tuple[float, float]
    engine_overhead_source: str


class NodeProvisioning(Entry, frozen=True):
    """How long a fresh GPU node takes, in minutes; low confidence: measure instead."""

    gpu_node_ready_min: float
    gpu_node_ready_max: float
    unit: str
    image_gb: tuple[float, float]
    whole_cold_start_minutes: tuple[float, float]
    confidence: str
    source: str


class Formula(Entry, frozen=True):
    """The arithmetic of a cold start, and the loader's speed where none was measured."""

    cold_start: str
    default_loader_gb_s: float
    default_loader_note: str


class Loading(Entry, frozen=True):
    """The whole table."""

    compiled: str
    weights: tuple[Weights, ...]
    storage: tuple[Storage, ...]
    measured: tuple[Measured, ...]
    sources: dict[str, str]
    bytes_per_param: dict[str, float]
    path_gbps: dict[str, float]
    vllm_startup: VllmStartup
    node_provisioning: NodeProvisioning
    formula: Formula


@cache
def loading() -> Loading:
    """Return the table."""
    return read_toml("loading", Loading)


def bytes_per_param(dtype: str) -> float | None:
    """Return the bytes of one parameter of a data type, None for one that is not known."""
    return loading().bytes_per_param.get(dtype.casefold())


def sources() -> Mapping[str, str]:
    """Return the text behind each source tag of this table."""
    return loading().sources
