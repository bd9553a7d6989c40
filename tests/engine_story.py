"""Histories of serving engines with known answers, as OpenMetrics lines."""

from tests.metrics.history import openmetrics

HOURS = 72.0
STEP = 240.0
BOUNDS = (0.1, 0.5, 1.0, 5.0)
CHAT = "c/Deployment/nlp/chat"
PODS = {"a": "chat-7d9f8b6c5d-x2x4z", "b": "chat-7d9f8b6c5d-qqqqq"}


def pod(name, space="nlp", *, exported=False, **more):
    """Return the labels of a scraped pod, in one of the two dialects."""
    named = {"pod": name, "namespace": space, "job": "nlp/engines", "instance": f"10.0.0.{len(name)}:8000"}
    if exported:
        named |= {"exported_pod": name, "exported_namespace": space, "pod": "collector-0", "namespace": "monitoring"}
    return named | more


def counter(rate, *, hours=HOURS, start=0.0, reset=None):
    """Return a counter that rises by `rate` an hour; at `reset` hours it begins anew."""
    found = []
    for i in range(round(hours * 3600 / STEP) + 1):
        t = i * STEP / 3600
        found.append((start + i * STEP, rate * (t - reset if reset is not None and t >= reset else t)))
    return found


def gauge(value, *, hours=HOURS, start=0.0):
    return [(start + i * STEP, value(i * STEP / 3600)) for i in range(round(hours * 3600 / STEP) + 1)]


def histogram(name, of, shares, rate, **when):
    """Return lines of a histogram whose requests (`rate` an hour) fall into the buckets by share; the rest is above."""
    lines, reached = [], 0.0
    for bound, share in zip((*BOUNDS, float("inf")), (*shares, 1 - sum(shares)), strict=True):
        reached += share
        le = "+Inf" if bound == float("inf") else str(bound)
        lines += openmetrics(f"{name}_bucket", of | {"le": le}, counter(rate * reached, **when))
    return lines


def vllm(of, *, rate=100.0, old=False, **when):
    """Return what one vLLM pod exports: v1, or v0 with the old names."""
    model = {"model_name": "llama", **({} if old else {"engine": "0"})}
    kv = "vllm:gpu_cache_usage_perc" if old else "vllm:kv_cache_usage_perc"
    lines = openmetrics(
        "vllm:request_success_total", of | model | {"finished_reason": "stop"}, counter(rate * 0.98, **when)
    )
    lines += openmetrics(
        "vllm:request_success_total", of | model | {"finished_reason": "abort"}, counter(rate * 0.02, **when)
    )
    lines += openmetrics("vllm:generation_tokens_total", of | model, counter(rate * 200, **when))
    lines += openmetrics("vllm:prompt_tokens_total", of | model, counter(rate * 1000, **when))
    lines += openmetrics("vllm:num_preemptions_total", of | model, counter(rate / 50, **when))
    lines += openmetrics(
        "vllm:num_requests_running",
        of | model,
        gauge(lambda t: 4, hours=when.get("hours", HOURS), start=when.get("start", 0.0)),
    )
    lines += openmetrics(
        "vllm:num_requests_waiting",
        of | model,
        gauge(lambda t: 20 if t % 24 < 3 else 1, hours=when.get("hours", HOURS), start=when.get("start", 0.0)),
    )
    lines += openmetrics(
        kv,
        of | model,
        gauge(
            lambda t: 0.5 + t / 1000 if abs(t % 24 - 12) < 0.1 else 0.25,
            hours=when.get("hours", HOURS),
            start=when.get("start", 0.0),
        ),
    )
    config = {"block_size": "16", "num_gpu_blocks": "5000", "cache_dtype": "auto", "gpu_memory_utilization": "0.9"}
    lines += openmetrics(
        "vllm:cache_config_info",
        of | config,
        gauge(lambda t: 1, hours=when.get("hours", HOURS), start=when.get("start", 0.0)),
    )
    lines += histogram("vllm:time_to_first_token_seconds", of | model, (0.5, 0.3, 0.1, 0.1), rate, **when)
    lines += histogram("vllm:e2e_request_latency_seconds", of | model, (0.0, 0.0, 0.5, 0.3), rate, **when)
    return lines
