"""`gpuaudit node -o terminal`: layout and topology to be read at any width."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from fixtures.demo.machines import cloud_node
from fixtures.demo.node_facts import h100_node
from gpuaudit.cluster.node_facts import (
    ClockFacts,
    FabricFacts,
    GpuFacts,
    HostFacts,
    InstanceFacts,
    MemoryFaults,
    NvlinkFacts,
    PcieFacts,
    PortFacts,
    ProcessFacts,
    ProfileFacts,
)
from gpuaudit.report.node import render_terminal
from gpuaudit.report.terminal import Screen

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
EVERYWHERE = ((0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (4, 4))
PROFILES = (
    ProfileFacts(name="1g.10gb", profile_id=19, slices=1, remaining=2, placements=EVERYWHERE),
    ProfileFacts(name="7g.80gb", profile_id=0, slices=7, remaining=0, placements=((0, 8),)),
)


def placed(*places: tuple[str, int, int]) -> Iterator[InstanceFacts]:
    for number, (profile, start, size) in enumerate(places):
        yield InstanceFacts(gpu_instance_id=number, compute_instance_id=0, profile=profile, start=start, size=size)


def gpu(index: int = 0, **values: object) -> GpuFacts:
    known = {"uuid": f"GPU-0000000{index}-1111-2222-3333-444444444444", "name": "NVIDIA A100-SXM4-80GB"}
    return GpuFacts(index=index, **(known | values))  # type: ignore[arg-type]


def drawn(*gpus: GpuFacts, width: int = 80, ports: tuple[PortFacts, ...] = (), **values: object) -> str:
    facts = HostFacts(
        tool_version="1",
        taken_at=NOW,
        host="gpu-1",
        driver="580",
        gpus=gpus,
        fabric=FabricFacts(ports=ports, **values),  # type: ignore[arg-type]
    )
    return render_terminal(facts, Screen(width=width))


def test_mig_devices_are_drawn_to_scale_with_what_is_free_between_them() -> None:
    instances = tuple(placed(("3g.40gb", 4, 4), ("1g.10gb", 0, 1), ("2g.20gb", 2, 2)))
    text = drawn(gpu(mig_current=True, instances=instances, profiles=PROFILES))
    (bar,) = [line for line in text.splitlines() if "|" in line]
    cells = bar.partition("|")[2].rstrip("|").split("|")
    assert [cell.strip() for cell in cells] == ["1g.10gb", "free", "2g.20gb", "3g.40gb"]
    widths = [len(cell) + 1 for cell in cells]
    assert [width // widths[0] for width in widths] == [1, 1, 2, 4]
    assert "fits beside: 2 x 1g.10gb" in text


def test_devices_of_unknown_place_are_named() -> None:
    instance = InstanceFacts(gpu_instance_id=7, profile="1g.10gb")
    text = drawn(gpu(mig_current=True, instances=(instance,)))
    assert "MIG  1g.10gb   (where they sit is not readable here)" in text
    assert "no devices" in drawn(gpu(mig_current=True))


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_nothing_is_wider_than_the_screen_and_every_path_is_there(width: int) -> None:
    facts = h100_node(cloud_node("train-h100", 0, "p5.48xlarge", "a", efa=32))
    text = render_terminal(facts, Screen(width=width))
    assert max(map(len, text.splitlines())) <= width
    assert text.count("NV18") == 56
    assert "rdmap79s0, rdmap79s1, rdmap79s2, rdmap79s3" in text or "rdmap79s0" in text
    assert "rdmap79s0 and 31 more" in text


def test_a_few_nics_stand_in_the_matrix() -> None:
    cards = [
        gpu(n, pci=f"0000:{n:02x}:00.0", nics={"mlx5_0": "PIX", "mlx5_1": "SYS"}, peers={"0": "PHB"}) for n in (0, 1)
    ]
    text = drawn(*cards, ports=(PortFacts(device="mlx5_0"),))
    assert "GPU1      PHB     X" in text
    assert "GPU1      PIX   SYS" in text
    assert "NIC0 mlx5_0 · NIC1 mlx5_1" in text


def test_straight_links_are_counted_by_peer() -> None:
    links = tuple(
        NvlinkFacts(link=n, active=True, remote_pci="0000:01:00.0" if n < 2 else "0000:02:00.0") for n in range(6)
    )
    cards = [
        gpu(0, pci="0000:00:00.0", nvlinks=links, peers={"1": "NVLINK", "2": "NVLINK"}),
        gpu(1, pci="0000:01:00.0"),
        gpu(2, pci="0000:02:00.0"),
    ]
    row = next(line for line in drawn(*cards).splitlines() if line.startswith("GPU0 "))
    assert row.split() == ["GPU0", "X", "NV2", "NV4"]


def test_what_is_broken_stands_out_and_unknown_is_said() -> None:
    text = drawn(
        gpu(
            faults=MemoryFaults(remap_failure=True, volatile_uncorrected=3),
            pcie=PcieFacts(width=8, max_width=16),
            clocks=ClockFacts(limited_by=("GpuIdle", "HwSlowdown")),
            nvlinks=(NvlinkFacts(link=0, active=True, errors={"replay": 1200}),),
            unknown={"power": "no permission"},
            processes=tuple(ProcessFacts(pid=n, name="python", memory_mib=10) for n in range(9)),
        ),
        GpuFacts(index=1, lost=True),
    )
    for words in (
        "row remap failure",
        "3 uncorrected ECC errors",
        "x8, it could be x16",
        "clocks held down: HwSlowdown\n",
        "1,200 NVLink errors",
        "memory unknown · busy unknown · power unknown",
        "1 fact unknown",
        "and 3 more processes",
        "unknown GPU LOST",
    ):
        assert words in text, words


def test_ports_that_are_alike_stand_in_one_line() -> None:
    roce = {"kind": "roce", "rate_gbps": 200.0, "mtu_bytes": 9000, "pfc_priorities": (3,), "ecn_priorities": ()}
    ports = (
        *(PortFacts(device=f"mlx5_{n}", interface=f"eth{n}", state="ACTIVE", **roce) for n in range(3)),  # type: ignore[arg-type]
        PortFacts(device="mlx5_9", kind="infiniband", state="DOWN"),
        PortFacts(device="eth9", interface="eth9", kind="ethernet", bond="bond0", bond_mode="802.3ad"),
    )
    text = drawn(gpu(), ports=ports, peermem=True, acs=("0000:00:01.0",))
    assert "roce        200 Gb/s   ACTIVE  MTU 9000 · PFC 3" in text
    assert "mlx5_0 (eth0) and 2 more" in text
    assert "ECN none" in text
    assert "mlx5_9" in text
    assert "in bond0 (802.3ad)" in text
    assert "nvidia_peermem yes · DMA-BUF unknown" in text
    assert "ACS redirects at 1 bridge\n" in text


def test_hostile_names_stay_on_their_line() -> None:
    text = drawn(gpu(name="\x1b[2J\nGPU", processes=(ProcessFacts(pid=1, name="a\nb\x1b[31m"),)))
    assert "\x1b" not in text
    assert "a\nb" not in text
