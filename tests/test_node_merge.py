"""Node facts and nvidia-smi's XML as inputs: joined to nodes and cards, stale ones told apart, shared GPUs divided."""

import contextlib
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit.cluster.node_facts import (
    ActivityFacts,
    FabricFacts,
    GpuFacts,
    HostFacts,
    InstanceFacts,
    MemoryFaults,
    PcieFacts,
    PortFacts,
    PowerFacts,
    ProcessFacts,
    Samples,
)
from gpuaudit.cluster.nodes import Card, Interface, MigDevice, Node
from gpuaudit.cluster.usage import UNKNOWN_OWNER
from gpuaudit.collect.inputs.node_documents import read_documents
from gpuaudit.collect.joining.node_merge import Told, merge_hosts
from gpuaudit.collect.joining.process_shares import shares
from gpuaudit.errors import UserError
from gpuaudit.knowledge.faults import fault_class
from gpuaudit.report.node import render_json
from gpuaudit.report.node_lines import node_lines
from tests.captures import NOW, UTIL, collect, listed, node, pod, series, source, write

RECORDED = Path(__file__).resolve().parents[1].parent / "shared/recordings/nvidia-smi-xml"
H100 = "NVIDIA H100 80GB HBM3"


def gpu(index=0, **values):
    return GpuFacts(index=index, **({"uuid": f"GPU-{index}", "name": H100, "memory_total_mib": 81559.0} | values))


def host(name="a", *gpus, when=NOW, **values):
    return HostFacts(tool_version="1", taken_at=when, host=name, gpus=gpus, driver="580.65.06", cuda="13.0", **values)


def merged(nodes, *hosts, now=NOW):
    return merge_hosts(nodes, [Told(one, "prod") for one in hosts], taken_at=now)


def only_card(nodes, *hosts):
    ((card,),) = [one.cards for one in merged(nodes, *hosts).nodes]
    return card


def test_a_card_gets_what_the_driver_says():
    facts = gpu(
        pci="0000:1a:00.0",
        mig_current=False,
        numa=1,
        power=PowerFacts(limit_watts=700),
        pcie=PcieFacts(generation=4, width=8, max_generation=5, max_width=16),
        peers={"1": "NVLINK"},
        nics={"mlx5_0": "PIX"},
        faults=MemoryFaults(remap_failure=True),
    )
    card = only_card([Node(cluster="prod", name="a", cards=(Card(index=0, model="h100-80gb-sxm"),))], host("a", facts))
    assert (card.uuid, card.name, card.model, card.memory_mib) == ("GPU-0", H100, "h100-80gb-sxm", 81559.0)
    assert (card.pci, card.numa, card.power_limit_watts, card.state) == ("0000:1a:00.0", 1, 700, "ok")
    assert (card.pcie_gen, card.pcie_width, card.pcie_max_gen, card.pcie_max_width) == (4, 8, 5, 16)
    assert [(link.peer, link.path) for link in card.links] == [("1", "NVLINK"), ("mlx5_0", "PIX")]
    assert card.faults == ("row remap failure",)
    assert card.mig_enabled is False


def test_real_placements_win_over_what_was_listed():
    tables = tuple(MigDevice(profile="1g.10gb", uuid=f"MIG-{n}", gpu_instance_id=7 + n, start=n) for n in range(7))
    told = InstanceFacts(gpu_instance_id=1, compute_instance_id=0, profile="3g.40gb", uuid="MIG-x", start=4, size=4)
    facts = gpu(mig_current=True, instances=(told,))
    before = Card(index=0, uuid="GPU-0", mig_enabled=True, mig=tables)
    card = only_card([Node(cluster="prod", name="a", cards=(before,))], host("a", facts))
    assert card.mig == (MigDevice(profile="3g.40gb", uuid="MIG-x", gpu_instance_id=1, start=4, size=4),)
    refused = gpu(mig_current=True, unknown={"instances": "no permission"})
    assert only_card([Node(cluster="prod", name="a", cards=(before,))], host("a", refused)).mig == tables
    some = gpu(mig_current=True, instances=(told,), unknown={"instances.placements": "no permission"})
    assert only_card([Node(cluster="prod", name="a", cards=(before,))], host("a", some)).mig == tables
    none = gpu(mig_current=True)
    assert only_card([Node(cluster="prod", name="a", cards=(before,))], host("a", none)).mig == ()
    off = gpu(mig_current=False)
    assert only_card([Node(cluster="prod", name="a", cards=(before,))], host("a", off)).mig == ()


