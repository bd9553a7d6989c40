"""Nodes whose MIG devices are not what they were told to be: failed, stuck, handed out wrong or not at all."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.platform import CustomObject
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.capacity.stranding import planned_maintenance
from gpuaudit.demand.memory import once
from gpuaudit.demand.mig.nodes import Devices, barred, grid_of, installed, offered, single_profile, told
from gpuaudit.demand.subjects import amount
from gpuaudit.knowledge import kubernetes, mig, mig_configs, systems
from gpuaudit.rule import Confidence

STOCK = (None, *(system.configmaps if (system := systems.by_key("mig")) else ()))  # names of the stock layouts
TroubleKind = Literal["failed", "stuck", "unusable", "layout", "mode"]


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What is wrong with the MIG devices of a node. `since` = at least since then, of passing states."""

    node: Node
    kind: TroubleKind
    detail: str
    sure: Confidence
    since: datetime | None = None


@dataclass(frozen=True)
class Told:
    """The layouts that mig-manager may apply; None = their ConfigMap was not read, so no name is known to be wrong."""

    by_cluster: Mapping[str, mig_configs.Configs]

    def parts(self, node: Node) -> tuple[mig_configs.Part, ...] | None:
        """Return what the node's label asks for; None when the label or the layout behind it is not known."""
        return self.by_cluster.get(node.cluster, {}).get(node.mig_config or "")

    def misses(self, node: Node) -> bool:
        """Whether the configuration was read and has no layout of the label's name."""
        return node.cluster in self.by_cluster and node.mig_config not in self.by_cluster[node.cluster]


def configured(snapshot: Snapshot, node: Node) -> Devices | None:
    """Return the MIG devices that the node's label asks for; None when it is not known, {} when it asks for none."""
    grid = grid_of(node)
    if not node.mig_config:
        return None
    parts = told_configs(snapshot).parts(node)
    if parts is not None:
        if not any(part.mig_enabled for part in parts):
            return {}
        return mig_configs.devices_of(parts, grid, node.gpus) if grid else None
    if node.cluster in told_configs(snapshot).by_cluster or _named_by_operator(snapshot, node.cluster) not in STOCK:
        return None
    if node.mig_config in mig.bare_layouts():
        return {}
    stock = mig.stock_layouts(grid).get(node.mig_config) if grid else None
    return {name: count * node.gpus for name, count in stock.items()} if stock else None


@once
def told_configs(snapshot: Snapshot) -> Told:
    """Return the layouts of each cluster: of the ConfigMap that the GPU Operator names, else of the only one."""
    found: dict[str, mig_configs.Configs] = {}
    for cluster in snapshot.clusters:
        files = {
            item.name: configs
            for item in snapshot.custom_objects
            if item.cluster == cluster.name and item.kind == "ConfigMap" and not item.api_group
            if (configs := _layouts(item)) is not None
        }
        named = _named_by_operator(snapshot, cluster.name)
        chosen = files.get(named) if named else next(iter(files.values())) if len(files) == 1 else None
        if chosen is not None:
            found[cluster.name] = chosen
    return Told(found)


def troubles(snapshot: Snapshot, node: Node, *, stuck: timedelta, settled: timedelta) -> list[Trouble]:
    """Return what is wrong with the node's MIG devices now.

    States that pass by themselves count once they stand longer than `stuck`; counts, once the node is up for longer
    than `settled`. Silent are nodes out of service or under maintenance, and cards that are not the node's to cut.
    """
    if not node.listed or barred(node) or planned_maintenance(node):
        return []
    gfd = kubernetes.gfd()
    if node.mig_config_state == gfd.mig_state_failed:
        return [_failed(snapshot, node)]
    if node.mig_config_state in gfd.mig_state_passing:
        return list(_stuck(snapshot, node, stuck))
    if node.ready is False or _young(snapshot, node, settled) or not _by_plugin(node):
        return []
    return [*(_unusable(snapshot, node) or _differing(snapshot, node) or _behind(node)), *_mode(node)]


def _failed(snapshot: Snapshot, node: Node) -> Trouble:
    causes = list(_causes(snapshot, node))
    why = f" ({'; '.join(causes)})" if causes else ""
    detail = f"{node.mig_config or 'its configuration'} failed, it still offers {_offers(node)}{why}"
    return Trouble(node=node, kind="failed", detail=detail, sure="confirmed")


def _causes(snapshot: Snapshot, node: Node) -> Iterator[str]:
    """Yield what makes mig-manager fail, as far as it is seen here."""
    parts, grid = told_configs(snapshot).parts(node), grid_of(node)
    if told_configs(snapshot).misses(node):
        yield "no configuration of that name exists"
    for strange in mig_configs.strange_profiles(parts, grid) if parts and grid else ():
        yield f"the GPU has no {strange}"
    holders = snapshot.holders(node)
    if holders:
        held = snapshot.held_gpus(node)
        yield f"pods hold {amount(held) if held else 'its GPUs'}: a GPU in use cannot be cut anew"


def _stuck(snapshot: Snapshot, node: Node, limit: timedelta) -> Iterator[Trouble]:
    if _young(snapshot, node, limit):
        return
    since = node.mig_state_since
    detail = f"{node.mig_config or 'its configuration'} is {node.mig_config_state}, it offers {_offers(node)}"
    yield Trouble(node=node, kind="stuck", detail=detail, sure="confirmed" if since else "investigate", since=since)


