"""Physical cards: replicas, MIG devices and virtual GPUs undone."""

import json

from tests.kubernetes.objects import GFD_A100, Tree, node, the_node, thing

V100 = "NVIDIA-Tesla V100-PCIE-32GB"


def test_whole_cards_by_gfd() -> None:
    found = the_node(node(labels=GFD_A100, gpu=8))
    assert found.gpus == 8
    assert found.cards_source == "nvidia.com/gpu.count"
    assert {card.model for card in found.cards} == {"a100-40gb-sxm"}
    assert {card.mig_enabled for card in found.cards} == {False}
    assert found.sharing is None


def test_allocatable_below_capacity_takes_no_card_away() -> None:
    found = the_node(node(labels=GFD_A100, gpu=8, allocatable={"nvidia.com/gpu": "7"}))
    assert found.gpus == 8
    assert [(r.capacity, r.allocatable) for r in found.resources if r.name == "nvidia.com/gpu"] == [(8, 7)]


def test_time_slicing_is_undone() -> None:
    shared = {
        "nvidia.com/gpu.count": "4",
        "nvidia.com/gpu.replicas": "4",
        "nvidia.com/gpu.sharing-strategy": "time-slicing",
    }
    found = the_node(node(labels=GFD_A100 | shared | {"nvidia.com/gpu.product": "NVIDIA-A10G-SHARED"}, gpu=16))
    assert found.gpus == 4
    assert {card.name for card in found.cards} == {"NVIDIA-A10G"}
    assert found.sharing
    assert (found.sharing.strategy, found.sharing.replicas) == ("time-slicing", 4)


def test_renamed_replicas_and_mps() -> None:
    shared = {"nvidia.com/gpu.replicas": "10", "nvidia.com/gpu.sharing-strategy": "mps"}
    found = the_node(node(labels=GFD_A100 | shared, **{"nvidia.com/gpu.shared": 80, "gpu": 0}))
    assert found.gpus == 8
    assert found.sharing
    assert found.sharing.strategy == "mps"


def test_replicas_without_labels_show_against_the_instance_type() -> None:
    labels = {"node.kubernetes.io/instance-type": "g5.12xlarge"}
    item = node(labels=labels, gpu=16)
    item["spec"]["providerID"] = "aws:///us-east-1a/i-1"
    found = the_node(item)
    assert found.gpus == 4
    assert found.cards_source == "instance type g5.12xlarge"
    assert found.sharing
    assert found.sharing.replicas == 4
    assert {card.model for card in found.cards} == {"a10g"}


def test_mig_mixed_devices_lie_evenly_on_the_cards() -> None:
    found = the_node(node(labels=GFD_A100, gpu=0, **{"nvidia.com/mig-1g.5gb": 16, "nvidia.com/mig-3g.20gb": 8}))
    assert found.gpus == 8
    assert [device.profile for device in found.cards[0].mig] == ["1g.5gb", "1g.5gb", "3g.20gb"]
    assert sum(len(card.mig) for card in found.cards) == 24
    assert found.cards[0].mig[0].start is None  # no placement was seen


def test_mig_mixed_that_does_not_divide_claims_no_layout() -> None:
    found = the_node(node(labels=GFD_A100, gpu=0, **{"nvidia.com/mig-1g.5gb": 9}))
    assert found.gpus == 8
    assert not any(card.mig for card in found.cards)
    assert {card.mig_enabled for card in found.cards} == {True}


def test_mig_beside_whole_cards() -> None:
    found = the_node(node(labels=GFD_A100, gpu=4, **{"nvidia.com/mig-1g.5gb": 28}))
    assert [len(card.mig) for card in found.cards] == [0, 0, 0, 0, 7, 7, 7, 7]


def test_mig_single_counts_slices_in_every_label() -> None:
    """No label says 8: the instance type does, or the profile that goes seven times into a card."""
    labels = GFD_A100 | {
        "nvidia.com/gpu.count": "56",
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb",
        "nvidia.com/gpu.memory": "4864",
        "nvidia.com/mig.strategy": "single",
    }
    found = the_node(node(labels=labels, gpu=56))
    assert (found.gpus, found.cards_source) == (8, "resources")
    assert {card.model for card in found.cards} == {"a100-40gb-sxm"}
    assert {card.memory_mib for card in found.cards} == {40960}
    assert {len(card.mig) for card in found.cards} == {7}
    typed = node(labels=labels | {"node.kubernetes.io/instance-type": "p4d.24xlarge"}, gpu=56)
    typed["spec"]["providerID"] = "aws:///us-east-1a/i-1"
    assert the_node(typed).cards_source == "instance type p4d.24xlarge"


def test_gke_without_gfd_labels() -> None:
    labels = {
        "cloud.google.com/gke-accelerator": "nvidia-h100-80gb",
        "cloud.google.com/gke-accelerator-count": "8",
        "cloud.google.com/gke-nodepool": "a3",
    }
    found = the_node(node(labels=labels, gpu=8))
    assert (found.gpus, found.cards[0].model, found.purchase) == (8, "h100-80gb-sxm", "on_demand")
    spot = the_node(node(labels=labels | {"cloud.google.com/gke-spot": "true"}, gpu=8))
    assert (spot.purchase, spot.purchase_evidence) == ("spot", "cloud.google.com/gke-spot=true")


