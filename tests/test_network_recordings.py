"""Recorded facts of others' machines, read right in place: Ethernet links of a bonded host, labels of GFD."""

import json
import re
from pathlib import Path

import pytest

from gpuaudit.cluster.node_facts import HostFacts
from gpuaudit.cluster.nodes import Node
from gpuaudit.collect.fabric import read_fabric
from gpuaudit.collect.joining.node_merge import Told, merge_hosts
from gpuaudit.demand.network.fabric import node_fabric
from gpuaudit.knowledge import kubernetes
from tests.build import NOW
from tests.kubernetes.objects import node, the_node

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "recordings"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="no recordings beside this checkout")


def as_sysfs(recorded: dict[str, object], root: Path) -> None:
    """Write what `ip -j addr` and the links' speeds say as the files of /sys/class/net."""
    devices = root / "sys/devices"
    for link in recorded["intf_status"]:  # type: ignore[attr-defined]
        folder = root / "sys/class/net" / link["ifname"]
        folder.mkdir(parents=True)
        values = {
            "mtu": link["mtu"],
            "operstate": link["operstate"].lower(),
            "speed": recorded["link_speed"][link["ifname"]],
        }  # type: ignore[index]
        for name, value in values.items():
            (folder / name).write_text(f"{value}\n")
        if "MASTER" not in link["flags"]:
            (devices / link["ifname"]).mkdir(parents=True)
            (folder / "device").symlink_to(devices / link["ifname"])
            (folder / "master").symlink_to(root / "sys/class/net" / link["main"])


def test_ethernet_links_of_a_bonded_host(tmp_path: Path) -> None:
    as_sysfs(json.loads((SHARED / "gcm" / "eth_learn_degraded_intf.json").read_text()), tmp_path)
    facts = HostFacts(tool_version="0", taken_at=NOW, host="gpu1", node="gpu1", fabric=read_fabric(tmp_path))
    merged = merge_hosts([Node(cluster="c", name="gpu1")], [Told(facts, "c")], taken_at=NOW)
    ports = {one.name: one for one in merged.nodes[0].interfaces if one.kind == "ethernet" and one.master}
    assert sorted(ports) == ["enp225s0f0", "enp97s0f0"]
    for port in ports.values():
        assert (port.kind, port.speed_gbps, port.up, port.mtu_bytes, port.master) == (
            "ethernet",
            100.0,
            True,
            9192,
            "front0",
        )
    assert (node_fabric(merged.nodes[0]).kind, node_fabric(merged.nodes[0]).gbps) == ("ethernet", 200.0)


@pytest.mark.parametrize("name", ["gfd-expected-labels-mig-none.txt", "gfd-expected-labels-mig-single.txt"])
def test_labels_of_gpu_feature_discovery(name: str) -> None:
    values = {
        "gpu.product": "NVIDIA-H100-80GB-HBM3", "gpu.count": "8", "gpu.memory": "81559", "gpu.replicas": "1",
        "gpu.sharing-strategy": "none", "cuda.driver-version.full": "580.95.05", "cuda.runtime-version.full": "13.0",
        "gpu.machine": "DGX-H100", "mig.capable": "true", "mig.strategy": "none", "gpu.mode": "compute",
    }  # fmt: skip
    labels = {}
    for line in (SHARED / "k8s" / name).read_text().splitlines():
        key = line.replace("\\", "").partition("=")[0]
        labels[key] = values.get(key.partition("/")[2], "1")
    told = the_node(node("gpu1", labels, gpu="8"))
    assert (told.driver_version, told.cuda_version, len(told.cards)) == ("580.95.05", "13.0", 8)
    assert {card.model for card in told.cards} == {"h100-80gb-sxm"}
    read = {kubernetes.gfd().product, kubernetes.gfd().count, kubernetes.gfd().replicas, kubernetes.gfd().machine}
    assert read <= labels.keys()
    assert all(re.fullmatch(r"nvidia\.com/[a-z.-]+", key) for key in labels)