def test_uuids_decide_before_names_and_indices():
    cards = tuple(Card(index=n, uuid=f"GPU-{n}") for n in range(2))
    nodes = [Node(cluster="prod", name="a", cards=cards), Node(cluster="prod", name="b", cards=(Card(index=0),))]
    turned = host("b", gpu(0, uuid="GPU-1", numa=1), gpu(1, uuid="GPU-0", numa=0))
    first, second = merged(nodes, turned).nodes
    assert [(card.uuid, card.numa) for card in first.cards] == [("GPU-0", 0), ("GPU-1", 1)]
    assert second.probe_taken_at is None


def test_a_host_is_found_by_its_short_name_and_one_that_nobody_lists_becomes_a_node():
    nodes = [Node(cluster="prod", name="gpu1.internal", cards=(Card(index=0),))]
    found = merged(nodes, host("gpu1", gpu(0)), host("lonely", gpu(0, uuid="GPU-l")), host("laptop"))
    assert [(one.name, one.listed, one.gpus) for one in found.nodes] == [
        ("gpu1.internal", True, 1),
        ("lonely", False, 1),
    ]
    assert found.nodes[0].driver_version == "580.65.06"
    assert found.nodes[1].cards_source == "node facts"
    assert "in no node list: lonely" in found.source.detail


def test_the_driver_says_which_card_is_lost():
    cards = (Card(index=0), Card(index=1), Card(index=2, state="lost"))
    facts = host("a", gpu(0, uuid=None, name=None, lost=True), gpu(1), gpu(2))
    (found,) = merged([Node(cluster="prod", name="a", cards=cards)], facts).nodes
    assert [card.state for card in found.cards] == ["lost", "ok", "ok"]
    assert found.cards[0].faults == ("gpu lost",)
    healthy = host("a", gpu(0), gpu(1), gpu(2))
    (found,) = merged([Node(cluster="prod", name="a", cards=cards)], healthy).nodes
    assert [card.state for card in found.cards] == ["ok", "ok", "lost"]  # withdrawn by Kubernetes all the same


def test_stale_facts_fill_gaps_and_override_nothing():
    card = Card(index=0, memory_mib=80000.0, state="unknown", mig_enabled=False)
    known = Node(cluster="prod", name="a", driver_version="590", cards=(card,))
    old = host("a", gpu(lost=True, mig_current=True, pci="0000:1a:00.0"), when=NOW - timedelta(hours=25))
    found = merged([known], old)
    (after,) = found.nodes[0].cards
    assert (after.uuid, after.pci, after.memory_mib) == ("GPU-0", "0000:1a:00.0", 80000.0)
    assert (after.state, after.mig_enabled, found.nodes[0].driver_version) == ("unknown", False, "590")
    assert (found.nodes[0].cuda_version, found.nodes[0].probe_taken_at) == ("13.0", None)
    assert (found.source.status, found.source.provides, found.fresh) == ("partial", (), ())
    assert "stale" in found.source.detail
    assert "a of 2026-11-19 11:00 UTC" in found.source.detail


def test_a_clock_in_the_future_is_not_believed():
    assert merged([], host("a", gpu(), when=NOW + timedelta(days=3))).fresh == ()


def test_of_several_documents_the_newest_counts_in_any_order():
    node_ = Node(cluster="prod", name="a", cards=(Card(index=0),))
    one, two = host("a", gpu(numa=0), when=NOW - timedelta(hours=2)), host("a", gpu(numa=1), when=NOW)
    assert merged([node_], one, two) == merged([node_], two, one)
    assert merged([node_], one, two).nodes[0].cards[0].numa == 1


