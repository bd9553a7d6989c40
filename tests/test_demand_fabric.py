"""What is known of a pool's fabric: by ports, instance types, resources, labels; and what is not known stays so."""

import dataclasses
from typing import Any

import msgspec
import pytest

from gpuaudit.cluster.nodes import Interface, Node, Resource
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network.fabric import PoolFabric, fabric_of, node_fabric
from gpuaudit.knowledge import fabric, prices
from tests.build import NOW, WINDOW, node

RDMA = {"name": "rdma/hca_shared_devices_a", "capacity": 63, "allocatable": 63}


def a_node(**facts: Any) -> Node:
    plain = {"instance_type": None, "provider": None, "resources": ()}
    return msgspec.structs.replace(node("n"), **(plain | facts))


def pool(*nodes: Node, **sections: Any) -> PoolFabric:
    snapshot = Snapshot(taken_at=NOW, window=WINDOW, nodes=nodes)
    return fabric_of(dataclasses.replace(snapshot, **sections))[0]


def port(name: str, kind: str = "infiniband", **facts: Any) -> Interface:
    return Interface(name=name, **({"kind": kind, "speed_gbps": 400.0, "up": True} | facts))


@pytest.mark.parametrize(
    ("facts", "kind", "gbps"),
    [
        ({"instance_type": "p5.48xlarge", "provider": "aws"}, "efa", 3200.0),
        ({"instance_type": "a3-highgpu-8g", "provider": "gcp"}, "tcpx", 1000.0),
        ({"instance_type": "a3-ultragpu-8g", "provider": "gcp"}, "roce", 3600.0),
        ({"instance_type": "Standard_ND96isr_H100_v5", "provider": "azure"}, "infiniband", 3200.0),
        ({"instance_type": "BM.GPU.H100.8", "provider": "oci"}, "roce", None),
        ({"instance_type": "g6.xlarge", "provider": "aws"}, "ethernet", 2.5),
        ({"instance_type": "gpu_8x_h100_sxm5", "provider": "lambda"}, "unknown", None),
        ({}, "unknown", None),
        ({"resources": (Resource(**RDMA),)}, "rdma", None),
        ({"labels": {"feature.node.kubernetes.io/pci-15b3.present": "true"}}, "unknown", None),
        ({"labels": {"feature.node.kubernetes.io/custom-rdma.capable": "true"}}, "rdma", None),
        ({"interfaces": tuple(port(f"mlx5_{i}") for i in range(8))}, "infiniband", 3200.0),
        ({"interfaces": (port("mlx5_0"), port("mlx5_1", speed_gbps=None))}, "infiniband", None),
        ({"interfaces": (port("mlx5_0", "other"),)}, "rdma", 400.0),
        ({"interfaces": (port("eth0", "ethernet", speed_gbps=25.0),), "probe_taken_at": NOW}, "ethernet", 25.0),
    ],
)
def test_a_node(facts: dict[str, Any], kind: str, gbps: float | None) -> None:
    told = node_fabric(a_node(**facts))
    assert (told.kind, told.gbps) == (kind, gbps)
    assert told.rdma == {"unknown": None, "ethernet": False}.get(kind, True)
    assert bool(told.evidence) == (kind != "unknown")


def test_devices_of_a_p5() -> None:
    assert node_fabric(a_node(instance_type="p5.48xlarge", provider="aws")).devices == 32
    fewer = a_node(resources=(Resource(name="vpc.amazonaws.com/efa", capacity=4, allocatable=4),))
    assert node_fabric(fewer).devices == 4


@pytest.mark.parametrize(
    ("ports", "lossless"),
    [
        ([{"pfc_priorities": (3,), "ecn": True}, {"pfc_priorities": (3,), "ecn": True}], True),
        ([{"pfc_priorities": (3,), "ecn": True}, {"pfc_priorities": (), "ecn": True}], False),
        ([{"pfc_priorities": (3,), "ecn": None}], None),
        ([{}], None),
    ],
)
def test_lossless_as_the_ports_say(ports: list[dict[str, Any]], lossless: bool | None) -> None:
    told = pool(a_node(interfaces=tuple(port(f"mlx5_{i}", "roce", **one) for i, one in enumerate(ports))))
    assert (told.kind, told.lossless, told.lossless_matters) == ("roce", lossless, True)


def test_nothing_needs_to_be_lossless_on_infiniband() -> None:
    told = pool(a_node(interfaces=(port("mlx5_0", pfc_priorities=(), ecn=False),)))
    assert (told.lossless, told.lossless_matters) == (None, False)


def test_gpudirect_is_a_module_or_dma_buf_and_no_label_says_nothing() -> None:
    assert pool(a_node()).gpudirect is None
    assert pool(a_node(peermem=False)).gpudirect is None
    assert pool(a_node(peermem=False, dma_buf=True)).gpudirect is True
    assert pool(a_node(peermem=False, dma_buf=False)).gpudirect is False
    assert pool(a_node(labels={"nvidia.com/peermem.capable": "true"})).gpudirect is True
    assert pool(a_node(dma_buf=True), a_node(name="m")).gpudirect is None


def test_every_word_of_the_catalogue_means_a_fabric() -> None:
    for offer in prices.catalogue():
        assert (fabric.kind_of(offer.rdma) == "unknown") == (offer.rdma is None), offer.instance_type
        assert (offer.rdma_devices or 0) == 0 or fabric.kind_of(offer.rdma) == "efa"


@pytest.mark.parametrize(
    ("network", "rdma"),
    [("IB", True), ("AWS Libfabric", True), ("Libfabric", True), ("GPUDirectTCPX_v7", True), ("FasTrak", True),
     ("IBext_v8", True), ("Socket", False), ("SomethingNew", None)],
)  # fmt: skip
def test_what_nccl_calls_networks(network: str, rdma: bool | None) -> None:
    assert fabric.carries_rdma(network) is rdma
