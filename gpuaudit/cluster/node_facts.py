"""What one host tells of itself: NVML and the fabric (`gpuaudit node`, schema `gpuaudit.node/v1`).

Unknown is None (or an empty list where nothing was told); why a fact is unknown stands in `unknown`, by its field.
"""

from typing import Literal

from gpuaudit.cluster.record import Instant, Record

SCHEMA = "gpuaudit.node/v1"
PART_SCHEMA = "gpuaudit.node-part/v1"


class Told(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A record that a probe of another version may have written: what this version does not know is left out."""


class ProcessFacts(Told, frozen=True, kw_only=True):
    """A process on a GPU or MIG device; memory in MiB.

    `sm_utilization` is 0-1 of the last 10 s; None where it computed nothing or nobody tells.
    """

    pid: int
    kind: Literal["compute", "graphics", "mps"] = "compute"
    name: str | None = None
    container: str | None = None  # id from its cgroup
    pod_uid: str | None = None  # from its cgroup
    memory_mib: float | None = None
    sm_utilization: float | None = None
    gpu_instance_id: int | None = None
    compute_instance_id: int | None = None


class ProfileFacts(Told, frozen=True, kw_only=True):
    """A GPU instance profile as the driver offers it, with the placements that are possible (memory slots)."""

    name: str
    profile_id: int
    slices: int
    memory_mib: float | None = None
    multiprocessors: int | None = None
    instances: int | None = None
    remaining: int | None = None
    placements: tuple[tuple[int, int], ...] = ()  # (start, size)


class ActivityFacts(Told, frozen=True, kw_only=True):
    """What the counters of a GPU or GPU instance saw in some seconds: shares 0-1 of the time, or of the bandwidth.

    `gr_engine_active` = any work at all, `sm_active` = SMs with work, `sm_occupancy` = warps in them, `tensor_active`
    = tensor cores, `dram_active` = memory bandwidth. Traffic is the GPU's, sent (tx) and received (rx).
    """

    seconds: float
    gr_engine_active: float | None = None
    sm_active: float | None = None
    sm_occupancy: float | None = None
    tensor_active: float | None = None
    dram_active: float | None = None
    pcie_tx_mib_per_second: float | None = None
    pcie_rx_mib_per_second: float | None = None
    nvlink_tx_mib_per_second: float | None = None
    nvlink_rx_mib_per_second: float | None = None


class InstanceFacts(Told, frozen=True, kw_only=True):
    """A MIG device that exists: GPU instance, compute instance, where it sits and what it uses."""

    gpu_instance_id: int
    compute_instance_id: int | None = None
    profile: str | None = None
    uuid: str | None = None
    start: int | None = None
    size: int | None = None
    memory_total_mib: float | None = None
    memory_used_mib: float | None = None
    multiprocessors: int | None = None
    activity: ActivityFacts | None = None  # of its GPU instance


class NvlinkFacts(Told, frozen=True, kw_only=True):
    """One NVLink. Errors are counts since the driver was loaded."""

    link: int
    active: bool | None = None
    version: int | None = None
    remote_pci: str | None = None
    speed_gbps: float | None = None
    errors: dict[str, int] = {}


class PcieFacts(Told, frozen=True, kw_only=True):
    """The PCIe link now and at its best."""

    generation: int | None = None
    width: int | None = None
    max_generation: int | None = None
    max_width: int | None = None
    replays: int | None = None


class PowerFacts(Told, frozen=True, kw_only=True):
    """Power in watts."""

    draw_watts: float | None = None
    limit_watts: float | None = None
    default_limit_watts: float | None = None
    max_limit_watts: float | None = None


class ClockFacts(Told, frozen=True, kw_only=True):
    """Clocks in MHz and what holds them down now."""

    sm_mhz: int | None = None
    memory_mhz: int | None = None
    max_sm_mhz: int | None = None
    max_memory_mhz: int | None = None
    limited_by: tuple[str, ...] = ()


class MemoryFaults(Told, frozen=True, kw_only=True):
    """ECC errors, remapped rows and retired pages."""

    ecc_enabled: bool | None = None
    ecc_pending: bool | None = None
    volatile_corrected: int | None = None
    volatile_uncorrected: int | None = None
    aggregate_corrected: int | None = None
    aggregate_uncorrected: int | None = None
    remapped_correctable: int | None = None
    remapped_uncorrectable: int | None = None
    remap_pending: bool | None = None
    remap_failure: bool | None = None
    retired_pages: int | None = None
    retirement_pending: bool | None = None


class Samples(Told, frozen=True, kw_only=True):
    """The driver's samples of the last 10 s: how many, over how long, and what they say (ratios 0-1 or watts)."""

    count: int
    seconds: float
    mean: float
    max: float


class GpuFacts(Told, frozen=True, kw_only=True):
    """One physical GPU."""

    index: int
    uuid: str | None = None
    name: str | None = None
    serial: str | None = None  # None unless asked for
    pci: str | None = None
    vbios: str | None = None
    architecture: str | None = None
    compute_capability: str | None = None
    lost: bool = False
    memory_total_mib: float | None = None
    memory_used_mib: float | None = None
    memory_reserved_mib: float | None = None
    utilization: float | None = None  # share of time any kernel ran, the driver's last period
    memory_utilization: float | None = None
    samples: dict[str, Samples] = {}  # gpu, memory, power
    activity: ActivityFacts | None = None  # Hopper and newer; in MIG mode that of its instances
    temperature_celsius: float | None = None
    performance_state: int | None = None
    persistence: bool | None = None
    compute_mode: str | None = None
    mig_current: bool | None = None
    mig_pending: bool | None = None
    profiles: tuple[ProfileFacts, ...] = ()
    instances: tuple[InstanceFacts, ...] = ()
    processes: tuple[ProcessFacts, ...] | None = None  # None = could not be asked
    power: PowerFacts = PowerFacts()
    clocks: ClockFacts = ClockFacts()
    faults: MemoryFaults = MemoryFaults()
    pcie: PcieFacts = PcieFacts()
    nvlinks: tuple[NvlinkFacts, ...] = ()
    fabric_state: str | None = None
    fabric_clique: int | None = None
    numa: int | None = None
    cpus: str | None = None
    peers: dict[str, str] = {}  # index of the other GPU → NVLINK, PIX, PXB, PHB, NODE, SYS
    nics: dict[str, str] = {}  # interface → PIX, PXB, PHB, NODE, SYS
    virtualization: str | None = None
    vgpus: int | None = None  # virtual GPUs that are active on it, on a hypervisor
    unknown: dict[str, str] = {}  # field → why


class EtsFacts(Told, frozen=True, kw_only=True):
    """How a port shares its bandwidth (802.1Qaz): by priority its traffic class, by class its percent and algorithm."""

    priority_classes: tuple[int, ...] = ()
    bandwidth_percent: tuple[int, ...] = ()
    algorithms: tuple[str, ...] = ()  # strict, ets, cb-shaper, vendor


class PortFacts(Told, frozen=True, kw_only=True):
    """A port of an RDMA device or a network interface. Speeds in Gbit/s."""

    device: str
    port: int = 1
    kind: Literal["infiniband", "roce", "efa", "omnipath", "ethernet", "other"] = "other"
    interface: str | None = None
    state: str | None = None
    physical_state: str | None = None
    rate_gbps: float | None = None
    max_rate_gbps: float | None = None
    mtu_bytes: int | None = None
    firmware: str | None = None
    driver: str | None = None
    pci: str | None = None
    numa: int | None = None
    gids: tuple[str, ...] = ()  # kinds of GID that are there: IB, RoCE v1, RoCE v2
    pfc_priorities: tuple[int, ...] | None = None
    trust: str | None = None  # dscp or pcp
    ets: EtsFacts | None = None
    ecn_priorities: tuple[int, ...] | None = None  # marked and reacted to
    virtual_functions: int | None = None
    max_virtual_functions: int | None = None
    physical_function: str | None = None  # PCI address, of a virtual function
    bond: str | None = None
    bond_mode: str | None = None  # 802.3ad, active-backup
    pcie: PcieFacts = PcieFacts()
    counters: dict[str, int] = {}
    unknown: dict[str, str] = {}  # field → why


class FabricFacts(Told, frozen=True, kw_only=True):
    """The network of a host as sysfs and netlink tell it."""

    ports: tuple[PortFacts, ...] = ()
    peermem: bool | None = None
    dma_buf: bool | None = None
    acs: tuple[str, ...] | None = None  # PCI bridges above a GPU or NIC with ACS redirection on; None = not readable
    kernel: str | None = None
    unknown: dict[str, str] = {}


class HostFacts(Told, frozen=True, kw_only=True):
    """The whole document of one host."""

    schema: str = SCHEMA
    tool_version: str
    taken_at: Instant
    host: str
    node: str | None = None  # the Kubernetes node's name, where known
    cluster: str | None = None
    driver: str | None = None
    cuda: str | None = None
    nvml: str | None = None
    confidential_compute: bool | None = None  # on: guests' memory on the GPUs is encrypted
    gpus: tuple[GpuFacts, ...] = ()
    fabric: FabricFacts = FabricFacts()
    host_processes: bool | None = None  # False = in a container: the driver tells of that container's processes alone
    notes: tuple[str, ...] = ()


class NodePart(Told, frozen=True, kw_only=True):
    """One line of a document that is too long for one: `data` of all parts together is base64 of gzip of it."""

    schema: str = PART_SCHEMA
    id: str
    part: int  # from 1
    parts: int
    data: str