def test_interfaces_and_what_is_known_of_the_network():
    ports = (
        PortFacts(
            device="mlx5_0",
            kind="roce",
            interface="eth0",
            state="ACTIVE",
            rate_gbps=200,
            pfc_priorities=(3,),
            ecn_priorities=(),
            mtu_bytes=9000,
            bond="bond0",
            counters={"symbol_error": 1},
        ),
        PortFacts(device="mlx5_1", kind="infiniband", state="DOWN"),
    )
    known = Node(cluster="prod", name="a", interfaces=(Interface(name="eth0"), Interface(name="eth9", up=True)))
    found = merged([known], host("a", fabric=FabricFacts(ports=ports, kernel="6.8.0")))
    rows = {one.name: one for one in found.nodes[0].interfaces}
    assert sorted(rows) == ["eth9", "mlx5_0", "mlx5_1"]
    roce = rows["mlx5_0"]
    assert (roce.kind, roce.speed_gbps, roce.up, roce.pfc_priorities, roce.ecn) == ("roce", 200, True, (3,), False)
    assert (roce.master, roce.counters, rows["mlx5_1"].up) == ("bond0", {"symbol_error": 1.0}, False)
    assert found.nodes[0].kernel_version == "6.8.0"
    assert found.source.provides == ("driver_versions", "node_facts", "node_lossless", "node_network")


def test_node_json_joins_the_node_list(tmp_path):
    facts = host("a", *(gpu(n, utilization=0.5, memory_used_mib=1000.0) for n in range(8)))
    write(tmp_path, nodes=listed(node("a"), pod("train", "a")), facts=render_json(facts))
    taken = collect(tmp_path)
    assert [card.uuid for card in taken.nodes[0].cards] == [f"GPU-{n}" for n in range(8)]
    assert taken.nodes[0].probe_taken_at == NOW
    assert {"node_facts"} <= taken.facts
    assert not {"utilization", "history"} & taken.facts
    devices = taken.usage.devices
    assert len(devices) == 8
    assert devices["interval_seconds"].isna().all()
    assert set(devices["owner"]) == {"cluster/Pod/ml/train"} or all("train" in owner for owner in devices["owner"])
    assert taken.usage.hourly["util_mean"].tolist() == [0.5] * 8


def test_a_point_in_time_does_not_stand_beside_metrics(tmp_path):
    lines = series(UTIL, "a", 0, [(NOW - timedelta(minutes=n), 40) for n in range(60)])
    facts = host("a", gpu(0, uuid="GPU-a-0", utilization=1.0), gpu(1, uuid="GPU-a-1", utilization=0.25))
    write(tmp_path, nodes=listed(node("a", gpus=2)), metrics=lines, facts=render_json(facts))
    devices = collect(tmp_path).usage.devices.set_index("device")
    assert devices.loc["GPU-a-0", "source"] != "node facts"
    assert devices.loc["GPU-a-1", "source"] == "node facts"


def test_the_chips_own_counters_stand_above_gpu_utilization(tmp_path):
    counters = ActivityFacts(seconds=1.0, sm_active=0.0075, tensor_active=0.0, dram_active=0.25)
    one_sm = gpu(0, uuid="GPU-a-0", utilization=1.0, activity=counters)
    bursts = gpu(1, uuid="GPU-a-1", utilization=0.0, samples={"gpu": Samples(count=50, seconds=9.8, mean=0.5, max=1)})
    write(tmp_path, nodes=listed(node("a", gpus=2)), facts=render_json(host("a", one_sm, bursts)))
    usage = collect(tmp_path).usage
    devices, hourly = usage.devices.set_index("device"), usage.hourly.set_index("device")
    assert devices["metric"].to_dict() == {"GPU-a-0": "sm_active", "GPU-a-1": "gpu_util"}
    assert devices["util_p95"].to_dict() == {"GPU-a-0": pytest.approx(0.0075), "GPU-a-1": 0.5}
    assert (hourly.loc["GPU-a-0", "gpu_util_mean"], hourly.loc["GPU-a-0", "dram_max"]) == (1.0, 0.25)
    assert hourly.loc["GPU-a-0", "tensor_mean"] == 0
    assert hourly.loc["GPU-a-1", ["tensor_mean", "dram_mean"]].isna().all()


