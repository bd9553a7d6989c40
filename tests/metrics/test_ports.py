"""What node_exporter tells of ports: the same from a file and from a real Prometheus; and what it cannot tell."""

import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gpuaudit.cluster.nodes import Interface, Node, Span
from gpuaudit.collect.joining.machines import join_machines
from gpuaudit.collect.joining.metric_source import facts_of
from gpuaudit.collect.metrics.parts import MetricsPart, metrics_part
from gpuaudit.collect.metrics.store import SampleStore
from gpuaudit.knowledge import fabric, queries
from tests.metrics.history import START
from tests.prometheus.reading import reading
from tests.prometheus.server import blocks, serving

DAYS = 4
NODES = [
    Node(cluster="c", name="n1", addresses=("10.0.0.1",), provider="azure", instance_type="Standard_ND96isr_H100_v5"),
    Node(cluster="c", name="n2", addresses=("10.0.0.2",)),
]


def lines(days: float = DAYS, step: int = 240) -> Iterator[str]:
    """Four days of two hosts: one port flaps and makes errors, and was reset in between; another is off."""
    for second in range(0, int(days * 86400) + 1, step):
        for metric, labels, value in (*infiniband(second), *ethernet(second)):
            named = ",".join(f'{key}="{text}"' for key, text in sorted(labels.items()))
            yield f"{metric}{{{named}}} {value} {START.timestamp() + second:.0f}"


def infiniband(second: int) -> Iterator[tuple[str, dict[str, str], float]]:
    hour = second // 3600
    for host in ("10.0.0.1", "10.0.0.2"):
        for device in ("mlx5_0", "mlx5_1"):
            at = {"device": device, "port": "1", "instance": f"{host}:9100"}
            off = host == "10.0.0.2" and device == "mlx5_1"
            bad = host == "10.0.0.1" and device == "mlx5_1"
            yield "node_infiniband_rate_bytes_per_second", at, 5e10
            yield "node_infiniband_state_id", at, 1 if off else 4
            yield "node_infiniband_physical_state_id", at, 3 if off else 5
            yield "node_infiniband_symbol_error_total", at, (hour if hour < 50 else hour - 50) if bad else 7
            yield "node_infiniband_port_data_transmitted_bytes_total", at, second * 1e9


def ethernet(second: int) -> Iterator[tuple[str, dict[str, str], float]]:
    for device, speed in (("eth0", 3.125e9), ("eth1", -125000), ("veth12ab", 1.25e9), ("lo", 0)):
        at = {"device": device, "instance": "10.0.0.1:9100"}
        yield "node_network_speed_bytes", at, speed
        yield "node_network_up", at, int(device != "eth1")
        yield "node_network_mtu_bytes", at, 9000
        yield "node_network_transmit_bytes_total", at, second * 1000


def from_files(text: str) -> MetricsPart:
    store = SampleStore()
    store.add_text(io.BytesIO(text.encode()), source="dump")
    end = START + timedelta(days=DAYS)
    return metrics_part(
        store,
        window=Span(start=START, end=end),
        taken_at=end,
        cluster_of=lambda label, _source: label or "c",
        nodes=NODES,
    )


@pytest.fixture(scope="module")
def part() -> MetricsPart:
    return from_files("\n".join(lines()) + "\n")


def named(part: MetricsPart, node: str = "n1") -> dict[str, Interface]:
    return {one.name: one for one in part.ports["c", node]}


def test_state_and_speed(part: MetricsPart) -> None:
    found = named(part)
    assert sorted(found) == ["eth0", "eth1", "mlx5_0", "mlx5_1"]  # of pods and overlays none
    assert (found["mlx5_0"].speed_gbps, found["mlx5_0"].up, found["mlx5_0"].disabled) == (400.0, True, False)
    assert (found["eth0"].kind, found["eth0"].speed_gbps, found["eth0"].mtu_bytes) == ("ethernet", 25.0, 9000)
    assert (found["eth1"].up, found["eth1"].speed_gbps) == (False, None)  # -1 Mbit/s is not known
    off = named(part, "n2")["mlx5_1"]
    assert (off.up, off.disabled, off.speed_gbps) == (False, True, 400.0)
    assert "network_metrics" in facts_of(part)


def test_what_counters_grew_by_over_a_reset(part: MetricsPart) -> None:
    found = named(part)
    assert found["mlx5_1"].increases["symbol_error"] == 49 + 46
    assert "symbol_error" not in found["mlx5_0"].increases  # it stands at 7 all the time
    assert found["mlx5_0"].increases["tx_bytes"] == DAYS * 86400e9
    assert found["eth0"].increases["tx_bytes"] == DAYS * 86400e3


def test_the_link_layer_is_the_instance_types(part: MetricsPart) -> None:
    nodes = {node.name: node for node in join_machines(NODES, part, listed={"c"})}
    assert {one.kind for one in nodes["n1"].interfaces if one.name.startswith("mlx5")} == {"infiniband"}
    assert {one.kind for one in nodes["n2"].interfaces} == {"other"}


def test_one_moment_tells_no_growth() -> None:
    found = named(from_files("\n".join(line.rpartition(" ")[0] for line in lines(days=0)) + "\n"))
    assert found["mlx5_0"].speed_gbps == 400.0
    assert all(not one.increases for one in found.values())


def test_hosts_that_nobody_lists_give_nothing() -> None:
    text = 'node_infiniband_state_id{device="mlx5_0",port="1",instance="10.9.9.9:9100"} 4\n'
    part = from_files(text)
    assert part.ports == {}
    assert "network_metrics" not in facts_of(part)


def test_a_host_with_too_many_ports_is_bounded() -> None:
    rows = [f'node_network_up{{device="p{i}",instance="10.0.0.1:9100"}} 1' for i in range(2000)]
    assert len(named(from_files("\n".join(rows) + "\n"))) == 256


def test_devices_named_by_link_layer() -> None:
    devices = ("efa_0", "rdmap16s27", "hfi1_0", "ibp12s0", "rocep3s0", "mlx4_0", "mlx4_0")
    rows = [
        f'node_infiniband_state_id{{device="{name}",port="{1 if i < 6 else 2}",instance="10.0.0.2:9100"}} 4'
        for i, name in enumerate(devices)
    ]
    kinds = {name: one.kind for name, one in named(from_files("\n".join(rows) + "\n"), "n2").items()}
    assert kinds == {"efa_0": "efa", "rdmap16s27": "efa", "hfi1_0": "omnipath", "ibp12s0": "infiniband",
                     "rocep3s0": "roce", "mlx4_0/1": "other", "mlx4_0/2": "other"}  # fmt: skip


def test_the_question_names_every_metric_that_is_read() -> None:
    import re

    asked = re.compile(queries.named("ports").metric)
    assert all(asked.fullmatch(name) for name in fabric.port_metrics())


def test_a_real_prometheus_says_the_same(tmp_path: Path, part: MetricsPart) -> None:
    with serving(blocks(lines(), tmp_path)) as url:
        read, _ = reading(url, hours=DAYS * 24, nodes=NODES)
    assert read.troubles == ()
    asked = {key: {one.name: one for one in ports} for key, ports in read.part.ports.items()}
    for key, ports in part.ports.items():
        for one in ports:
            other = asked[key][one.name]
            assert (one.kind, one.speed_gbps, one.up, one.disabled) == (
                other.kind, other.speed_gbps, other.up, other.disabled)  # fmt: skip
            for name, grown in one.increases.items():
                assert other.increases[name] <= grown
                assert other.increases[name] >= 0.7 * grown  # a reading a day sees a reset late
