"""What goes wrong with a cluster's network, done to its objects, and what hosts tell of themselves."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from gpuaudit.cluster.node_facts import FabricFacts, GpuFacts, HostFacts, PortFacts
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.inventory import Inventory
from gpuaudit.collect.joining.assemble import Materials, assemble
from gpuaudit.collect.joining.node_merge import Told
from tests.clusters.building import NOW, Site, Tree

Change = Callable[[Tree], None]


def with_pods(site: Site, name: str, change: Change) -> Site:
    """Change the pods (and their containers' first one) whose name begins so."""
    for item in site.objects:
        if item["kind"] == "Pod" and item["metadata"]["name"].startswith(name):
            change(item)
    return site


def ask(**amounts: str | None) -> Change:
    """Change what the last container asks for; None takes a request away."""

    def change(item: Tree) -> None:
        container = item["spec"]["containers"][-1]
        asked = dict(container["resources"]["requests"])
        for key, value in amounts.items():
            asked.pop(key, None)
            asked |= {key: value} if value is not None else {}
        item["spec"] = item["spec"] | {
            "containers": [
                *item["spec"]["containers"][:-1],
                container | {"resources": {"requests": asked, "limits": asked}},
            ]
        }

    return change


def setting(**variables: str) -> Change:
    """Set variables of the last container."""

    def change(item: Tree) -> None:
        container = item["spec"]["containers"][-1]
        kept = [one for one in container.get("env", []) if one["name"] not in variables]
        env = [*kept, *({"name": key, "value": value} for key, value in variables.items())]
        item["spec"] = item["spec"] | {"containers": [*item["spec"]["containers"][:-1], container | {"env": env}]}

    return change


def dgx(name: str, *, ports: Sequence[PortFacts] = (), taken_at: datetime = NOW, **fabric: object) -> HostFacts:
    """A DGX H100: eight rails of NDR InfiniBand, two storage ports, two plain ones; `ports` replace those of a name."""
    rails = {f"mlx5_{n}": _rail(n) for n in range(8)}
    rails |= {f"mlx5_{n}": PortFacts(device=f"mlx5_{n}", kind="roce", state="ACTIVE", rate_gbps=200, mtu_bytes=9000,
                                     pfc_priorities=(3,), ecn_priorities=(3,)) for n in (8, 9)}  # fmt: skip
    rails |= {f"eno{n}": _plain(n) for n in (1, 2)}
    rails |= {one.device: one for one in ports}
    told: dict[str, object] = {"peermem": True, "dma_buf": False, "kernel": "6.8.0-60-generic"}
    return HostFacts(
        tool_version="0",
        taken_at=taken_at - timedelta(minutes=5),
        host=name,
        node=name,
        driver="580.95.05",
        gpus=tuple(_gpu(name, n) for n in range(8)),
        fabric=FabricFacts(ports=tuple(rails.values()), **(told | fabric)),  # type: ignore[arg-type]
    )


def with_hosts(snapshot: Snapshot, *hosts: HostFacts) -> Snapshot:
    """Return the snapshot with what hosts tell, joined as the product joins it."""
    materials = Materials(
        names=tuple(one.name for one in snapshot.clusters),
        inventories=(Inventory(),),
        snapshots=(snapshot,),
        hosts=tuple(Told(one, snapshot.clusters[0].name) for one in hosts),
        sources=snapshot.sources,
    )
    return assemble(materials, now=NOW, read_at=NOW, window=timedelta(days=14))


def _plain(number: int) -> PortFacts:
    """The first of two ports of the management network is in use."""
    used = number == 1
    name = f"eno{number}"
    state, rate = ("UP", 10.0) if used else ("DOWN", None)
    return PortFacts(device=name, kind="ethernet", interface=name, state=state, rate_gbps=rate, mtu_bytes=1500)


def _rail(number: int) -> PortFacts:
    return PortFacts(
        device=f"mlx5_{number}",
        kind="infiniband",
        interface=f"ibp{number}s0",
        state="ACTIVE",
        physical_state="LinkUp",
        rate_gbps=400,
        mtu_bytes=4092,
        gids=("IB/RoCE v1",),
        driver="mlx5_core",
    )


def _gpu(name: str, number: int) -> GpuFacts:
    near = {f"mlx5_{n}": "PXB" if n == number else "NODE" if n // 4 == number // 4 else "SYS" for n in range(8)}
    return GpuFacts(
        index=number, uuid=f"GPU-{name}-{number}", name="NVIDIA H100 80GB HBM3", memory_total_mib=81559.0, nics=near
    )