def test_a_mig_device_is_as_busy_as_the_counters_of_its_gpu_instance(tmp_path):
    counters = ActivityFacts(seconds=1.0, sm_active=0.625)
    cut = (
        InstanceFacts(gpu_instance_id=1, compute_instance_id=0, profile="3g.40gb", activity=counters),
        InstanceFacts(gpu_instance_id=2, compute_instance_id=0, profile="3g.40gb", memory_used_mib=500.0),
    )
    facts = host("a", gpu(0, uuid="GPU-a-0", mig_current=True, utilization=None, instances=cut))
    write(tmp_path, nodes=listed(node("a", gpus=1)), facts=render_json(facts))
    devices = collect(tmp_path).usage.devices.set_index("device")
    assert devices["metric"].to_dict() == {"GPU-a-0/1": "sm_active", "GPU-a-0/2": ""}
    assert devices.loc["GPU-a-0/1", "util_p95"] == 0.625
    assert devices.loc["GPU-a-0/1", "gpus"] == pytest.approx(3 / 7)


def test_a_moment_is_no_percentile_of_hours(tmp_path):
    facts = host("a", gpu(0, uuid="GPU-a-0", utilization=0.3))
    write(tmp_path, nodes=listed(node("a", gpus=1)), facts=render_json(facts))
    command = [sys.executable, "-m", "gpuaudit", "scan", "--input", str(tmp_path)]
    done = subprocess.run([*command, "-o", "json"], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)["utilization"]
    assert (told["mean"], told["p95"]) == (0.3, None)
    screen = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "30 % at the moment of reading; before it, unknown" in screen
    assert "yardstick" not in screen


def test_what_a_newer_probe_adds_is_left_out(tmp_path):
    tree = json.loads(render_json(host("a", gpu(mig_current=False))))
    tree |= {"tool_version": "99", "news": {"of": "tomorrow"}}
    tree["gpus"][0] |= {"quantum_state": [1]}
    (read,) = read_documents(json.dumps(tree).encode(), name="x").facts
    assert read == msgspec.structs.replace(host("a", gpu(mig_current=False)), tool_version="99")


def test_a_log_of_documents_is_read_and_its_noise_named(tmp_path):
    lines = [json.dumps(json.loads(render_json(host("a", gpu(), when=NOW - timedelta(hours=n))))) for n in range(3)]
    file = tmp_path / "probe.log"
    file.write_text("\n".join([lines[2], '{"schema": "gpuaudit.node/v1", "cut', lines[0], lines[1], "bye"]))
    taken = collect(file)
    assert taken.nodes[0].probe_taken_at == NOW
    assert "3 documents, the newest of each host counts" in source(taken, "node facts").detail
    assert "1 of its lines" in source(taken, "probe.log").detail


@pytest.mark.parametrize(
    "content",
    [
        b'{"schema": "gpuaudit.node/v1"}',
        b'{"schema": "gpuaudit.node/v9", "tool_version": "1", "taken_at": "2026-11-20T12:00:00Z", "host": "a"}',
        b'{"schema": "gpuaudit.node/v1", "tool_version": "1", "taken_at": "2026-11-20T12:00:00", "host": "a"}',
        b'{"schema": "gpuaudit.node/v1", "tool_version": "1", "taken_at": "2026-11-20T12:00:00Z", "host": " "}',
        b'{"schema": "gpuaudit.node/v1", "gpus": ' + b"[" * 100_000,
        b"",
    ],
)
def test_what_is_no_document_is_refused(content):
    with pytest.raises(UserError):
        read_documents(content, name="x")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content):
    with contextlib.suppress(UserError):
        read_documents(content, name="x")


def test_a_document_reads_back_what_was_written():
    facts = host("a", gpu(processes=(ProcessFacts(pid=1),), mig_current=False))
    assert read_documents(render_json(facts).encode(), name="x").facts == (facts,)
    assert msgspec.json.decode(render_json(facts), type=HostFacts) == facts


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recordings are not here")
def test_recorded_xml_becomes_nodes_of_the_files_names():
    taken = collect(RECORDED / "telegraf__a100-sxm4-v12.xml")
    (found,) = taken.nodes
    assert (found.name, found.listed, found.driver_version) == ("telegraf__a100-sxm4-v12", False, "535.54.03")
    assert [(one.profile, one.gpu_instance_id) for one in found.cards[0].mig] == [("1g.20gb", n) for n in (3, 4, 5, 6)]
    assert taken.taken_at == datetime(2023, 8, 4, 11, 44, 30, tzinfo=UTC)
    assert taken.usage.devices["gpus"].sum() == pytest.approx(4 / 7)
    everything = collect(RECORDED)
    assert len(everything.nodes) == 5
    assert source(everything, "node facts").status == "partial"


