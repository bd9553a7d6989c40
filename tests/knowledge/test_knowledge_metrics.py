"""Metrics: the ladder, the feeds and the dialects agree with dcgm-exporter's list and with recordings."""

import re
from pathlib import Path

import pytest

from gpuaudit.knowledge import metrics, systems

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def test_the_ladder() -> None:
    assert [(row.name, row.field, row.scale) for row in metrics.LADDER] == [
        ("DCGM_FI_PROF_SM_ACTIVE", "sm_active", 1.0),
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gr_engine_active", 1.0),
        ("DCGM_FI_DEV_GPU_UTIL", "gpu_util", 0.01),
    ]


def test_other_module_attributes_are_missing() -> None:
    with pytest.raises(AttributeError):
        _ = metrics.NO_SUCH_THING
    with pytest.raises(AttributeError):
        _ = systems.NO_SUCH_THING


def test_ladder_and_feeds_are_metrics_of_the_exporter() -> None:
    ratios = {"percent": 0.01, "ratio": 1.0}
    for row in metrics.LADDER:
        assert ratios[metrics.dcgm(row.name).unit] == row.scale
    fields = metrics.device_fields()
    for name in metrics.DeviceFields.__struct_fields__:
        feed = getattr(fields, name)
        known = metrics.dcgm(feed.metric)
        assert known is not None, name
        assert feed.scale == ratios.get(known.unit, feed.scale), name
    assert metrics.dcgm("DCGM_FI_NO_SUCH") is None


def test_names_are_unique() -> None:
    names = [row.name for row in metrics.dcgm_metrics()]
    assert len(set(names)) == len(names)


def test_sm_active_is_off_by_default() -> None:
    assert not metrics.dcgm("DCGM_FI_PROF_SM_ACTIVE").default
    assert metrics.dcgm("DCGM_FI_PROF_GR_ENGINE_ACTIVE").default


def test_the_workload_is_looked_for_before_the_exporter() -> None:
    labels = metrics.labels()
    assert labels.pod[:2] == ("exported_pod", "pod")
    assert labels.namespace[:2] == ("exported_namespace", "namespace")
    assert {"Hostname", "hostname"} <= set(labels.host)
    for name in metrics.Labels.__struct_fields__:
        value = getattr(labels, name)
        assert value, name


@pytest.mark.parametrize(
    ("pod", "container", "expected"),
    [
        ("nvidia-dcgm-exporter-x7k2p", "nvidia-dcgm-exporter", True),
        ("dcgm-exporter-1234", "exporter", True),
        ("kps-dcgm-exporter-abcde", "", True),
        ("vllm-llama-8b-7c9f-abcde", "vllm", False),
        ("", "", False),
        ("trainer-dcgm-exporters-friend", "train", False),
    ],
)
def test_labels_that_name_the_exporter(pod: str, container: str, expected: bool) -> None:
    assert metrics.is_exporter(pod=pod, container=container) is expected


@pytest.mark.parametrize(
    "value", [float("nan"), 140737488355328.0, 140737488355330.0, float(2**63), 9223372036854775794]
)
def test_blank_numbers(value: float) -> None:
    assert metrics.is_blank(value)


@pytest.mark.parametrize("value", [0.0, 1.0, 81559.0, 15152422938.0, 1e15])
def test_numbers_that_are_numbers(value: float) -> None:
    assert not metrics.is_blank(value)


def test_table_sources_resolve() -> None:
    tags = {
        metrics.labels().source,
        metrics.kube_state_metrics().source,
        metrics.node_exporter().source,
        metrics._file().exporter.source,
        metrics._file().blank.source,
    }
    assert tags <= set(metrics.sources())


def test_recorded_expositions_hold_known_names() -> None:
    folder = SHARED / "recordings" / "split"
    if not folder.is_dir():
        pytest.skip("no recordings beside this checkout")
    text = "".join(path.read_text() for path in folder.glob("*.prom"))
    names = set(re.findall(r"^(DCGM_[A-Z0-9_]+)", text, re.MULTILINE))
    assert names
    assert all(metrics.dcgm(name) for name in names)
    keys = set(re.findall(r'[{,](\w+)="', text))
    labels = metrics.labels()
    known = {key for name in metrics.Labels.__struct_fields__ for key in getattr(labels, name)}
    assert {"gpu", "UUID", "modelName", "Hostname", "pci_bus_id", "device"} <= keys & known