def test_gke_partitions_and_shared_clients() -> None:
    base = {"cloud.google.com/gke-accelerator": "nvidia-tesla-a100", "cloud.google.com/gke-accelerator-count": "1"}
    parts = the_node(node(labels=base | {"cloud.google.com/gke-gpu-partition-size": "1g.5gb"}, gpu=7))
    assert (parts.gpus, len(parts.cards[0].mig)) == (1, 7)
    shared = {
        "cloud.google.com/gke-gpu-sharing-strategy": "time-sharing",
        "cloud.google.com/gke-max-shared-clients-per-gpu": "3",
    }
    found = the_node(node(labels=base | shared, gpu=3))
    assert found.gpus == 1
    assert found.sharing
    assert (found.sharing.strategy, found.sharing.replicas) == ("time-slicing", 3)


def test_hami_annotation_names_the_cards() -> None:
    rows = [
        {"id": f"GPU-{i}", "index": i, "count": 10, "devmem": 32768, "devcore": 100, "type": V100, "health": i != 1}
        for i in range(2)
    ]
    found = the_node(node(annotations={"hami.io/node-nvidia-register": json.dumps(rows)}, gpu=20))
    assert [card.uuid for card in found.cards] == ["GPU-0", "GPU-1"]
    assert [card.state for card in found.cards] == ["unknown", "lost"]
    assert found.sharing
    assert (found.sharing.strategy, found.sharing.replicas) == ("hami", 10)
    legacy = "GPU-a,10,46068,100,NVIDIA-NVIDIA A40,0,true:GPU-b,10,46068,100,NVIDIA-NVIDIA A40,0,true:"
    assert the_node(node(annotations={"hami.io/node-nvidia-register": legacy}, gpu=20)).gpus == 2


def resource_slice(devices: list[Tree], *, generation: int = 1, name: str = "s", basic: bool = False) -> Tree:
    """A slice of the GPU driver on node n1, in the form of v1 or v1beta1."""
    rows = [{"name": d["name"], "basic": {k: v for k, v in d.items() if k != "name"}} if basic else d for d in devices]
    spec = {
        "driver": "gpu.nvidia.com",
        "nodeName": "n1",
        "pool": {"name": "n1", "generation": generation},
        "devices": rows,
    }
    return thing("ResourceSlice", name, "resource.k8s.io/v1beta1" if basic else "resource.k8s.io/v1", "", spec=spec)


def device(index: int, **attributes: str) -> Tree:
    """A card of a slice."""
    named = {"type": "gpu", "uuid": f"GPU-{index}", "productName": "NVIDIA L40S"} | attributes
    return {
        "name": f"gpu-{index}",
        "attributes": {key: {"string": value} for key, value in named.items()},
        "capacity": {"memory": {"value": "46068Mi"}},
    }


def test_dra_slices_of_both_versions_and_the_device_plugin_count_once() -> None:
    devices = [device(i) for i in range(4)]
    for basic in (False, True):
        found = the_node(node(), resource_slice(devices, basic=basic))
        assert [card.uuid for card in found.cards] == ["GPU-0", "GPU-1", "GPU-2", "GPU-3"]
        assert {(card.model, card.memory_mib) for card in found.cards} == {("l40s", 46068)}
    both = the_node(node(labels={"nvidia.com/gpu.count": "4"}, gpu=4), resource_slice(devices))
    assert both.gpus == 4
    more = the_node(node(labels={"nvidia.com/gpu.count": "8"}, gpu=8), resource_slice(devices))
    assert more.gpus == 8  # the driver names some of the cards only


def test_only_the_newest_generation_of_a_pool_counts() -> None:
    found = the_node(
        node(), resource_slice([device(0), device(1)]), resource_slice([device(0)], generation=2, name="t")
    )
    assert found.gpus == 1


def test_dra_mig_devices_belong_to_their_parent() -> None:
    part = {
        "name": "gpu-0-mig-1",
        "attributes": {
            k: {"string": v}
            for k, v in {"type": "mig", "uuid": "MIG-1", "parentUUID": "GPU-0", "profile": "1g.5gb"}.items()
        },
    }
    found = the_node(node(), resource_slice([part]))
    assert [(card.uuid, [d.uuid for d in card.mig]) for card in found.cards] == [("GPU-0", ["MIG-1"])]


def test_a_card_missing_from_a_known_instance_type_is_lost() -> None:
    item = node(
        labels=GFD_A100 | {"nvidia.com/gpu.count": "7", "node.kubernetes.io/instance-type": "p4d.24xlarge"}, gpu=7
    )
    item["spec"]["providerID"] = "aws:///us-east-1a/i-1"
    found = the_node(item)
    assert [card.state for card in found.cards] == ["unknown"] * 7 + ["lost"]


def test_absurd_counts_are_not_believed() -> None:
    assert the_node(node(labels={"nvidia.com/gpu.count": "999999999"})).gpus == 0
    assert the_node(node(labels={"nvidia.com/gpu.count": "-8"}, gpu=2)).gpus == 2
    assert the_node(node(gpu="9000000000")).gpus <= 64


def test_a_node_without_gpu_has_no_cards() -> None:
    assert the_node(node(labels={"node.kubernetes.io/instance-type": "p4d.24xlarge"})).cards == ()
