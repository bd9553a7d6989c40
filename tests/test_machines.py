from datetime import UTC, datetime, timedelta

import pandas as pd

from gpuaudit.cluster.nodes import Card, MigDevice, Node, Span
from gpuaudit.cluster.usage import (
    DEVICE_FLAGS,
    DEVICE_KEYS,
    DEVICE_TEXT,
    DEVICE_TIMES,
    DEVICE_VALUES,
    Usage,
    conform_devices,
)
from gpuaudit.collect.joining.machines import join_machines
from gpuaudit.collect.metrics.parts import MetricsPart

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HEARD = Span(start=NOW - timedelta(hours=5), end=NOW - timedelta(hours=1))


def joined(node, *seen, **part):
    cards = {("c", "n"): seen}
    (found,) = join_machines([node], MetricsPart(cards=cards, **part), listed={"c"})
    return found


def listed(*cards):
    return Node(cluster="c", name="n", cards=cards, cards_source="nvidia.com/gpu.count")


def unnamed(count, **facts):
    return [Card(index=index, model="a100-80gb-sxm", **facts) for index in range(count)]


def seen(index, **facts):
    return Card(index=index, uuid=f"GPU-{index}", name="NVIDIA A100-SXM4-80GB", memory_mib=81920.0, **facts)


def test_cards_get_their_names_by_index():
    node = joined(listed(*unnamed(3)), seen(0), seen(2, faults=("xid 79",)))
    assert [(card.uuid, card.state) for card in node.cards] == [("GPU-0", "ok"), (None, "unknown"), ("GPU-2", "ok")]
    assert node.cards[2].faults == ("xid 79",)
    assert node.cards[0].model == "a100-80gb-sxm"
    assert node.cards_source == "nvidia.com/gpu.count"


def test_cards_that_kubernetes_names_are_found_by_uuid():
    node = joined(listed(Card(index=0, uuid="GPU-1"), Card(index=1, uuid="GPU-0")), seen(0), seen(1))
    assert [(card.uuid, card.state) for card in node.cards] == [("GPU-1", "ok"), ("GPU-0", "ok")]


def test_the_lost_card_is_the_one_that_metrics_do_not_see():
    cards = [*unnamed(3), Card(index=3, state="lost")]
    node = joined(listed(*cards), seen(0), seen(2), seen(3))
    assert [card.state for card in node.cards] == ["ok", "lost", "ok", "ok"]
    still = joined(listed(*cards), *(seen(index) for index in range(4)))
    assert [card.state for card in still.cards] == ["ok", "ok", "ok", "lost"]


def test_cards_that_no_label_tells_of_are_added():
    node = joined(listed(), seen(0), seen(1))
    assert [card.uuid for card in node.cards] == ["GPU-0", "GPU-1"]
    assert node.cards_source == "metrics"


def test_of_a_card_and_its_replacement_the_newer_stays():
    rows = [
        {"device": "GPU-old", "card": "GPU-old", "last": NOW - timedelta(days=3)},
        {"device": "GPU-0", "card": "GPU-0", "last": NOW},
    ]
    plain = dict.fromkeys((*DEVICE_KEYS, *DEVICE_TEXT), "c") | dict.fromkeys(DEVICE_TIMES, NOW)
    plain |= dict.fromkeys(DEVICE_VALUES, 1.0) | dict.fromkeys(DEVICE_FLAGS, False)
    usage = Usage(devices=conform_devices(pd.DataFrame([plain | row for row in rows])))
    old = Card(index=0, uuid="GPU-old")
    for order in ((old, seen(0)), (seen(0), old)):
        assert [card.uuid for card in joined(listed(*unnamed(1)), *order, usage=usage).cards] == ["GPU-0"]


def test_the_mig_layout_gets_its_ids():
    slices = (MigDevice(profile="1g.10gb"), MigDevice(profile="2g.20gb"))
    with_ids = (MigDevice(profile="2g.20gb", gpu_instance_id=3), MigDevice(profile="1g.10gb", gpu_instance_id=9))
    node = joined(listed(*unnamed(1, mig=slices)), seen(0, mig=with_ids, mig_enabled=True))
    assert node.cards[0].mig == with_ids
    assert node.cards[0].mig_enabled is True
    fewer = joined(listed(*unnamed(1, mig=slices)), seen(0, mig=with_ids[:1], mig_enabled=True))
    assert fewer.cards[0].mig == slices


def test_presence_of_listed_nodes_is_kube_state_metrics():
    spans = (Span(start=NOW - timedelta(days=2), end=NOW - timedelta(days=1)),)
    assert joined(listed(*unnamed(1)), present={("c", "n"): spans}).present == spans
    assert joined(listed(*unnamed(1)), seen(0), heard={("c", "n"): HEARD}).present == ()


def test_hosts_that_no_list_has():
    part = MetricsPart(
        cards={("c", "gone"): (seen(0),), ("d", "other"): (seen(1),), ("d", ""): (seen(2),)},
        heard={("c", "gone"): HEARD, ("d", "other"): HEARD, ("d", ""): Span(start=NOW, end=NOW)},
    )
    nodes = {node.key: node for node in join_machines([], part, listed={"c"})}
    assert not any(node.listed for node in nodes.values())
    assert (nodes["c", "gone"].gone, nodes["c", "gone"].present) == (HEARD.end, (HEARD,))
    assert (nodes["d", "other"].gone, nodes["d", "other"].present) == (None, (HEARD,))
    assert nodes["d", "unknown-host"].present == ()
