"""Pods that are gone find their workload; nodes are present when kube-state-metrics says so; hosts and joins."""

from datetime import timedelta

import pytest

from gpuaudit.cluster.nodes import Node
from tests.metrics.history import SM, START, XID, gpu_hours, labels, lines, part, read, steady

ONE = timedelta(hours=1)
POD = "web-7d4b9c8f6d-x2x4z"
HELD = lines(SM, labels(pod=POD), steady(0.5, hours=2))


def owner(metric: str, **of: str) -> list[str]:
    return lines(metric, {"namespace": "team-a", **of}, steady(1, hours=2))


def owners(*texts: list[str], **known: object) -> set[str]:
    return {name for _, name in gpu_hours(part(read([line for text in texts for line in text]), **known))}  # type: ignore[arg-type]


def test_a_listed_pod_is_its_workloads() -> None:
    def owner_of(cluster: str, namespace: str, pod: str, node: str) -> str | None:
        return "c/Rollout/team-a/web" if (cluster, namespace, pod, node) == ("c", "team-a", POD, "node-1") else None

    assert owners(HELD, owner_of=owner_of) == {"c/Rollout/team-a/web"}


def test_kube_state_metrics_names_the_root_owner_of_a_pod_that_is_gone() -> None:
    pod = owner("kube_pod_owner", pod=POD, owner_kind="ReplicaSet", owner_name="web-7d4b9c8f6d")
    replicas = owner("kube_replicaset_owner", replicaset="web-7d4b9c8f6d", owner_kind="Deployment", owner_name="web")
    assert owners(HELD, pod, replicas) == {"c/Deployment/team-a/web"}
    assert owners(HELD, pod) == {"c/ReplicaSet/team-a/web-7d4b9c8f6d"}
    assert owners(HELD, pod, workloads=["c/Deployment/team-a/web"]) == {"c/Deployment/team-a/web"}


def test_a_pod_that_nothing_owns_is_its_own() -> None:
    alone = owner("kube_pod_owner", pod=POD, owner_kind="<none>", owner_name="<none>")
    assert owners(HELD, alone, workloads=["c/Deployment/team-a/web"]) == {f"c/Pod/team-a/{POD}"}


def test_a_job_of_a_cron_job_is_the_cron_jobs() -> None:
    held = lines(SM, labels(pod="train-29391-abcde"), steady(0.5, hours=2))
    pod = owner("kube_pod_owner", pod="train-29391-abcde", owner_kind="Job", owner_name="train-29391")
    job = owner("kube_job_owner", job_name="train-29391", owner_kind="CronJob", owner_name="train")
    assert owners(held, pod, job) == {"c/CronJob/team-a/train"}


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        (POD, "Deployment/team-a/web"),
        ("db-3", "StatefulSet/team-a/db"),
        ("agent-x2x4z", "DaemonSet/team-a/agent"),
        ("train-29391200-x2x4z", "CronJob/team-a/train"),
        ("llm-master-0", "PyTorchJob/team-a/llm"),
        ("sweep-4-x2x4z", "Job/team-a/sweep"),
    ],
)
def test_the_name_of_a_pod_is_believed_only_when_that_workload_is_known(pod: str, workload: str) -> None:
    held = lines(SM, labels(pod=pod), steady(0.5, hours=2))
    assert owners(held) == {f"c/Pod/team-a/{pod}"}
    assert owners(held, workloads=[f"c/{workload}"]) == {f"c/{workload}"}
    assert owners(held, workloads=[f"c/{workload}".replace("team-a", "team-b")]) == {f"c/Pod/team-a/{pod}"}


def test_pods_of_one_workload_are_one_owner() -> None:
    other = lines(SM, labels(pod="web-7d4b9c8f6d-zzzzz"), steady(0.5, hours=1, start=7200))
    made = part(read(HELD + other), workloads=["c/Deployment/team-a/web"])
    assert gpu_hours(made) == pytest.approx({("GPU-node-1-0", "c/Deployment/team-a/web"): 3.0})
    assert made.usage.devices["pod"].tolist() == ["web-7d4b9c8f6d-zzzzz"]


def test_presence_is_what_kube_state_metrics_listed() -> None:
    def info(node: str, spans: list[tuple[float, float]]) -> list[str]:
        of = {"node": node, "internal_ip": f"10.0.0.{node[-1]}"}
        return [
            line for start, hours in spans for line in lines("kube_node_info", of, steady(1, hours=hours, start=start))
        ]

    text = info("node-1", [(0, 24)]) + info("node-2", [(0, 4), (10 * 3600, 2)])
    outage = [line for line in text if not 14 * 3600 < (int(line.split()[-1]) / 1000 - START.timestamp()) < 15 * 3600]
    spans = part(read(outage)).present
    [whole] = spans[("c", "node-1")]
    assert (whole.start, whole.end) == (START, START + timedelta(hours=24))  # nobody was listed for an hour: no absence
    hours = [
        ((s.start - START).total_seconds() / 3600, (s.end - START).total_seconds() / 3600)
        for s in spans[("c", "node-2")]
    ]
    assert hours == [(0, 4), (10, 12)]


def test_hosts_are_joined_to_nodes_by_name_short_name_and_address() -> None:
    nodes = [
        Node(cluster="c", name="gpu-1.example.org"),
        Node(cluster="c", name="gpu-2", addresses=("10.0.0.2",)),
    ]
    text = lines(SM, labels(host="gpu-1", pod="a"), steady(0.5, hours=1))
    text += lines(SM, {"UUID": "GPU-2", "gpu": "0", "instance": "10.0.0.2:9400", "pod": "a"}, steady(0.5, hours=1))
    made = part(read(text), nodes=nodes)
    assert sorted(made.usage.devices["node"]) == ["gpu-1.example.org", "gpu-2"]
    assert made.join_ratio == 1.0
    stranger = lines(SM, labels(host="elsewhere", pod="a"), steady(0.5, hours=1))
    assert part(read(text + stranger), nodes=nodes).join_ratio == pytest.approx(2 / 3)
    assert part(read(text)).join_ratio is None


def test_cards_tell_their_faults_and_are_numbered() -> None:
    text = lines(SM, labels(gpu=1, pod="a"), steady(0.5, hours=1)) + lines(
        XID, labels(gpu=1, pod="a"), steady(79, hours=1)
    )
    text += lines(SM, {"UUID": "GPU-x", "Hostname": "node-1"}, steady(0.5, hours=1))
    cards = part(read(text)).cards[("c", "node-1")]
    assert [(card.index, card.uuid, card.faults) for card in cards] == [
        (0, "GPU-x", ()),
        (1, "GPU-node-1-1", ("xid 79",)),
    ]
    assert cards[1].model == "h100-80gb-sxm"


def test_the_inventory_counts_series_and_tells_how_often() -> None:
    made = part(read(HELD + lines(XID, labels(pod=POD), steady(0, hours=2))))
    found = {metric.name: (metric.series, metric.interval_seconds, metric.hosts) for metric in made.metrics}
    assert found == {SM: (1, 30.0, 1), XID: (1, None, 1)}


def test_the_extent_begins_one_interval_before_the_first_sample() -> None:
    store = read(HELD)
    start = round(START.timestamp() * 1000)
    assert store.extent() == (start, start + 7_200_000)
