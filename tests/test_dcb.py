"""Data Center Bridging over netlink: the kernel's own layouts, this host's real kernel, and hostile answers."""

import shutil
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaudit.collect.fabric import dcb

ANSWER = Path(__file__).parent / "netlink" / "answer.c"
TOOL = shutil.which("dcb") or next((path for path in ("/usr/sbin/dcb", "/sbin/dcb") if Path(path).exists()), None)


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An answer as this system's kernel headers lay it out."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not Path("/usr/include/linux/dcbnl.h").exists():
        pytest.skip("no C compiler with the kernel's headers here")
    folder = tmp_path_factory.mktemp("dcb")
    subprocess.run([compiler, "-w", "-o", folder / "answer", ANSWER], check=True)
    return subprocess.run([folder / "answer"], check=True, capture_output=True).stdout


def test_an_answer_in_the_kernels_layout(answer: bytes) -> None:
    told = dcb.read_answer(answer)
    assert told.pfc_priorities == (3, 6)
    assert told.trust == "dscp"
    assert told.counters == {"pfc_sent_prio3": 5_000_000_000, "pfc_received_prio3": 12}
    assert told.ets is not None
    assert told.ets.priority_classes == tuple(range(8))
    assert told.ets.bandwidth_percent == (50, 50, 0, 0, 0, 0, 0, 0)
    assert told.ets.algorithms == ("ets", "ets", *["strict"] * 6)
    assert told.reason == ""


def attribute(kind: int, content: bytes) -> bytes:
    whole = struct.pack("=HH", 4 + len(content), kind) + content
    return whole + b"\0" * (-len(whole) % 4)


def message(*parts: bytes) -> bytes:
    body = struct.pack("=BBH", 0, 21, 0) + attribute(13, b"".join(parts))
    return struct.pack("=IHHII", 16 + len(body), 78, 0, 1, 0) + body


PFC_OFF = attribute(2, bytes(136))


def test_pfc_that_is_off_is_told_from_pfc_that_is_not_told() -> None:
    assert dcb.read_answer(message(PFC_OFF)).pfc_priorities == ()
    silent = dcb.read_answer(message(attribute(1, bytes(59))))
    assert (silent.pfc_priorities, silent.reason) == (None, "the driver does not tell its PFC")


def test_the_first_selector_that_is_trusted_counts() -> None:
    order = attribute(11, attribute(2, bytes([255])) + attribute(1, bytes([5])))
    assert dcb.read_answer(message(PFC_OFF, order)).trust == "pcp"


@pytest.mark.parametrize(
    ("code", "reason"),
    [(-95, "the driver has no DCB"), (-19, "not of this network namespace"), (-1, "Operation not permitted")],
)
def test_refusals_are_reasons(code: int, reason: str) -> None:
    refusal = struct.pack("=IHHIIi", 36, 2, 0, 1, 0, code) + bytes(16)
    assert dcb.read_answer(refusal) == dcb.Dcb(reason=reason)


def test_the_request_is_the_one_of_the_header() -> None:
    assert dcb.request("eth0").hex() == "200000004e000100010000000000000000150000090001006574683000000000"
    with pytest.raises(ValueError, match="longer"):
        dcb.request("a-name-of-20-letters")


@given(st.binary(max_size=300))
def test_any_answer_is_read_or_reasoned_about(content: bytes) -> None:
    told = dcb.read_answer(content)
    assert told.pfc_priorities is not None or told.reason or told.ets is not None


@given(st.binary(max_size=200))
def test_any_attributes_are_read_or_reasoned_about(content: bytes) -> None:
    dcb.read_answer(message(content))


@pytest.mark.skipif(TOOL is None, reason="dcb of iproute2 is not installed")
def test_this_kernel_says_what_iproute2_says() -> None:
    for _, name in socket.if_nameindex():
        tool = subprocess.run(
            [str(TOOL), "-j", "pfc", "show", "dev", name], capture_output=True, text=True, check=False
        )
        told = dcb.ask(name)
        assert (told.pfc_priorities is None) == (tool.returncode != 0), name
        if tool.returncode:
            assert told.reason


def test_an_interface_that_is_not_there() -> None:
    assert dcb.ask("no-such-if").reason
    assert dcb.ask("x" * 40).reason
