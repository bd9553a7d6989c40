"""Every way of holding a GPU, in physical cards. Facts of HAMi, KAI/Run:ai and DRA are from their own documentation."""

import json

import pytest

from gpuaudit.cluster.workloads import Holding
from tests.kubernetes.objects import GFD_A100, Tree, inventory, node, pod, the_pod, thing
from tests.kubernetes.test_cards import V100

HAMI = {
    "hami.io/node-nvidia-register": json.dumps(
        [{"id": f"GPU-{i}", "count": 10, "devmem": 32768, "devcore": 100, "type": V100} for i in range(2)]
    )
}


def the_holding(*objects: Tree) -> Holding:
    """The only holding of pod p1."""
    (found,) = the_pod(*objects).holdings
    return found


def test_whole() -> None:
    assert the_holding(node(labels=GFD_A100, gpu=8), pod(requests={"gpu": "2"})) == Holding(
        kind="whole", resource="nvidia.com/gpu", count=2, gpus=2
    )


def test_time_sliced_with_and_without_a_name_of_their_own() -> None:
    shared = GFD_A100 | {"nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.sharing-strategy": "time-slicing"}
    plain = the_holding(node(labels=shared, gpu=32), pod(requests={"gpu": "1"}))
    assert (plain.kind, plain.gpus) == ("shared", 0.25)
    renamed = the_holding(
        node(labels=shared, **{"nvidia.com/gpu.shared": 32}), pod(requests={"nvidia.com/gpu.shared": "2"})
    )
    assert (renamed.kind, renamed.resource, renamed.gpus) == ("shared", "nvidia.com/gpu.shared", 0.5)


def test_mps() -> None:
    shared = GFD_A100 | {"nvidia.com/gpu.replicas": "10", "nvidia.com/gpu.sharing-strategy": "mps"}
    found = the_holding(node(labels=shared, gpu=80), pod(requests={"gpu": "1"}))
    assert (found.kind, found.gpus) == ("mps", 0.1)


def test_mig_mixed_counts_compute_slices() -> None:
    found = the_holding(
        node(labels=GFD_A100, gpu=0, **{"nvidia.com/mig-3g.20gb": 8}), pod(requests={"nvidia.com/mig-3g.20gb": "1"})
    )
    assert (found.kind, found.profile, found.gpus) == ("mig", "3g.20gb", pytest.approx(3 / 7))


def test_mig_shared_replicas() -> None:
    labels = GFD_A100 | {"nvidia.com/mig-1g.5gb.replicas": "2"}
    found = the_holding(
        node(labels=labels, **{"nvidia.com/mig-1g.5gb.shared": 112}),
        pod(requests={"nvidia.com/mig-1g.5gb.shared": "1"}),
    )
    assert (found.profile, found.gpus) == ("1g.5gb", pytest.approx(1 / 14))


