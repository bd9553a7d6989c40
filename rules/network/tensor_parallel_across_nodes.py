"""Rule tensor-parallel-across-nodes."""

from collections.abc import Iterator

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network.crossing import Crossing, by_owner, crossings
from gpuaudit.demand.network.network_words import crossing_evidence, fabric_words
from gpuaudit.demand.network.rdma_asked import asked
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


@rule(Severity.MEDIUM, needs={"nodes", "pods"})
def tensor_parallel_across_nodes(snapshot: Snapshot, *, below_gbps_per_gpu: float = 100.0) -> Iterator[Finding]:
    """A model is split by tensor parallelism over nodes that are linked too slowly for it.

    Tensor parallelism exchanges activations twice in every layer and for every token: it is made for NVLink (450 GB/s
    and more on an H100), and over less than 100 Gbit/s a GPU the GPUs mostly wait. The degree comes from the engine's
    arguments; it counts when it is larger than the GPUs of a pod. A fabric with RDMA asked for and 100 Gbit/s or more
    for each GPU is left alone, and so is one NVLink domain over several nodes.

    Keep tensor parallelism within a node and go on by pipeline parallelism (vLLM: --tensor-parallel-size 8
    --pipeline-parallel-size 2), use a smaller data type, or GPUs with more memory.
    """
    for owner, gangs in by_owner(crossings(snapshot)):
        for gang in gangs[:1]:
            largest = max((pod.gpus or 0.0 for pod in gang.pods), default=0.0)
            if gang.tensor is None or largest <= 0 or gang.tensor <= largest:
                continue
            verdict = _verdict(snapshot, gang, below_gbps_per_gpu)
            if verdict:
                yield _finding(snapshot, owner, gang, verdict, below_gbps_per_gpu)


def _per_gpu(gang: Crossing) -> float | None:
    """Return Gbit/s of the slowest node for each of its GPUs, None when one is not known."""
    speeds = [
        None if told.gbps is None or not node.gpus else told.gbps / node.gpus
        for node, told in zip(gang.nodes, gang.fabrics, strict=True)
    ]
    return None if any(speed is None for speed in speeds) else min(speed for speed in speeds if speed is not None)


def _verdict(snapshot: Snapshot, gang: Crossing, below: float) -> Confidence | None:
    speed = _per_gpu(gang)
    if speed is not None and speed < below:
        return "likely"
    answers = {asked(snapshot, pod, None).answer for pod in gang.pods}
    if answers == {"no"}:
        return "likely"
    return "investigate" if speed is None and answers != {"yes"} else None


def _finding(snapshot: Snapshot, owner: str, gang: Crossing, sure: Confidence, below: float) -> Finding:
    subject = workload_subject(snapshot, owner, gpus=gang.gpus)
    largest = max(pod.gpus or 0.0 for pod in gang.pods)
    speed = _per_gpu(gang)
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} splits each layer over {gang.tensor} GPUs, "
        f"and a pod has {largest:g}: every token crosses {fabric_words(gang)}",
        evidence=(
            *crossing_evidence([gang]),
            Evidence(name="tensor parallelism", value=gang.tensor, unit="GPUs", statistic="now", source="arguments"),
            Evidence(name="GPUs of a pod", value=largest, unit="GPUs", statistic="now", source="kubernetes"),
            Evidence(
                name="fabric for each GPU",
                value=None if speed is None else round(speed, 1),
                unit="Gbit/s",
                statistic="now",
                source="ports or instance type",
            ),
            Evidence(name="threshold", value=below, unit="Gbit/s", observed=False, source="option below_gbps_per_gpu"),
        ),
        confidence=sure,
        act=Act(
            kind="configure", risk="restart", target=owner, from_=f"tensor {gang.tensor}", to=f"tensor {largest:g}"
        ),
        fix=Fix(note="tensor parallelism within a node, pipeline parallelism between nodes"),
        refutation="an NVLink domain over these nodes, or a measured all-reduce near the speed of the GPUs' own links",
    )  # fmt: skip
