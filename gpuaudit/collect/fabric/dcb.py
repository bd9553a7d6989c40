"""Data Center Bridging of an interface over netlink: PFC, ETS and trust, as `dcb` of iproute2 reads them; without root.

The kernel answers for the interfaces of the network namespace that asks. Layouts: linux/dcbnl.h, linux/netlink.h.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from gpuaudit.cluster.node_facts import EtsFacts

_REQUEST, _ERROR, _GET_DCB = 1, 2, 78  # NLM_F_REQUEST, NLMSG_ERROR, RTM_GETDCB
_IEEE_GET = 21  # DCB_CMD_IEEE_GET
_IFNAME, _IEEE = 1, 13  # DCB_ATTR_IFNAME, DCB_ATTR_IEEE
_ETS, _PFC, _APPS, _TRUSTS = 1, 2, 3, 11  # DCB_ATTR_IEEE_ETS, _PFC, _APP_TABLE, DCB_ATTR_DCB_APP_TRUST_TABLE
_DSCP, _PCP = 5, 255  # IEEE_8021QAZ_APP_SEL_DSCP, DCB_APP_SEL_PCP
_ALGORITHMS = {0: "strict", 1: "cb-shaper", 2: "ets", 255: "vendor"}  # IEEE_8021QAZ_TSA_*
_CLASSES = 8
_HEADER, _ATTRIBUTE, _MESSAGE = struct.Struct("=IHHII"), struct.Struct("=HH"), struct.Struct("=BBH")
_PFC_LAYOUT = struct.Struct("=BBBxHxx8Q8Q")  # struct ieee_pfc
_ETS_LAYOUT = struct.Struct("=3B8s8s8s8s")  # the first half of struct ieee_ets; recommendations to a peer follow
_SECONDS = 2.0
_ROOM = 1 << 16
_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER


class Dcb(NamedTuple):
    """What the kernel told; None = the driver does not say. `reason` is why nothing was told."""

    pfc_priorities: tuple[int, ...] | None = None
    trust: str | None = None
    ets: EtsFacts | None = None
    counters: dict[str, int] = {}
    reason: str = ""


def ask(interface: str) -> Dcb:
    """Ask this host's kernel about one interface of the own network namespace. Never raises."""
    if not hasattr(socket, "AF_NETLINK"):
        return Dcb(reason="no netlink on this system")
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as wire:
            wire.settimeout(_SECONDS)
            wire.bind((0, 0))
            wire.send(request(interface))
            return read_answer(wire.recv(_ROOM))
    except (OSError, ValueError) as error:
        return Dcb(reason=f"netlink: {error}"[:120])


def request(interface: str) -> bytes:
    """Return the message that asks for the IEEE 802.1Qaz state of an interface. ValueError for a name that is none."""
    name = interface.encode() + b"\0"
    if len(name) > 16:
        raise ValueError("longer than an interface's name can be")
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(name), _IFNAME) + name
    body = _MESSAGE.pack(0, _IEEE_GET, 0) + attribute + b"\0" * (-len(attribute) % 4)
    return _HEADER.pack(_HEADER.size + len(body), _GET_DCB, _REQUEST, 1, 0) + body


def read_answer(answer: bytes) -> Dcb:
    """Decode the kernel's answer; what is not whole is not told."""
    for kind, body in _messages(answer):
        if kind == _ERROR and len(body) >= 4:
            return Dcb(reason=_word(-struct.unpack_from("=i", body)[0]))
        if kind == _GET_DCB:
            attributes = dict(_attributes(body[_MESSAGE.size :]))
            return _ieee(attributes[_IEEE]) if _IEEE in attributes else Dcb(reason="no IEEE 802.1Qaz state")
    return Dcb(reason="no answer to the question")


def _ieee(nest: bytes) -> Dcb:
    parts = dict(_attributes(nest))
    pfc = parts.get(_PFC, b"")
    row = _PFC_LAYOUT.unpack_from(pfc) if len(pfc) >= _PFC_LAYOUT.size else None
    return Dcb(
        pfc_priorities=None if row is None else tuple(one for one in range(_CLASSES) if row[1] >> one & 1),
        trust=_trust(parts),
        ets=_ets(parts.get(_ETS, b"")),
        counters={} if row is None else _pauses(row[4:]),
        reason="" if row else "the driver does not tell its PFC",
    )


def _pauses(counts: tuple[int, ...]) -> dict[str, int]:
    """Return pause frames by priority: sent (requests) and received (indications), those that are not zero."""
    names = [f"pfc_{word}_prio{one}" for word in ("sent", "received") for one in range(_CLASSES)]
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def _ets(content: bytes) -> EtsFacts | None:
    if len(content) < _ETS_LAYOUT.size:
        return None
    *_, sent, _received, algorithms, priorities = _ETS_LAYOUT.unpack_from(content)
    return EtsFacts(
        priority_classes=tuple(priorities),
        bandwidth_percent=tuple(sent),
        algorithms=tuple(_ALGORITHMS.get(one, str(one)) for one in algorithms),
    )


def _trust(parts: dict[int, bytes]) -> str | None:
    """Return dscp or pcp: the first that the driver trusts, else dscp where values of it are mapped."""
    words = {_DSCP: "dscp", _PCP: "pcp"}
    trusted = [words[row[0]] for _, row in _attributes(parts.get(_TRUSTS, b"")) if row and row[0] in words]
    if trusted:
        return trusted[0]
    mapped = any(row[:1] == bytes([_DSCP]) for _, row in _attributes(parts.get(_APPS, b"")))
    return "dscp" if mapped else None


def _messages(answer: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(answer):
        length, kind, *_ = _HEADER.unpack_from(answer, at)
        if length < _HEADER.size:
            return
        yield kind, answer[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _attributes(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(content):
        length, kind = _ATTRIBUTE.unpack_from(content, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _TYPE_MASK, content[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def _word(code: int) -> str:
    if code in (errno.EOPNOTSUPP, errno.ENODEV):
        return {errno.EOPNOTSUPP: "the driver has no DCB", errno.ENODEV: "not of this network namespace"}[code]
    return os.strerror(code)
