"""What the demo's nodes tell of themselves, as the snapshot keeps it."""

import pytest

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.paths import builtin
from gpuaudit.store import load


@pytest.fixture(scope="module")
def demo() -> Snapshot:
    return load(builtin("snapshots") / "demo.gpuaudit")


def pool(demo: Snapshot, name: str) -> list[Node]:
    return [node for node in demo.nodes if node.pool == name]


def test_training_nodes_know_their_topology_and_fabric(demo: Snapshot) -> None:
    told = [node for node in pool(demo, "train-h100") if not node.cordoned]
    assert len(told) == 7
    for node in told:
        card = next(card for card in node.cards if card.state == "ok")
        paths = [link.path for link in card.links]
        assert (paths.count("NVLINK"), paths.count("PIX"), paths.count("NODE"), paths.count("SYS")) == (7, 4, 12, 16)
        assert sum(one.kind == "efa" and one.up is True for one in node.interfaces) == 32
        assert (node.peermem, node.dma_buf) == (False, True)


def test_the_driver_names_the_lost_gpu(demo: Snapshot) -> None:
    lost = [card for node in pool(demo, "train-h100") for card in node.cards if card.state == "lost"]
    assert [(card.index, card.faults) for card in lost] == [(5, ("gpu lost", "xid 79"))]


def test_mig_devices_sit_where_the_driver_put_them(demo: Snapshot) -> None:
    for node in pool(demo, "mig-a100"):
        assert node.probe_taken_at is not None
        for card in node.cards:
            assert sorted((part.start, part.size, part.profile) for part in card.mig) == [
                (0, 2, "2g.20gb"),
                (2, 1, "1g.10gb"),
                (3, 1, "1g.10gb"),
                (4, 4, "3g.40gb"),
            ]
            assert all(part.uuid for part in card.mig)


def test_a_stale_document_is_named_and_tells_no_state(demo: Snapshot) -> None:
    (node,) = [node for node in pool(demo, "train-h100") if node.cordoned]
    assert (node.interfaces, node.cards[0].links, node.dma_buf, node.probe_taken_at) == ((), (), None, None)
    source = next(source for source in demo.sources if source.name == "node facts")
    assert source.status == "partial"
    assert f"stale, overriding nothing: {node.name} of 2026-11-19" in source.detail