def test_an_entity_bomb_is_named_and_harms_nothing(tmp_path):
    bomb = '<?xml version="1.0"?><!DOCTYPE nvidia_smi_log [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    (tmp_path / "bomb.xml").write_text(bomb + "<nvidia_smi_log><gpu>&b;</gpu></nvidia_smi_log>")
    write(tmp_path, nodes=listed(node("a")))
    assert "entities" in source(collect(tmp_path), "bomb.xml").detail


def test_the_command_line_reads_it(tmp_path):
    (tmp_path / "a.json").write_text(render_json(host("a", gpu(utilization=0.1))))
    command = [sys.executable, "-m", "gpuaudit", "scan", "--input", str(tmp_path), "-o", "json", "--no-progress"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["cluster"]["gpus"] == 1
    assert report["coverage"]["observed_gpu_hours_ratio"] in (0, None)
    assert report["findings"] == []


def process(pod, busy=None, memory=None):
    return ProcessFacts(pid=len(pod), pod_uid=pod, sm_utilization=busy, memory_mib=memory)


def owner(one):
    return UNKNOWN_OWNER if one.pod_uid == "?" else f"c/Pod/n/{one.pod_uid}"


def test_a_shared_gpu_is_divided_by_process_and_the_rest_is_nobodys_known():
    found = shares([process("a", 0.5, 1000), process("bb", 0.2, 3000)], owner, utilization=0.8, memory_mib=5000)
    by_owner = {one.owner: one for one in found}
    assert by_owner["c/Pod/n/a"].utilization == pytest.approx(0.5)
    assert by_owner["c/Pod/n/bb"].memory_mib == pytest.approx(3000)
    assert by_owner[UNKNOWN_OWNER].utilization == pytest.approx(0.1)
    assert by_owner[UNKNOWN_OWNER].memory_mib == pytest.approx(1000)


def test_an_idle_process_that_the_driver_leaves_out_is_idle():
    found = {
        one.owner: one for one in shares([process("a", 0.5), process("b")], owner, utilization=0.5, memory_mib=None)
    }
    assert (found["c/Pod/n/a"].part, found["c/Pod/n/b"].part) == (1.0, 0.0)


def test_what_no_process_tells_is_not_guessed():
    found = shares([process("a", None, 10), process("b", None, 30)], owner, utilization=0.5, memory_mib=40)
    assert [one.utilization for one in found] == [None, None]
    assert [one.part for one in found] == [0.25, 0.75]
    assert shares(None, owner, utilization=0.5, memory_mib=1)[0].owner == UNKNOWN_OWNER


def test_clients_of_mps_are_not_idle_for_what_the_driver_tells_of_their_server():
    clients = [ProcessFacts(pid=n, kind="mps", pod_uid=name, memory_mib=1000 * n) for n, name in ((1, "a"), (3, "b"))]
    server = ProcessFacts(pid=9, name="nvidia-cuda-mps-server"[:15], pod_uid="?", sm_utilization=0.9, memory_mib=0)
    found = {one.owner: one for one in shares([*clients, server], owner, utilization=0.9, memory_mib=4000)}
    assert [found[f"c/Pod/n/{name}"].utilization for name in "ab"] == [None, None]
    assert [found[f"c/Pod/n/{name}"].part for name in "ab"] == pytest.approx([0.25, 0.75])
    unnamed = [ProcessFacts(pid=1, pod_uid="a", memory_mib=1000), ProcessFacts(pid=2, pod_uid="b", memory_mib=1000)]
    found = {one.owner: one for one in shares([*unnamed, server], owner, utilization=0.9, memory_mib=2000)}
    assert [found[f"c/Pod/n/{name}"].part for name in "ab"] == pytest.approx([0.5, 0.5])


amounts = st.one_of(st.none(), st.floats(0, 1))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", "?"]), amounts, amounts), max_size=6),
    amounts,
    amounts,
    st.booleans(),
)
def test_shares_add_up_to_the_device(rows, utilization, memory, mps):
    told = [msgspec.structs.replace(process(*row), kind="mps" if mps else "compute") for row in rows]
    found = shares(told, owner, utilization=utilization, memory_mib=memory)
    assert sum(one.part for one in found) == pytest.approx(1)
    assert all(-1e-9 <= one.part <= 1 + 1e-9 for one in found)
    assert len({one.owner for one in found}) == len(found)
    for total, values in (
        (utilization, [one.utilization for one in found]),
        (memory, [one.memory_mib for one in found]),
    ):
        if None not in values:
            assert sum(values) == pytest.approx(total, abs=1e-6)