def _young(snapshot: Snapshot, node: Node, limit: timedelta) -> bool:
    """Whether something about the node is so new that its state may pass by itself."""
    changes = (node.created, node.ready_since, node.mig_state_since)
    if any(moment is not None and snapshot.taken_at - moment < limit for moment in changes):
        return True
    gfd = kubernetes.gfd()
    paused = (value for key, value in node.labels.items() if key.startswith(gfd.deploy_prefix))
    return node.mig_config_state not in gfd.mig_state_passing and gfd.deploy_paused in paused


def _by_plugin(node: Node) -> bool:
    """Whether the device plugin hands out the node's GPUs: its resources stay listed, even with nothing to give."""
    keys = kubernetes.resources()
    names = [one.name for one in node.resources]
    if node.sharing is not None and node.sharing.strategy not in ("time-slicing", "mps"):
        return False
    return any(name in (keys.gpu, keys.gpu_shared) or name.startswith(keys.mig_prefix) for name in names)


def _unusable(snapshot: Snapshot, node: Node) -> list[Trouble]:
    """GPUs in MIG mode of which nothing is handed out."""
    if offered(node) or installed(node) or _whole(node):
        return []
    wanted = configured(snapshot, node)
    product = node.labels.get(kubernetes.gfd().product, "")
    if product.endswith(kubernetes.gfd().mig_invalid_product) or (node.mig_strategy == "single" and _several(wanted)):
        why = "strategy single needs one profile on all GPUs, its profiles differ"
    elif wanted and node.mig_strategy == "none":
        why = "strategy none hands out no MIG device"
    elif not wanted and node.cards and all(card.mig_enabled and not card.mig for card in node.cards):
        why = "MIG is on and no device was made"
    elif wanted:
        why = f"{node.mig_config} stands for {told(wanted)}"
    else:
        return []
    detail = f"{amount(node.gpus)} and nothing offered: {why}"
    return [Trouble(node=node, kind="unusable", detail=detail, sure="confirmed")]


def _several(wanted: Devices | None) -> bool:
    return wanted is not None and len(wanted) > 1


def _differing(snapshot: Snapshot, node: Node) -> list[Trouble]:
    """Devices that are not those of the label's configuration, or are withdrawn."""
    wanted, there, given = configured(snapshot, node), installed(node), offered(node)
    found: list[str] = []
    if wanted is not None and (node.mig_config_state or wanted) and there != wanted:
        found.append(f"{node.mig_config} stands for {told(wanted) or 'whole GPUs'}, it has {_has(node)}")
    withdrawn = {name: count - given.get(name, 0) for name, count in there.items() if given.get(name, 0) < count}
    if withdrawn:
        found.append(f"{told(withdrawn)} withdrawn as unhealthy")
    return [Trouble(node=node, kind="layout", detail=detail, sure="likely") for detail in found]


def _behind(node: Node) -> list[Trouble]:
    """Return where the driver has other devices than the plugin hands out: its word is newer than the last change."""
    placed = [device for card in node.cards for device in card.mig if device.start is not None]
    seen = node.probe_taken_at
    if not placed or seen is None or (node.mig_state_since is not None and node.mig_state_since > seen):
        return []
    driver: dict[str, int] = {}
    for device in (device for card in node.cards for device in card.mig):
        profile = mig.canonical(device.profile) or device.profile
        driver[profile] = driver.get(profile, 0) + 1
    if driver == installed(node):
        return []
    detail = f"the driver has {told(driver)}, the device plugin found {_has(node)}"
    return [Trouble(node=node, kind="layout", detail=detail, sure="likely", since=seen)]


def _mode(node: Node) -> list[Trouble]:
    """Return what the driver itself says: a mode that waits for a reset."""
    waiting = [card for card in node.cards if card.mig_pending is not None and card.mig_enabled is not None]
    waiting = [card for card in waiting if card.mig_pending != card.mig_enabled]
    if not waiting:
        return []
    word = "on" if waiting[0].mig_pending else "off"
    detail = f"MIG turns {word} on {amount(len(waiting))} at the next reset"
    return [Trouble(node=node, kind="mode", detail=detail, sure="confirmed", since=node.probe_taken_at)]


def _whole(node: Node) -> int:
    """GPUs that are offered whole."""
    keys = kubernetes.resources()
    names = (keys.gpu, keys.gpu_shared)
    return 0 if single_profile(node) else sum(one.capacity or 0 for one in node.resources if one.name in names)


def _offers(node: Node) -> str:
    return told(offered(node)) or (f"{amount(_whole(node))} whole" if _whole(node) else "nothing")


def _has(node: Node) -> str:
    return told(installed(node)) or (f"{amount(_whole(node))} whole" if _whole(node) else "none")


def _layouts(item: CustomObject) -> mig_configs.Configs | None:
    for path, text in sorted(item.fields.items()):
        if path.startswith("data.") and "mig-configs" in text:
            return mig_configs.parse(str(_decoded(text)))
    return None


def _named_by_operator(snapshot: Snapshot, cluster: str) -> str | None:
    """Return the ConfigMap that the GPU Operator's policy names, None when it names none."""
    for item in snapshot.custom_objects:
        if item.cluster == cluster and item.kind == "ClusterPolicy":
            found = _decoded(item.fields.get("spec.migManager.config", ""))
            return (found.get("name") or None) if isinstance(found, dict) else None
    return None


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