def test_mig_single_asks_for_plain_gpus() -> None:
    labels = GFD_A100 | {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", "nvidia.com/gpu.count": "56"}
    found = the_holding(node(labels=labels, gpu=56), pod(requests={"gpu": "1"}))
    assert (found.kind, found.profile, found.gpus) == ("mig", "1g.5gb", pytest.approx(1 / 7))


def test_a_profile_without_a_node_is_known_where_all_models_agree() -> None:
    found = the_holding(pod(node_name=None, requests={"nvidia.com/mig-1g.10gb": "2"}))
    assert found.gpus == pytest.approx(2 / 7)


def test_hami_by_what_its_scheduler_wrote() -> None:
    meta = {"annotations": {"hami.io/vgpu-devices-allocated": "GPU-1,NVIDIA,8192,50:;"}}
    found = the_holding(
        node(annotations=HAMI, gpu=20),
        pod(requests={"gpu": "1", "nvidia.com/gpumem": "8192", "nvidia.com/gpucores": "50"}, meta=meta),
    )
    assert (found.kind, found.devices, found.memory_mib, found.gpus) == ("hami", ("GPU-1",), 8192, 0.5)


def test_hami_by_what_was_asked() -> None:
    def gpus(**asked: str) -> float | None:
        names = {"mem": "nvidia.com/gpumem", "percent": "nvidia.com/gpumem-percentage", "cores": "nvidia.com/gpucores"}
        return the_holding(
            node(annotations=HAMI, gpu=20), pod(requests={"gpu": "1"} | {names[k]: v for k, v in asked.items()})
        ).gpus

    assert gpus(mem="8192") == 0.25
    assert gpus(mem="8192", cores="60") == 0.6
    assert gpus(percent="30") == 0.3
    assert gpus() == 1.0  # without a memory request HAMi gives the whole card's memory


def test_hami_memory_without_the_cards_size_is_unknown() -> None:
    assert the_holding(pod(node_name=None, requests={"gpu": "1", "nvidia.com/gpumem": "8192"})).gpus is None


def fraction(name: str, share: str, group: str = "g-1") -> Tree:
    """A pod with a fraction, in the group of one card."""
    return pod(name, meta={"annotations": {"gpu-fraction": share}, "labels": {"runai-gpu-group": group}})


def reservation(namespace: str, group: str = "g-1") -> Tree:
    """The pod that holds the card for a group."""
    meta = {"labels": {"runai-gpu-group": group}, "annotations": {"run.ai/reserve_for_gpu_index": "GPU-7"}}
    return pod(f"gpu-reservation-n1-{group}", namespace=namespace, requests={"gpu": "1"}, meta=meta)


@pytest.mark.parametrize("namespace", ["kai-resource-reservation", "runai-reservation"])
def test_fractions_join_their_reservation_pod_in_another_namespace(namespace: str) -> None:
    found = inventory(
        node(labels=GFD_A100, gpu=8), fraction("p1", "0.5"), fraction("p2", "0.25"), reservation(namespace)
    )
    held = {item.name: item.holdings[0] for item in found.pods}
    assert (held["p1"].kind, held["p1"].gpus, held["p1"].devices, held["p1"].group) == (
        "fraction",
        0.5,
        ("GPU-7",),
        "g-1",
    )
    assert held["p2"].gpus == 0.25
    assert held["gpu-reservation-n1-g-1"].gpus == 0.0  # its pods hold the card
    assert sum(item.gpus or 0 for item in found.pods) == 0.75


def test_a_reservation_whose_pods_are_not_seen_holds_the_card() -> None:
    found = inventory(node(labels=GFD_A100, gpu=8), reservation("runai-reservation"))
    assert [item.gpus for item in found.pods] == [1.0]


def test_fractions_by_memory_and_on_several_devices() -> None:
    labels = {"runai-gpu-group/a": "a", "runai-gpu-group/b": "b"}
    memory = pod(meta={"annotations": {"gpu-memory": "10240"}, "labels": labels})
    assert the_holding(node(labels=GFD_A100, gpu=8), memory).gpus == 0.25
    several = pod(meta={"annotations": {"gpu-fraction": "0.5", "gpu-fraction-num-devices": "2"}, "labels": labels})
    found = the_holding(node(labels=GFD_A100, gpu=8), several)
    assert (found.count, found.gpus) == (2, 1.0)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_ended_pods_hold_nothing(phase: str) -> None:
    found = inventory(node(labels=GFD_A100, gpu=8), pod(requests={"gpu": "8", "cpu": "4"}, status={"phase": phase}))
    assert not found.pods[0].holds
    assert found.nodes[0].cpu_requested_cores == 0.0
    assert found.waiting == ()


def test_crashing_and_terminating_pods_hold() -> None:
    meta = {"deletionTimestamp": "2026-11-21T14:46:13Z"}
    status = {
        "containerStatuses": [
            {"name": "main", "restartCount": 214, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
        ]
    }
    found = the_pod(node(labels=GFD_A100, gpu=8), pod(requests={"gpu": "1"}, meta=meta, status=status))
    assert found.holds
    assert found.containers[0].waiting_reason == "CrashLoopBackOff"


def test_pending_and_gated_pods_ask_but_do_not_hold() -> None:
    gated = pod("p2", node_name=None, requests={"gpu": "4"}, spec={"schedulingGates": [{"name": "x"}]})
    found = inventory(node(labels=GFD_A100, gpu=8), pod(node_name=None, requests={"gpu": "8"}), gated)
    assert not any(item.holds for item in found.pods)
    assert {(w.reason, w.count, w.gpus) for w in found.waiting} == {
        ("Pending", 8.0, 8.0),
        ("SchedulingGated", 4.0, 4.0),
    }


def test_fractional_strings_that_are_no_numbers_are_no_fractions() -> None:
    found = inventory(node(labels=GFD_A100, gpu=8), pod(meta={"annotations": {"gpu-fraction": "lots"}}))
    assert found.pods == ()


@pytest.mark.parametrize(
    "annotations",
    [
        {"gpu-fraction": "-0.5"},
        {"gpu-fraction": "5"},
        {"gpu-fraction": "0.5", "gpu-fraction-num-devices": "-3"},
        {"gpu-fraction": "0.5", "gpu-fraction-num-devices": "1.5"},
        {"gpu-fraction": "0.5", "gpu-fraction-num-devices": "1e200"},
        {"gpu-memory": "1e200"},
        {"gpu-memory": "-5"},
    ],
    ids=str,
)
def test_a_fraction_that_no_scheduler_grants_is_none(annotations: Tree) -> None:
    host = node(labels=GFD_A100, gpu=8)
    assert inventory(host, pod(meta={"annotations": annotations})).pods == ()
    found = the_holding(host, pod(requests={"gpu": "2"}, meta={"annotations": annotations}))
    assert (found.kind, found.gpus) == ("whole", 2.0)


def test_a_template_that_asks_for_no_gpus_makes_no_gpu_workload() -> None:
    template = {"spec": {"containers": [{"name": "m", "resources": {"limits": {"nvidia.com/gpu": "0"}}}]}}
    deployment = thing("Deployment", "web", "apps/v1", spec={"replicas": 1, "template": template})
    custom = thing("RayCluster", "r", "ray.io/v1", spec={"headGroupSpec": {"template": template}})
    assert inventory(deployment, custom).workloads == ()
    template["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = "1"
    assert len(inventory(deployment, custom).workloads) == 2


@pytest.mark.parametrize(
    "amount", ["1e308", 10**400, "9" * 400, 1e308, "-1e308", "8E", "1e400"], ids=lambda a: str(a)[:8]
)
def test_amounts_that_no_machine_has_end_nothing(amount: object) -> None:
    """They are capped as Kubernetes caps them, or not read."""
    asks = [pod(f"p{number}", requests={"cpu": amount, "memory": amount}) for number in range(3)]
    gpu = [pod(f"g{number}", requests={"gpu": "1", "cpu": amount, "memory": amount}) for number in range(3)]
    register = json.dumps([{"id": "GPU-0", "count": 10, "devmem": amount, "devcore": 100, "type": V100}])
    hami = node("n2", annotations={"hami.io/node-nvidia-register": register}, gpu=10)
    shared = node("n3", labels={"nvidia.com/mig-1g.5gb.replicas": "9" * 5000}, **{"nvidia.com/mig-1g.5gb": 7})
    odd = node("n4", gpu=8, memory=str(amount), cpu=str(amount))
    on_shared = pod("s", node_name="n3", requests={"nvidia.com/mig-1g.5gb": "1"})
    found = inventory(node(labels=GFD_A100, gpu=8), hami, shared, odd, *asks, *gpu, on_shared)
    assert len(found.nodes) == 4
    assert len(found.pods) == 4


def test_a_fraction_of_several_devices_and_their_reservations_count_once() -> None:
    """KAI names a group for each device; each has a reservation pod."""
    labels = {"runai-gpu-group/a": "a", "runai-gpu-group/b": "b"}
    several = pod(meta={"annotations": {"gpu-fraction": "0.5", "gpu-fraction-num-devices": "2"}, "labels": labels})
    reservations = [reservation("kai-resource-reservation", group) for group in "ab"]
    found = inventory(node(labels=GFD_A100, gpu=8), several, *reservations)
    assert sum(one.gpus or 0.0 for one in found.pods) == 1.0
    assert next(one for one in found.pods if one.name == "p1").holdings[0].devices == ("GPU-7", "GPU-7")


@pytest.mark.parametrize("annotations", [{"gpu-memory": "80"}, {"gpu-fraction": "0.5"}], ids=str)
def test_devices_that_are_asked_for_are_held_whatever_an_annotation_says(annotations: Tree) -> None:
    """KAI refuses such a pod: one that is there was placed by another scheduler."""
    found = the_holding(node(labels=GFD_A100, gpu=8), pod(requests={"gpu": "8"}, meta={"annotations": annotations}))
    assert (found.kind, found.gpus) == ("whole", 8.0)


def test_hami_memory_is_of_each_virtual_gpu() -> None:
    """As HAMi's scheduler takes it, and writes it down once it has placed the pod."""
    half = {"gpu": "2", "nvidia.com/gpumem": "16384"}
    found = the_holding(node(annotations=HAMI, gpu=20), pod(requests=half))
    assert (found.count, found.gpus, found.memory_mib) == (2.0, 1.0, 32768.0)
    percent = {"gpu": "2", "nvidia.com/gpumem-percentage": "50"}
    assert the_holding(node(annotations=HAMI, gpu=20), pod(requests=percent)).gpus == 1.0
    two = pod(requests={"gpu": "1", "nvidia.com/gpumem": "16384"})
    two["spec"]["containers"].append(two["spec"]["containers"][0] | {"name": "second"})
    found = the_holding(node(annotations=HAMI, gpu=20), two)
    assert (found.count, found.gpus, found.memory_mib) == (2.0, 1.0, 32768.0)


def test_devices_of_hami_with_less_than_nothing_hold_nothing() -> None:
    told = {"annotations": {"hami.io/vgpu-devices-allocated": "GPU-0,NVIDIA,-32768,-100:GPU-1,NVIDIA,16384,10:;"}}
    found = the_holding(node(annotations=HAMI, gpu=20), pod(requests={"gpu": "2"}, meta=told))
    assert (found.gpus, found.memory_mib) == (0.5, 16384.0)
