"""What NCCL itself said of the network it chose, by host of a job, from logs of NCCL_DEBUG=INFO."""

from gpuaudit.cluster.record import Record


class NcclLog(Record, frozen=True, kw_only=True):
    """The lines of one host in one log. `pod`, `workload` and `node` where the host is one that Kubernetes knows.

    Empty = the log does not say; all texts are bounded.
    """

    cluster: str
    name: str  # of the file
    host: str
    pod: str | None = None  # namespace/name
    workload: str | None = None
    node: str | None = None
    networks: tuple[str, ...] = ()  # chosen networks: IB, Socket, AWS Libfabric ...
    devices: tuple[str, ...] = ()  # mlx5_0/RoCE: RDMA devices that NCCL found
    interfaces: tuple[str, ...] = ()  # that sockets were opened on
    plugin: str | None = None
    version: str | None = None
    processes: int = 0
    ranks: int | None = None  # of the largest communicator
    nodes: int | None = None  # of the largest communicator
    hosts: int = 1  # hosts in the same log
    no_device: bool = False  # NCCL looked for RDMA devices and found none
    gpudirect: bool | None = None  # GPUDirect RDMA on (True) or off for some device
    dma_buf: bool = False
    paths: dict[str, int] = {}  # channels by path: P2P, SHM, NET/IB, NET/IB GDRDMA, NET/Socket
    warnings: tuple[str, ...] = ()
