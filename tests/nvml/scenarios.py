"""Machines for the NVML stand-in, as the text that it plays (see standin.c)."""

GIB = 1024
A100_PROFILES = {  # enum: id slices instances SMs MB name, and -lgipp placements (facts: mig_profiles.toml, lgipp8)
    0: (19, 1, 7, 14, 9728, "1g.10gb", "0:1 1:1 2:1 3:1 4:1 5:1 6:1"),
    1: (14, 2, 3, 28, 19968, "2g.20gb", "0:2 2:2 4:2"),
    2: (9, 3, 2, 42, 40192, "3g.40gb", "0:4 4:4"),
    3: (5, 4, 1, 56, 40192, "4g.40gb", "0:4"),
    4: (0, 7, 1, 98, 80896, "7g.80gb", "0:8"),
}


def head(count: int, driver: str = "580.65.06") -> list[str]:
    """Return the lines of the system."""
    return [f"driver {driver}", f"nvml 13.{driver}", "cuda 13000", f"count {count}"]


def gpu(index: int, name: str, memory: int, **facts: object) -> list[str]:
    """Return the lines of a healthy idle GPU; `facts` override or add."""
    known: dict[str, object] = {
        "uuid": f"GPU-{index:08d}-0000-0000-0000-000000000000",
        "name": name,
        "serial": f"16{index:011d}",
        "pci": f"00000000:{0x10 + index:02X}:00.0",
        "vbios": "92.00.45.00.03",
        "architecture": 7,
        "capability": "8.0",
        "memory_total": memory,
        "memory_used": 4,
        "memory_reserved": 600,
        "utilization": "0 0",
        "temperature": 31,
        "pstate": 0,
        "persistence": 1,
        "compute_mode": 0,
        "power": 62000,
        "power_limit": 400000,
        "power_default": 400000,
        "power_max": 400000,
        "clock_sm": 1410,
        "clock_memory": 1593,
        "clock_max_sm": 1410,
        "clock_max_memory": 1593,
        "throttle": 1,
        "ecc": 1,
        "remapped": "0 0 0 0",
        "retirement_pending": 0,
        "pcie_gen": 4,
        "pcie_width": 16,
        "pcie_max_gen": 4,
        "pcie_max_width": 16,
        "pcie_replays": 0,
        "numa": index // 4,
        "virtualization": 0,
        "mig_mode": "0 0",
    }
    known |= {f"ecc_errors{kind}{counter}": 0 for kind in (0, 1) for counter in (0, 1)}
    return [f"gpu{index}.{key} {value}" for key, value in (known | facts).items()]


def profiles(index: int, remaining: dict[int, int] | None = None) -> list[str]:
    """Return the lines of an A100-80GB's GPU instance profiles; `remaining` by profile id."""
    lines = []
    for number, (ident, slices, instances, sm, megabytes, name, places) in A100_PROFILES.items():
        lines.append(f"gpu{index}.profile{number} {ident} {slices} {instances} {sm} {megabytes} {name}")
        lines.append(f"gpu{index}.placements{ident} {places}")
        lines.append(f"gpu{index}.remaining{ident} {(remaining or {}).get(ident, 0)}")
    return lines


def mig(index: int, devices: list[tuple[int, int, str, int, int]]) -> list[str]:
    """Return the lines of MIG devices: (GPU instance id, profile id, profile, start, size)."""
    lines = [f"gpu{index}.max_mig 7"]
    by_profile: dict[int, list[int]] = {}
    for number, (gi, profile, name, start, size) in enumerate(devices):
        by_profile.setdefault(profile, []).append(gi)
        lines += [
            f"gpu{index}.gi{gi}.info {profile} {start}:{size}",
            f"gpu{index}.mig{number}.gi {gi}",
            f"gpu{index}.mig{number}.ci 0",
            f"gpu{index}.mig{number}.name NVIDIA A100-SXM4-80GB MIG {name}",
            f"gpu{index}.mig{number}.uuid MIG-{index}-{gi}",
            f"gpu{index}.mig{number}.memory_total {size * 9728}",
            f"gpu{index}.mig{number}.memory_used {100 * (number + 1)}",
            f"gpu{index}.mig{number}.sm {14 * int(name[0])}",
        ]
    lines += [f"gpu{index}.instances{profile} {' '.join(map(str, gis))}" for profile, gis in by_profile.items()]
    return lines


def a100x8_mixed() -> str:
    """Eight A100 on NVSwitch, two of them partitioned, one with work on it."""
    lines = [*head(8), "topology 40"]
    for index in range(8):
        partitioned = index < 2
        lines += gpu(index, "NVIDIA A100-SXM4-80GB", 81920, mig_mode="1 1" if partitioned else "0 0")
        lines += profiles(index, {19: 6, 14: 2, 9: 1} if index == 1 else None)
        for link in range(12):
            lines += [f"gpu{index}.nvlink{link} 1", f"gpu{index}.nvlink_remote{link} 00000000:C{link % 6}:00.0"]
        lines.append(f"gpu{index}.nvlink_version 3")
    lines += mig(
        0, [(1, 9, "3g.40gb", 4, 4), (3, 14, "2g.20gb", 0, 2), (9, 19, "1g.10gb", 2, 1), (10, 19, "1g.10gb", 3, 1)]
    )
    lines += mig(1, [(11, 19, "1g.10gb", 0, 1)])
    lines += ["gpu2.process0 4242 30000", "gpu2.busy0 4242 80", "gpu2.busy1 4242 60", "gpu2.samples1 70 80 90"]
    return "\n".join([*lines, ""])


