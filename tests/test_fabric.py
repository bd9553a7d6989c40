"""The fabric from sysfs trees written from documented facts: IB, RoCE, EFA, Omni-Path, bonds, down ports."""

from pathlib import Path

import pytest

from gpuaudit.cluster.node_facts import GpuFacts, PortFacts
from gpuaudit.collect.fabric import near, read_fabric


class Sysfs:
    """Writes a tree like a host's /sys and /proc."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "sys/class/net").mkdir(parents=True)

    def write(self, name: str, text: object) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    def pci(
        self, address: str, *, bridges: str = "pci0000:00/0000:00:01.0", numa: int = 0, driver: str | None = None
    ) -> Path:
        path = self.root / "sys/devices" / bridges / address
        path.mkdir(parents=True, exist_ok=True)
        (path / "numa_node").write_text(f"{numa}\n")
        link = self.root / "sys/bus/pci/devices" / address
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path)
        if driver:
            folder = self.root / "sys/bus/pci/drivers" / driver
            folder.mkdir(parents=True, exist_ok=True)
            (path / "driver").symlink_to(folder)
        return path

    def rdma(
        self,
        device: str,
        address: str,
        *,
        layer: str,
        rate: str,
        net: str | None = None,
        state: str = "4: ACTIVE",
        driver: str = "mlx5_core",
        **place: object,
    ) -> str:
        path = self.pci(address, driver=driver, **place)  # type: ignore[arg-type]
        folder = self.root / "sys/class/infiniband" / device
        folder.mkdir(parents=True)
        (folder / "device").symlink_to(path)
        port = f"sys/class/infiniband/{device}/ports/1"
        self.write(f"sys/class/infiniband/{device}/fw_ver", "28.39.1002")
        for name, text in {"link_layer": layer, "rate": rate, "state": state, "phys_state": "5: LinkUp"}.items():
            self.write(f"{port}/{name}", text)
        self.write(f"{port}/counters/symbol_error", 3)
        self.write(f"{port}/hw_counters/out_of_sequence", 7)
        if net:
            (path / "net" / net).mkdir(parents=True)
            self.net(net, path)
        return port

    def net(self, name: str, device: Path | None = None, **values: object) -> None:
        folder = self.root / "sys/class/net" / name
        folder.mkdir(parents=True)
        if device:
            (folder / "device").symlink_to(device)
        for key, value in ({"mtu": 9000, "speed": 200000, "operstate": "up"} | values).items():
            self.write(f"sys/class/net/{name}/{key}", value)


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path)


def only(sysfs: Sysfs) -> PortFacts:
    (port,) = read_fabric(sysfs.root).ports
    return port


def test_infiniband(sysfs: Sysfs) -> None:
    port = sysfs.rdma("mlx5_0", "0000:1a:00.0", layer="InfiniBand", rate="400 Gb/sec (4X NDR)")
    sysfs.write(f"{port}/gid_attrs/types/0", "IB/RoCE v1")
    found = only(sysfs)
    assert (found.kind, found.rate_gbps, found.state, found.physical_state) == ("infiniband", 400, "ACTIVE", "LinkUp")
    assert (found.firmware, found.pci, found.numa, found.driver) == ("28.39.1002", "0000:1a:00.0", 0, "mlx5_core")
    assert found.counters == {"symbol_error": 3, "out_of_sequence": 7}
    assert found.gids == ("IB/RoCE v1",)
    assert (found.pfc_priorities, found.ecn_priorities) == (None, None)


def test_roce_with_pfc_and_ecn(sysfs: Sysfs) -> None:
    port = sysfs.rdma("mlx5_1", "0000:1b:00.0", layer="Ethernet", rate="200 Gb/sec (4X HDR)", net="eth1")
    sysfs.write(f"{port}/gid_attrs/types/3", "RoCE v2")
    sysfs.write("sys/class/net/eth1/qos/pfc", "0 0 0 1 0 0 0 0")
    sysfs.write("sys/class/net/eth1/qos/trust", "dscp")
    for priority in range(8):
        sysfs.write(f"sys/class/net/eth1/ecn/roce_np/enable/{priority}", int(priority == 3))
    found = only(sysfs)
    assert (found.kind, found.interface, found.mtu_bytes) == ("roce", "eth1", 9000)
    assert (found.pfc_priorities, found.ecn_priorities, found.trust) == ((3,), (3,), "dscp")


def test_roce_without_pfc_is_told_from_roce_of_which_nothing_is_known(sysfs: Sysfs) -> None:
    sysfs.rdma("mlx5_1", "0000:1b:00.0", layer="Ethernet", rate="200 Gb/sec (4X HDR)", net="eth1")
    sysfs.write("sys/class/net/eth1/qos/pfc", "00000000")
    sysfs.rdma("mlx5_2", "0000:1c:00.0", layer="Ethernet", rate="200 Gb/sec (4X HDR)", net="eth2")
    lossy, dark = read_fabric(sysfs.root).ports
    assert (lossy.pfc_priorities, dark.pfc_priorities) == ((), None)
    assert (lossy.ecn_priorities, dark.ecn_priorities) == (None, None)


def test_efa_and_omni_path_are_no_roce(sysfs: Sysfs) -> None:
    sysfs.rdma("rdmap16s27", "0000:10:1b.0", layer="Unspecified", rate="100 Gb/sec (4X EDR)", driver="efa")
    sysfs.rdma("hfi1_0", "0000:3b:00.0", layer="InfiniBand", rate="100 Gb/sec (4X)", driver="hfi1")
    assert [port.kind for port in read_fabric(sysfs.root).ports] == ["omnipath", "efa"]


def test_a_down_port_has_no_speed_and_says_down(sysfs: Sysfs) -> None:
    sysfs.rdma("mlx5_3", "0000:1d:00.0", layer="InfiniBand", rate="10 Gb/sec (4X)", state="1: DOWN")
    sysfs.net("eth9", sysfs.pci("0000:5d:00.0"), speed=-1, operstate="down")
    port, eth = read_fabric(sysfs.root).ports
    assert port.state == "DOWN"
    assert (eth.state, eth.rate_gbps) == ("DOWN", None)


def test_a_bond_names_its_master_and_virtual_interfaces_are_left_out(sysfs: Sysfs) -> None:
    sysfs.net("bond0")
    for name, address in (("eth2", "0000:61:00.0"), ("eth3", "0000:61:00.1")):
        sysfs.net(name, sysfs.pci(address, driver="mlx5_core"))
        (sysfs.root / f"sys/class/net/{name}/master").symlink_to(sysfs.root / "sys/class/net/bond0")
    sysfs.net("lo")
    sysfs.net("cali0", operstate="up")
    assert [(port.device, port.bond, port.rate_gbps) for port in read_fabric(sysfs.root).ports] == [
        ("eth2", "bond0", 200.0),
        ("eth3", "bond0", 200.0),
    ]


def test_virtual_functions(sysfs: Sysfs) -> None:
    path = sysfs.pci("0000:71:00.0")
    (path / "sriov_numvfs").write_text("8\n")
    (path / "sriov_totalvfs").write_text("16\n")
    sysfs.net("eth4", path)
    assert (only(sysfs).virtual_functions, only(sysfs).max_virtual_functions) == (8, 16)


@pytest.mark.parametrize(
    ("gpu", "nic", "path"),
    [
        ("pci0000:00/0000:00:01.0/0000:01:00.0", "pci0000:00/0000:00:01.0/0000:01:01.0", "PIX"),
        ("pci0000:00/0000:00:01.0", "pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0", "PXB"),
        ("pci0000:00/0000:00:01.0", "pci0000:00/0000:00:03.0", "PHB"),
        ("pci0000:00/0000:00:01.0", "pci0000:40/0000:40:01.0", "NODE"),
    ],
)
def test_how_near_a_gpu_is_to_a_nic(sysfs: Sysfs, gpu: str, nic: str, path: str) -> None:
    sysfs.pci("0000:aa:00.0", bridges=gpu)
    sysfs.rdma("mlx5_0", "0000:bb:00.0", layer="InfiniBand", rate="400 Gb/sec (4X NDR)", bridges=nic)
    (found,) = near([GpuFacts(index=0, pci="0000:aa:00.0")], read_fabric(sysfs.root), sysfs.root)
    assert found.nics == {"mlx5_0": path}


def test_across_sockets_is_sys(sysfs: Sysfs) -> None:
    sysfs.pci("0000:aa:00.0", bridges="pci0000:00/0000:00:01.0", numa=0)
    sysfs.rdma("mlx5_0", "0000:bb:00.0", layer="InfiniBand", rate="1 Gb/sec", bridges="pci0000:80/0000:80:01.0", numa=1)
    (found,) = near([GpuFacts(index=0, pci="0000:aa:00.0")], read_fabric(sysfs.root), sysfs.root)
    assert found.nics == {"mlx5_0": "SYS"}


@pytest.mark.parametrize(
    ("version", "kernel", "expected"),
    [
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06", "5.15.0-1075-aws", True),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06", "5.4.0", False),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01", "6.8.0", False),
        (None, "6.8.0", None),
    ],
)
def test_gpudirect_by_dma_buf(sysfs: Sysfs, version: str | None, kernel: str, expected: bool | None) -> None:
    sysfs.write("proc/sys/kernel/osrelease", kernel)
    if version:
        sysfs.write("proc/driver/nvidia/version", version)
    assert read_fabric(sysfs.root).dma_buf is expected


def test_peermem_is_unknown_without_modules_to_look_at(sysfs: Sysfs) -> None:
    assert read_fabric(sysfs.root).peermem is None
    sysfs.write("sys/module/nvidia/version", "580")
    assert read_fabric(sysfs.root).peermem is False
    sysfs.write("sys/module/nvidia_peermem/refcnt", 0)
    assert read_fabric(sysfs.root).peermem is True


def test_an_empty_root_is_no_error(tmp_path: Path) -> None:
    facts = read_fabric(tmp_path)
    assert facts.ports == ()
    assert facts.unknown["ports"]


def test_junk_in_sysfs_is_unknown(sysfs: Sysfs) -> None:
    port = sysfs.rdma("mlx5_0", "0000:1a:00.0", layer="\x1b[2J", rate="fast", state="what")
    sysfs.write(f"{port}/counters/symbol_error", "N/A")
    found = only(sysfs)
    assert (found.kind, found.rate_gbps, found.state) == ("other", None, None)
    assert "symbol_error" not in found.counters


def test_ecn_counts_where_marks_are_answered_and_obeyed(sysfs: Sysfs) -> None:
    sysfs.rdma("mlx5_1", "0000:1b:00.0", layer="Ethernet", rate="200 Gb/sec (4X HDR)", net="eth1")
    for priority in range(8):
        sysfs.write(f"sys/class/net/eth1/ecn/roce_np/enable/{priority}", int(priority in (3, 4)))
        sysfs.write(f"sys/class/net/eth1/ecn/roce_rp/enable/{priority}", int(priority == 3))
    assert only(sysfs).ecn_priorities == (3,)


def test_what_is_not_seen_of_a_lossless_network_says_why(sysfs: Sysfs) -> None:
    sysfs.rdma("mlx5_1", "0000:1b:00.0", layer="Ethernet", rate="200 Gb/sec (4X HDR)", net="eth1")
    assert "network is another one" in only(sysfs).unknown["pfc_priorities"]
    assert "sysfs" in only(sysfs).unknown["ecn_priorities"]


def test_iwarp_is_no_roce(sysfs: Sysfs) -> None:
    sysfs.rdma("irdma0", "0000:1b:00.0", layer="Ethernet", rate="100 Gb/sec (4X)", net="eth1", driver="irdma")
    sysfs.write("sys/class/infiniband/irdma0/node_type", "4: RNIC")
    assert only(sysfs).kind == "other"


def test_the_pcie_link_of_a_nic(sysfs: Sysfs) -> None:
    path = sysfs.pci("0000:5e:00.0", driver="mlx5_core")
    for name, text in {
        "current_link_speed": "16.0 GT/s PCIe",
        "current_link_width": "8",
        "max_link_speed": "32.0 GT/s PCIe",
        "max_link_width": "16",
    }.items():
        (path / name).write_text(f"{text}\n")
    sysfs.net("eth1", path)
    link = only(sysfs).pcie
    assert (link.generation, link.width, link.max_generation, link.max_width) == (4, 8, 5, 16)


def test_a_virtual_function_names_its_physical_one(sysfs: Sysfs) -> None:
    physical, virtual = sysfs.pci("0000:5e:00.0"), sysfs.pci("0000:5e:00.2")
    (virtual / "physfn").symlink_to(physical)
    sysfs.net("eth1", virtual)
    assert only(sysfs).physical_function == "0000:5e:00.0"


def test_a_bond_tells_its_mode(sysfs: Sysfs) -> None:
    sysfs.net("bond0")
    sysfs.write("sys/class/net/bond0/bonding/mode", "802.3ad 4")
    sysfs.net("eth2", sysfs.pci("0000:61:00.0"))
    (sysfs.root / "sys/class/net/eth2/master").symlink_to(sysfs.root / "sys/class/net/bond0")
    assert (only(sysfs).bond, only(sysfs).bond_mode) == ("bond0", "802.3ad")


def config_space(*capabilities: tuple[int, int, bytes], size: int = 4096) -> bytes:
    """A configuration space with extended capabilities (offset, id, what follows the header), as PCIe chains them."""
    content = bytearray(size)
    for number, (at, ident, rest) in enumerate(capabilities):
        following = capabilities[number + 1][0] if number + 1 < len(capabilities) else 0
        content[at : at + 4] = (ident | 1 << 16 | following << 20).to_bytes(4, "little")
        content[at + 4 : at + 4 + len(rest)] = rest
    return bytes(content)


AER = (0x100, 0x0001, b"")


def acs(control: int) -> bytes:
    return config_space(AER, (0x140, 0x000D, (0x5F).to_bytes(2, "little") + control.to_bytes(2, "little")))


BRIDGE, UNDER = "0000:00:01.0", "pci0000:00/0000:00:01.0"


@pytest.mark.parametrize(
    ("config", "found"),
    [
        (acs(0x1D), (BRIDGE,)),  # SrcValid, redirection of requests and completions, upstream forwarding
        (acs(0x00), ()),
        (acs(0x01), ()),  # source validation alone redirects nothing
        (config_space(AER), ()),
        (bytes(256), ()),  # a conventional PCI bridge
        (acs(0x1D)[:64], None),  # what anyone may read
        (b"", None),
        (config_space((0x100, 0x0001, b""), (0x140, 0x0002, b""), (0x100, 0x0001, b"")), ()),  # a loop
    ],
)
def test_access_control_above_a_gpu(sysfs: Sysfs, config: bytes, found: tuple[str, ...] | None) -> None:
    gpu = sysfs.pci("0000:01:00.0", bridges=UNDER)
    (gpu / "vendor").write_text("0x10de\n")
    (gpu / "class").write_text("0x030200\n")
    bridge = sysfs.pci(BRIDGE, bridges="pci0000:00")
    (bridge / "config").write_bytes(config)
    facts = read_fabric(sysfs.root)
    assert facts.acs == found
    assert ("acs" in facts.unknown) == (found is None)
    if found is None:
        assert "CAP_SYS_ADMIN" in facts.unknown["acs"]


def test_where_a_gpu_sits(sysfs: Sysfs) -> None:
    path = sysfs.pci("0000:aa:00.0", numa=1)
    (path / "local_cpulist").write_text("48-95\n")
    told = GpuFacts(index=0, pci="0000:aa:00.0", unknown={"numa": "not supported", "power": "no permission"})
    (found,) = near([told], read_fabric(sysfs.root), sysfs.root)
    assert (found.numa, found.cpus, found.unknown) == (1, "48-95", {"power": "no permission"})


def test_procfs_may_lie_elsewhere(sysfs: Sysfs) -> None:
    sysfs.write("elsewhere/sys/kernel/osrelease", "6.8.0")
    assert read_fabric(sysfs.root, sysfs.root / "elsewhere").kernel == "6.8.0"
