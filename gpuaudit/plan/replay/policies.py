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


class _Idle:
    """Gathers the idle gaps, and what each model's instances did."""

    def __init__(self, requests: int, models: int) -> None:
        self._gaps = np.empty(requests, np.int64)  # there are fewer; what is not written takes no memory
        self._owners = np.empty(requests, np.int32)
        self._seen = 0
        self.busy = 0
        self.instances, self.busy_by_model = np.zeros(models, np.int64), np.zeros(models)

    def add(self, line: Timeline) -> None:
        models = len(self.instances)
        gaps = line.gap[~line.first]
        here = slice(self._seen, self._seen + len(gaps))
        self._gaps[here], self._owners[here] = gaps, line.block_model[~line.first]
        self._seen = here.stop
        self.busy += exact_sum(line.busy)
        self.instances += np.bincount(line.block_model[line.first], minlength=models)
        self.busy_by_model += np.bincount(line.block_model, weights=line.busy, minlength=models)

    @property
    def gaps(self) -> Nanoseconds:
        return self._gaps[: self._seen]

    @property
    def owners(self) -> Codes:
        return self._owners[: self._seen]


def replay(
    arrivals: Arrivals, keep_alives: Sequence[int], *, load: int | None = None, slots: int | None = None
) -> Replay:
    """Replay the arrivals under every keep-alive at once. Keep-alives and load in nanoseconds.

    Without slots one instance serves any number of requests at once.
    """
    ordered = arrivals.by_model()
    requests, models = len(ordered.arrival), len(ordered.names)
    tallies = [_Tally(keep_alive, requests, load) for keep_alive in keep_alives]
    idle = _Idle(requests, models)
    for rows in ordered.batches():
        line = timeline(ordered, rows, slots)
        idle.add(line)
        for tally in tallies:
            tally.add(line)
    horizon = int(ordered.end.max()) - int(ordered.arrival.min())
    yardsticks = (_always_on(int(idle.instances.sum()) * horizon, load), _oracle(idle.busy, idle.gaps, load))
    return Replay(
        requests=requests,
        models=models,
        horizon=horizon,
        busy=idle.busy,
        peak=peak(ordered.arrival, ordered.end),
        load=load,
        policies=(*(tally.policy(idle.busy) for tally in tallies), *yardsticks),
        gaps=idle.gaps,
        gap_models=idle.owners,
        use=Use(
            names=ordered.names,
            requests=np.bincount(ordered.model, minlength=models),
            instances=idle.instances,
            busy=idle.busy_by_model,
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