def h100_mig_off() -> str:
    """One H100 whose clocks are held down by heat and whose rows could not be remapped."""
    facts = {"throttle": 0x20 | 0x8, "remapped": "3 1 0 1", "pcie_width": 8, "pcie_max_width": 16, "ecc_errors11": 4}
    return "\n".join([*head(1), "confidential 1", *gpu(0, "NVIDIA H100 80GB HBM3", 81559, **facts), ""])


def h100_at_work() -> str:
    """One H100 as a real one answered (fixtures/captures/nvml), at work on one SM of its 132; MIG is off."""
    lines = gpu(0, "NVIDIA H100 80GB HBM3", 81559, utilization="100 0", architecture=9, capability="9.0")
    counters = {1: 100.0, 2: 0.75, 3: 0.09, 5: 0.0, 10: 1.5, 20: 3.25, 21: 2.5, 60: "!3", 61: "nan"}
    lines += ["gpu0.gpm 1", *(f"gpu0.gpm{number} {value}" for number, value in counters.items())]
    return "\n".join([*head(1, "580.159.04"), *lines, ""])


def h100_mig_at_work() -> str:
    """One H100 in MIG mode, whose two GPU instances have counters of their own; those of the second are refused."""
    lines = gpu(0, "NVIDIA H100 80GB HBM3", 81559, mig_mode="1 1", utilization="!3")
    lines += mig(0, [(1, 9, "3g.40gb", 4, 4), (3, 14, "2g.20gb", 0, 2)])
    lines += ["gpu0.gpm 1", "gpu0.gi1.gpm2 62.5", "gpu0.gi1.gpm5 12.5", "gpu0.gi1.gpm10 250.0"]
    lines.append("gpu0.gi3.gpm_sample !4")
    return "\n".join([*head(1, "580.159.04"), *lines, ""])


def lost() -> str:
    """Two GPUs: the first fell off the bus, the second is lost while being asked."""
    second = [
        line for line in gpu(1, "NVIDIA A100-SXM4-80GB", 81920) if "utilization" not in line and "power" not in line
    ]
    return "\n".join([*head(2), "gpu0.handle !15", *second, "gpu1.utilization !15", "gpu1.power !15", ""])


def unsupported() -> str:
    """A GPU that answers NOT_SUPPORTED to all but its handle."""
    return "\n".join(["driver 580.65.06", "count 1", ""])


def forbidden() -> str:
    """A GPU in a container without rights: placements and processes are refused."""
    facts = {f"placements{ident}": "!4" for ident, *_ in A100_PROFILES.values()}
    facts |= {"process0": "!4", "graphics0": "!4", "mps0": "!4", "mig_mode": "1 1"}
    lines = gpu(0, "NVIDIA A100-SXM4-80GB", 81920, **facts)
    lines += [line for line in profiles(0) if "placements" not in line]
    # inside a MIG container one device is visible; the instances of the card are not to be listed
    lines += [line for line in mig(0, [(7, 19, "1g.10gb", 0, 1)]) if ".info" not in line and ".instances" not in line]
    return "\n".join([*head(1), *lines, "gpu0.instances19 !4", ""])


def vgpu() -> str:
    """A guest with a vGPU."""
    facts = {"virtualization": 2, "power": "!3", "ecc": "!3", "pci": "00000000:02:00.0"}
    return "\n".join([*head(1), *gpu(0, "NVIDIA A100-20C", 20480, **facts), ""])


def strange() -> str:
    """Answers that no header promises: unknown enums, text that is not UTF-8 in a name, absurd utilization."""
    facts = {
        "architecture": 99,
        "virtualization": 77,
        "throttle": 1 << 40,
        "utilization": "4000 12",
        "capability": "99.9",
    }
    return "\n".join([*head(1), *gpu(0, "NVIDIA Future", 81920, **facts), ""])


def hypervisor() -> str:
    """A host that lends vGPUs: three of them are active on its GPU."""
    return "\n".join([*head(1), *gpu(0, "NVIDIA L40S", 46068, virtualization=3, vgpus=3), ""])


def mps() -> str:
    """A GPU that two clients share by MPS: both lists have them, SM time is told of the server."""
    lines = gpu(0, "NVIDIA L4", 23034, utilization="80 10")
    lines += ["gpu0.process0 10 30", "gpu0.process1 11 4000", "gpu0.process2 12 6000", "gpu0.busy0 10 80"]
    return "\n".join([*head(1), *lines, "gpu0.mps0 11 4000", "gpu0.mps1 12 6000", ""])