def test_time_slices_of_pods_are_rows_of_their_workloads(tmp_path):
    one, two = pod("one", "a", gpus=1), pod("two", "a", gpus=1)
    facts = host(
        "a",
        gpu(
            utilization=0.8,
            memory_used_mib=5000.0,
            processes=(process("uid-one", 0.6, 1000), process("uid-two", 0.2, 3000)),
        ),
    )
    write(tmp_path, nodes=listed(node("a", gpus=1), one, two), facts=render_json(facts))
    taken = collect(tmp_path)
    hourly = taken.usage.hourly
    assert hourly["samples"].sum() == pytest.approx(1)
    assert (hourly["samples"] * hourly["util_mean"]).sum() == pytest.approx(0.8)
    assert hourly["memory_max_mib"].sum() == pytest.approx(5000)
    by_owner = {name.rsplit("/", 1)[-1]: row for name, row in taken.usage.devices.set_index("owner").iterrows()}
    assert by_owner["one"]["samples"] == pytest.approx(0.75)
    assert by_owner["two"]["memory_max_mib"] == pytest.approx(3000)
    assert bool(by_owner["one"]["shared"])


def test_faults_are_those_that_rules_know(tmp_path):
    broken = gpu(0, uuid="GPU-a-0", faults=MemoryFaults(remap_failure=True, volatile_uncorrected=2))
    mended = gpu(
        1, uuid="GPU-a-1", faults=MemoryFaults(remap_failure=False, remap_pending=True, volatile_uncorrected=2)
    )
    old = gpu(2, uuid="GPU-a-2", faults=MemoryFaults(retirement_pending=True, volatile_uncorrected=1))
    well = gpu(3, uuid="GPU-a-3", faults=MemoryFaults(remap_failure=False, volatile_uncorrected=0))
    write(tmp_path, nodes=listed(node("a", gpus=4)), facts=render_json(host("a", broken, mended, old, well)))
    taken = collect(tmp_path)
    faults = [card.faults for card in taken.nodes[0].cards]
    assert faults == [
        ("row remap failure",),
        ("row remap pending",),
        ("page retirement pending", "uncorrected ECC error"),
        (),
    ]
    classes = [sorted({fault_class(fault) for fault in row}) for row in faults]
    assert classes == [["replace"], ["watch"], ["broken", "watch"], []]
    assert "gpu_errors" in taken.facts


def test_what_the_probe_published_is_read_from_kubectls_lists(tmp_path):
    def published(name, space):
        data = {"facts": "\n".join(node_lines(host("x", gpu(uuid=f"GPU-{name}-0"), node=name)))}
        labels = {"app.kubernetes.io/name": "gpuaudit-probe"}
        meta = {"name": f"gpuaudit-node-{name}", "namespace": space, "labels": labels}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}

    maps = [published("a", "gpuaudit-probe"), published("b", "tenant"), published("gone", "gpuaudit-probe")]
    write(tmp_path, nodes=listed(node("a", gpus=1), node("b", gpus=1), *maps))
    taken = collect(tmp_path)
    assert {one.name: one.cards[0].uuid for one in taken.nodes} == {"a": "GPU-a-0", "b": None}
    assert "of nodes that are gone, and left out: gone" in source(taken, "node facts").detail


def test_a_gpu_of_whose_processes_only_some_are_told_is_not_divided(tmp_path):
    one, two = pod("one", "a", gpus=1), pod("two", "a", gpus=1)
    shared = gpu(utilization=0.8, memory_used_mib=5000.0, processes=(process("uid-one", 0.2, 1000),))
    write(
        tmp_path, nodes=listed(node("a", gpus=1), one, two), facts=render_json(host("a", shared, host_processes=False))
    )
    devices = collect(tmp_path).usage.devices
    assert not any(owner.endswith("/one") for owner in devices["owner"])
    assert devices["samples"].sum() == pytest.approx(1)
