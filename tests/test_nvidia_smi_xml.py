"""`nvidia-smi -q -x`: recorded documents in place, hostile ones refused."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gpuaudit.collect.inputs.nvidia_smi_xml import read_xml
from gpuaudit.errors import UserError

RECORDINGS = Path(__file__).resolve().parents[1].parent / "shared" / "recordings" / "nvidia-smi-xml"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
needs_recordings = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings folder is not beside the project")


def recorded(name: str) -> bytes:
    return (RECORDINGS / name).read_bytes()


@needs_recordings
def test_an_a100_with_mig_devices() -> None:
    facts = read_xml(recorded("telegraf__a100-sxm4-v12.xml"), host="h", now=NOW)
    (gpu,) = facts.gpus
    assert (facts.driver, facts.cuda) == ("535.54.03", "12.2")
    assert facts.taken_at == datetime(2023, 8, 4, 11, 44, 30, tzinfo=UTC)
    assert (gpu.name, gpu.pci, gpu.memory_total_mib) == ("NVIDIA A100-SXM4-80GB", "0000:01:00.0", 81920)
    assert (gpu.mig_current, gpu.utilization) == (True, None)
    assert [(item.profile, item.gpu_instance_id) for item in gpu.instances] == [("1g.20gb", i) for i in (3, 4, 5, 6)]
    assert (gpu.power.draw_watts, gpu.power.limit_watts) == (67.03, 500.0)
    assert (gpu.faults.remapped_correctable, gpu.faults.retired_pages) == (None, None)
    assert gpu.processes == ()
    assert gpu.serial is None


@needs_recordings
@pytest.mark.parametrize(
    ("file", "count", "name", "utilization", "processes"),
    [
        ("pai__nvidia_smi_sample.xml", 2, "GeForce GTX 1070", 1.0, 3),
        ("telegraf__a10g.xml", 1, "NVIDIA A10G", 0.0, 1),
        ("telegraf__rtx-3080-v13.xml", 1, "NVIDIA GeForce RTX 3080", 0.65, 0),
        ("telegraf__tesla-t4.xml", 1, "Tesla T4", 0.0, 2),
    ],
)
def test_other_cards(file: str, count: int, name: str, utilization: float, processes: int) -> None:
    facts = read_xml(recorded(file), host="h", now=NOW)
    first = facts.gpus[0]
    assert (len(facts.gpus), first.name, first.utilization, len(first.processes or ())) == (
        count,
        name,
        utilization,
        processes,
    )


BOMB = b"""<?xml version="1.0"?><!DOCTYPE nvidia_smi_log [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]>
<nvidia_smi_log><driver_version>&b;</driver_version></nvidia_smi_log>"""
FOREIGN = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><nvidia_smi_log>&f;</nvidia_smi_log>"""


@pytest.mark.parametrize(
    "content",
    [
        BOMB,
        FOREIGN,
        b"",
        b"<html/>",
        b"<nvidia_smi_log>",
        b"\xff\xfe\x00junk",
        b'<?xml version="1.0" encoding="no-such"?><a/>',
    ],
    ids=["entity bomb", "external entity", "empty", "other XML", "cut off", "binary", "unknown encoding"],
)
def test_what_is_not_nvidia_smis_is_refused(content: bytes) -> None:
    with pytest.raises(UserError) as raised:
        read_xml(content, host="h", now=NOW)
    assert "nvidia-smi" in raised.value.hint


def test_missing_and_absurd_values_are_unknown() -> None:
    content = b"""<nvidia_smi_log><gpu id="x"><product_name>N/A</product_name>
    <utilization><gpu_util>900 %</gpu_util></utilization>
    <fb_memory_usage><used>lots</used><total>1.2.3 MiB</total></fb_memory_usage>
    <mig_mode><current_mig>Maybe</current_mig></mig_mode>
    </gpu></nvidia_smi_log>"""
    facts = read_xml(content, host="h", now=NOW)
    (gpu,) = facts.gpus
    assert (gpu.name, gpu.pci, gpu.utilization, gpu.memory_used_mib, gpu.memory_total_mib) == (None,) * 5
    assert (gpu.mig_current, gpu.processes, facts.taken_at) == (None, None, NOW)
