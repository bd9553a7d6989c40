"""A replay as plain data for JSON."""

from typing import Any

from gpuaudit.plan.replay.arrivals import SECOND
from gpuaudit.plan.replay.policies import Replay

HOUR = 3600 * SECOND


def replay_data(replay: Replay) -> dict[str, Any]:
    """Return what `replay -o json` prints."""
    return {
        "models": replay.models,
        "requests": replay.requests,
        "horizon_seconds": replay.horizon / SECOND,
        "busy_gpu_hours": replay.busy / HOUR,
        "peak_concurrency": replay.peak,
        "policies": [
            {
                "policy": policy.name,
                "keep_alive_seconds": None if policy.keep_alive is None else policy.keep_alive / SECOND,
                "gpu_hours": policy.gpu / HOUR,
                "cold_starts": policy.cold_starts,
                "p95_wait_seconds": None if policy.p95_wait is None else policy.p95_wait / SECOND,
            }
            for policy in replay.policies
        ],
    }
