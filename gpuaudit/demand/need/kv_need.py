"""The memory that a server of a language model needs, though it reserves more: what it holds, less cache never used.

    need = in use - cache + max(peak use of the cache x (1 + margin), one sequence of the longest length)

The server holds weights, activations, graphs and cache together; only the cache can be smaller. Its size comes from the
blocks that the engine reports and the model's geometry, or, where blocks are not told, from what is left beside
weights and a generous allowance. vLLM refuses to start with less cache than one sequence of the longest length takes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpuaudit.cluster.serving import Served
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Container
from gpuaudit.demand.need.told import flag_values, serving_containers, single
from gpuaudit.demand.usage.units import works_alone
from gpuaudit.knowledge import loading, models

MIB = 2.0**20
GIB = 2.0**30


@dataclass(frozen=True)
class NoNeed:
    """Why the need cannot be told."""

    because: str


@dataclass(frozen=True, kw_only=True)
class KvNeed:
    """The need in MiB over all devices, the daily peaks behind it, and how it came about."""

    mib: float
    peaks: int
    because: str


@dataclass(frozen=True, kw_only=True)
class _Server:
    """One kind of server: what it was told, what its engine told, and how many devices a replica has."""

    containers: tuple[Container, ...]
    served: Served
    model: models.Model
    name: str
    devices: int
    used: float  # bytes

    def flag(self, flags: Sequence[str], env: Sequence[str] = ()) -> tuple[str, ...]:
        return flag_values(self.containers, flags, env)


def reserving_engine(snapshot: Snapshot, owner: str) -> str | None:
    """Return the engine of the workload that reserves memory in advance, None where it has none."""
    workload = snapshot.workload_by_id.get(owner)
    engine = workload.engine if workload else None
    if engine in models.preallocators():
        return engine
    told = [row for row in snapshot.served_by_workload.get(owner, ()) if row.kv_peaks]
    return told[0].engine if told else None


def kv_need(snapshot: Snapshot, owner: str, engine: str, *, used_mib: float, devices: int) -> KvNeed | NoNeed:
    """Return the need of one replica of a server that reserves memory in advance, or why it cannot be told."""
    try:
        server = _server(snapshot, owner, used_mib * MIB, devices)
        return _need(server)
    except _CannotTellError as reason:
        return NoNeed(f"{_reserved(snapshot, owner, engine)}; {reason}")


class _CannotTellError(Exception):
    """A step of the arithmetic lacks a fact."""


def _reserved(snapshot: Snapshot, owner: str, engine: str) -> str:
    row = models.preallocators().get(engine)
    if row is None:
        return f"{engine} reserves memory in advance"
    told = flag_values(serving_containers(snapshot.pods_by_workload.get(owner, ())), row.flags, row.env)
    share = single(told, row.share)
    where = "as it was told" if told else "the default"
    return f"{engine} reserves memory in advance" + (f" ({share:g}, {where})" if share is not None else "")


def _server(snapshot: Snapshot, owner: str, used: float, devices: int) -> _Server:
    if not works_alone(snapshot, owner):
        raise _CannotTellError("its pods may share one model among them")
    pods = [pod for pod in snapshot.pods_by_workload.get(owner, ()) if pod.holdings]
    containers = serving_containers(pods)
    if unsettled := next(_unsettled(containers), None):
        raise _CannotTellError(f"it runs with {unsettled}, whose memory is not told")
    served = _told(snapshot.served_by_workload.get(owner, ()), pods=sum(pod.holds for pod in pods))
    workload = snapshot.workload_by_id.get(owner)
    name, model = _model([workload.model if workload else None, served.model])
    return _Server(containers=containers, served=served, model=model, name=name, devices=devices, used=used)


def _unsettled(containers: Sequence[Container]) -> Iterator[str]:
    for row in models.models().unsettling:
        if any(value not in row.off for value in flag_values(containers, row.flags)):
            yield row.what


def _told(rows: Sequence[Served], *, pods: int) -> Served:
    """Return what the engine told of its cache. Raises where it told nothing, of several models, or of few pods."""
    told = [row for row in rows if row.kv_peaks]
    if not told:
        seen = [row for row in rows if row.kv_max is not None]
        if not seen:
            raise _CannotTellError("the use of its KV cache was not measured")
        raise _CannotTellError(
            "the use of its KV cache was watched for less than a day"
            if any(row.days is not None for row in seen)
            else "the use of its KV cache is known for one moment only"
        )
    if len(told) > 1:
        raise _CannotTellError(f"it serves {len(told)} models at once")
    (row,) = told
    if row.days is None:
        raise _CannotTellError("the use of its KV cache is known for one moment only")
    if row.pods is not None and row.pods < pods:
        raise _CannotTellError(f"the use of the KV cache was measured for {row.pods} of {pods} pods only")
    return row


def _model(names: Sequence[str | None]) -> tuple[str, models.Model]:
    given = [name for name in names if name]
    for name in given:
        if models.is_multimodal(name):
            raise _CannotTellError(f"{_short(name)} reads images or sound, whose memory is not told")
        if not models.generates(name):
            raise _CannotTellError(f"{_short(name)} does not generate text, so its KV cache says nothing")
    found = next(((name, model) for name in given if (model := models.find(name))), None)
    if found is None:
        raise _CannotTellError(
            f"the geometry of the model {_short(given[0])} is not known" if given else "its model is not known"
        )
    if found[1].attention == "mixed":
        raise _CannotTellError(f"{found[1].name} keeps a window of tokens in some layers, so its cache is not computed")
    return found


def _need(server: _Server) -> KvNeed:
    yardsticks, served = models.models().memory, server.served
    per_token = _per_token(server)
    pool = _pool(server, per_token)
    peak = served.kv_peak
    assert peak is not None
    sequence = _longest(server) * per_token
    kept = max(min(1.0, peak * (1 + yardsticks.kv_margin)) * pool, min(sequence, pool))
    need = min(server.used, server.used - pool + kept)
    bound = "one sequence of the longest length" if sequence >= peak * (1 + yardsticks.kv_margin) * pool else "its peak"
    because = (
        f"{_gib(server.used)} in use less {_gib(pool - kept)} of KV cache that was never used: of {_gib(pool)} "
        f"for {server.model.name}, {peak:.0%} was in use at most; {bound} decides{_prefix_risk(served)}"
    )
    return KvNeed(mib=need / MIB, peaks=len(served.kv_peaks), because=because)


def _prefix_risk(served: Served) -> str:
    if not served.prefix_hits or not served.prefix_queries:
        return ""
    return f"; with less cache, the prefix hit rate of {served.prefix_hits / served.prefix_queries:.0%} may fall"


def _per_token(server: _Server) -> float:
    parallel = _parallel(server)
    flags = models.models().flags
    told = {*server.flag(flags.kv_dtype), *filter(None, [server.served.kv_dtype])} - {"auto"}
    if len(told) > 1:
        raise _CannotTellError("the data type of its KV cache is told in two ways")
    value = _value_bytes(told.pop() if told else "fp32" if _dtype(server) == "fp32" else "bf16")
    per_token = server.model.kv_bytes_per_token(value, tensor_parallel=parallel)
    if per_token is None:
        raise _CannotTellError(f"the geometry of {server.model.name} is not known")
    return per_token


def _parallel(server: _Server) -> int:
    flags = models.models().flags
    tensor = single(server.flag(flags.tensor_parallel, ("TENSOR_PARALLEL_SIZE", "NUM_SHARD")), 1.0)
    pipeline = single(server.flag(flags.pipeline_parallel, ("PIPELINE_PARALLEL_SIZE",)), 1.0)
    if tensor is None or pipeline is None or tensor * pipeline != server.devices:
        raise _CannotTellError(f"its flags do not say how the model is divided among {server.devices} devices")
    return int(tensor)


def _value_bytes(dtype: str) -> float:
    if dtype.startswith("fp8"):  # fp8_e4m3, fp8_e5m2, fp8_inc
        return loading.bytes_per_param("fp8") or 1.0
    known = loading.bytes_per_param(
        {"bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float": "fp32"}.get(dtype, dtype)
    )
    if known is None:
        raise _CannotTellError(f"the data type {dtype[:20]} of its KV cache is not known")
    return known


def _dtype(server: _Server) -> str | None:
    return models.dtype_of(
        *server.flag(models.models().flags.quantization, ("QUANTIZE", "DTYPE")), models.bare_name(server.name)
    )


def _weights(server: _Server) -> float:
    params, value = server.model.params_b, loading.bytes_per_param(_dtype(server) or "bf16")
    if params is None or value is None:
        raise _CannotTellError(f"the size of {server.model.name} is not known")
    return params * 1e9 * value


def _pool(server: _Server, per_token: float) -> float:
    """Return the size of the KV cache in bytes, at least. Raises where what is left cannot hold the weights."""
    served, yardsticks = server.served, models.models().memory
    weights = _weights(server)
    tokens = served.kv_tokens
    if served.kv_blocks and served.kv_block_tokens:
        tokens = served.kv_blocks * served.kv_block_tokens
    if tokens:
        pool = tokens * per_token
        if server.used - pool < weights * yardsticks.weights_floor:
            raise _CannotTellError(
                f"the numbers do not fit: {_gib(server.used)} in use cannot hold {_gib(pool)} of cache and "
                f"{_gib(weights)} of weights"
            )
        return pool
    quantized = weights * (yardsticks.quantized_spread if _dtype(server) not in (None, "fp32") else 1.0)
    overhead = yardsticks.overhead_gib * GIB * server.devices + yardsticks.overhead_share * server.used
    return max(0.0, server.used - quantized - overhead)


def _longest(server: _Server) -> float:
    """Return the tokens of the longest sequence that the server accepts."""
    told = server.flag(models.models().flags.max_model_len, ("MAX_MODEL_LEN",))
    context = server.model.context
    default = float(context) if context and not models.has_longer_context(server.name) else 0.0
    longest = single(told, default)
    if not longest:
        raise _CannotTellError("the longest sequence that it accepts is not known")
    return longest


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB"


def _short(name: str) -> str:
    return name[:80]
