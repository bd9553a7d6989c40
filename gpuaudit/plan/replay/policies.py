"""The replay: what each keep-alive, being always on, and perfect foresight would have cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpuaudit.plan.replay.arrivals import Arrivals, Codes, Nanoseconds
from gpuaudit.plan.replay.concurrency import peak
from gpuaudit.plan.replay.timeline import Timeline, exact_sum, timeline
from gpuaudit.plan.replay.waits import Waits


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What one policy would have cost. Nanoseconds; the wait is None when the time of a load is not known."""

    name: str
    keep_alive: int | None
    gpu: int
    cold_starts: int
    p95_wait: int | None


@dataclass(frozen=True, kw_only=True)
class Use:
    """Per model, by its index: requests, instances at its peak, and busy time in nanoseconds."""

    names: tuple[str, ...]
    requests: npt.NDArray[np.int64]
    instances: npt.NDArray[np.int64]
    busy: npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """All policies over the same arrivals. Nanoseconds; one instance is one GPU."""

    requests: int
    models: int
    horizon: int
    busy: int
    peak: int
    load: int | None
    policies: tuple[Policy, ...]
    gaps: Nanoseconds  # idle times between the blocks of service of an instance
    gap_models: Codes  # and the model of each
    use: Use


class _Tally:
    """Adds a policy up over the timelines."""

    def __init__(self, keep_alive: int, requests: int, load: int | None) -> None:
        self.keep_alive = keep_alive
        self.load = load
        self.held = 0
        self.cold = 0
        self.waits = Waits(requests)

    def add(self, line: Timeline) -> None:
        cold = line.first | (line.gap > self.keep_alive)
        lasting = line.gap[~line.first]
        self.held += exact_sum(np.minimum(lasting, min(self.keep_alive, np.iinfo(np.int64).max)))
        self.held += self.keep_alive * int(line.first.sum())
        self.cold += int(cold.sum())
        self.waits.add(line, cold, self.load or 0)

    def policy(self, busy: int) -> Policy:
        return Policy(
            name="keep_alive",
            keep_alive=self.keep_alive,
            gpu=busy + self.held + self.cold * (self.load or 0),
            cold_starts=self.cold,
            p95_wait=None if self.load is None else self.waits.quantile(),
        )


def replay(
    arrivals: Arrivals, keep_alives: Sequence[int], *, load: int | None = None, slots: int | None = None
) -> Replay:
    """Replay the arrivals under every keep-alive at once. Keep-alives and load in nanoseconds.

    Without slots one instance serves any number of requests at once.
    """
    ordered = arrivals.by_model()
    tallies = [_Tally(keep_alive, len(ordered.arrival), load) for keep_alive in keep_alives]
    count = len(ordered.names)
    instances, busy_by_model = np.zeros(count, np.int64), np.zeros(count)
    busy, gaps, owners = 0, [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    for rows in ordered.batches():
        line = timeline(ordered, rows, slots)
        for tally in tallies:
            tally.add(line)
        busy += exact_sum(line.busy)
        instances += np.bincount(line.block_model[line.first], minlength=count)
        busy_by_model += np.bincount(line.block_model, weights=line.busy, minlength=count)
        gaps.append(line.gap[~line.first])
        owners.append(line.block_model[~line.first])
    horizon = int(ordered.end.max()) - int(ordered.arrival.min())
    idle = np.concatenate(gaps)
    ends = (_always_on(int(instances.sum()) * horizon, load), _oracle(busy, idle, load))
    return Replay(
        requests=len(ordered.arrival),
        models=count,
        horizon=horizon,
        busy=busy,
        peak=peak(ordered.arrival, ordered.end),
        load=load,
        policies=(*(tally.policy(busy) for tally in tallies), *ends),
        gaps=idle,
        gap_models=np.concatenate(owners),
        use=Use(
            names=ordered.names,
            requests=np.bincount(ordered.model, minlength=count),
            instances=instances,
            busy=busy_by_model,
        ),
    )


def _always_on(gpu: int, load: int | None) -> Policy:
    """All the instances that a model needs at its peak, for the whole time; they were loaded before it began."""
    return Policy(name="always_on", keep_alive=None, gpu=gpu, cold_starts=0, p95_wait=None if load is None else 0)


def _oracle(busy: int, gaps: Nanoseconds, load: int | None) -> Policy:
    """Foresight: in each gap the cheaper of holding the instance and loading it again, in time for the next request.

    Like being always on it begins loaded, so it is charged the loads within gaps alone.
    """
    reload = load or 0
    return Policy(
        name="oracle",
        keep_alive=None,
        gpu=busy + exact_sum(np.minimum(gaps, reload)),
        cold_starts=int((gaps > reload).sum()),
        p95_wait=None if load is None else 0,
    )
