"""What serving engines told of the models they served over the window."""

from gpuaudit.cluster.record import Instant, Record


class Served(Record, frozen=True, kw_only=True):
    """One model of one engine, over all pods of one workload and the whole window. None = not told.

    Counts are over the window, resets undone. Latencies come from the histograms of all pods together; where a
    quantile lies above the last bucket it is unknown. Ratios 0-1.
    """

    cluster: str
    workload: str  # id; "" = the series name no pod that is known
    engine: str  # key of the engines in knowledge metrics: vllm, triton ...
    model: str  # as the engine names it; "" = it does not say
    source: str = ""
    pods: int | None = None  # that told of it in the newest hour
    first: Instant | None = None
    last: Instant | None = None
    days: float | None = None  # observed, in days of 24 h; None = a single point in time
    requests: float | None = None  # finished, errors and aborts among them where the engine counts them
    errors: float | None = None
    aborts: float | None = None
    duration_p50_seconds: float | None = None
    duration_p95_seconds: float | None = None
    ttft_p50_seconds: float | None = None
    ttft_p95_seconds: float | None = None
    queue_p95_seconds: float | None = None  # time in the queue
    waiting_p95: float | None = None  # requests in the queue, all pods together
    waiting_max: float | None = None
    running_p95: float | None = None
    running_max: float | None = None
    prompt_tokens: float | None = None
    generated_tokens: float | None = None
    preemptions: float | None = None
    prefix_hits: float | None = None  # tokens or requests, as `prefix_queries`
    prefix_queries: float | None = None
    kv_max: float | None = None  # largest use of any pod's KV cache over the window, 0-1
    kv_peaks: tuple[
        float, ...
    ] = ()  # the same of each day that was observed, oldest first; of other days with its next
    kv_blocks: float | None = None  # GPU blocks of the KV cache, of the pod that has the fewest
    kv_block_tokens: float | None = None
    kv_tokens: float | None = None  # size of the KV cache where it is told in tokens, of the pod that has the least
    kv_dtype: str | None = None  # as the engine names it; auto = the model's
    memory_utilization: float | None = None  # share of the device that the engine reserves, as it says itself

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Cluster, workload, engine and model: unique in a snapshot."""
        return (self.cluster, self.workload, self.engine, self.model)

    @property
    def kv_peak(self) -> float | None:
        """Largest use of any pod's KV cache over the window, 0-1."""
        return max(self.kv_peaks, default=self.kv_max)

    @property
    def error_ratio(self) -> float | None:
        """Share of the requests that failed or were aborted; None where neither is counted, or without requests."""
        bad = [count for count in (self.errors, self.aborts) if count is not None]
        return min(1.0, sum(bad) / self.requests) if bad and self.requests else None
