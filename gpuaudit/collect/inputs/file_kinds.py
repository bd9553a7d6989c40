"""Tell what a file is by its content, never by its name."""

import re
from enum import StrEnum

from gpuaudit.collect.inputs.input_files import to_utf8


class FileKind(StrEnum):
    """What a file holds."""

    SNAPSHOT = "gpuaudit snapshot"
    KUBERNETES = "Kubernetes objects"
    EXPOSITION = "metrics as text"
    PROMETHEUS = "Prometheus answer"
    NODE = "node facts"
    NVIDIA_SMI = "nvidia-smi XML"
    NCCL_LOG = "NCCL log"
    REPORT = "gpuaudit report"
    TABLE = "kubectl's table"
    NVIDIA_SMI_TEXT = "nvidia-smi text"
    JSON = "JSON of another kind"
    EMPTY = "nothing"
    UNKNOWN = "something else"


NOT_READ = {  # recognised, not read: what a person can do
    FileKind.REPORT: "a report, not a snapshot: give the file that --save wrote",
    FileKind.TABLE: "kubectl's table: write it with -o json or -o yaml",
    FileKind.NVIDIA_SMI_TEXT: "nvidia-smi's text: write it with nvidia-smi -q -x",
    FileKind.JSON: "JSON of no kind that is read, or damaged where it begins",
    FileKind.EMPTY: "the file is empty",
    FileKind.UNKNOWN: "not a kind of file that is read",
}

_NUMBER = rb"[-+]?(?:\d[\d_.eE+-]*|\.\d+|[Nn]a[Nn]|[Ii]nf(?:inity)?)"
_NAME = rb"(?:[a-zA-Z_:][a-zA-Z0-9_:.]*\s*(?:\{.*\})?|\{\s*(?:__name__|\"[^\"]+\"\s*[,}]).*\})"
_METRIC_LINE = re.compile(  # name and labels, value, perhaps a timestamp and an exemplar
    _NAME + rb"\s+(?:" + _NUMBER + rb"|ERROR - [A-Z ]+)(?:\s+-?\d[\d.eE+]*)?(?:\s+# \{.*)?\s*(?:\n|$)"
)
_COMMENT = re.compile(rb"# (?:HELP|TYPE|UNIT|EOF)\b")
_JSON_KINDS = (
    (FileKind.REPORT, re.compile(rb'\s*\{\s*"schema"\s*:\s*"gpuaudit\.report/')),
    (FileKind.NODE, re.compile(rb'\s*\{\s*"schema"\s*:\s*"gpuaudit\.node(?:-part)?/')),
    (FileKind.PROMETHEUS, re.compile(rb'\s*\{\s*"(?:status|data|resultType|result|isPartial)"\s*:')),
    (FileKind.PROMETHEUS, re.compile(rb'\s*\[\s*\{\s*"metric"\s*:')),
    (FileKind.KUBERNETES, re.compile(rb'\s*\{(?:(?s:.*?)[{,])?\s*"apiVersion"\s*:')),
    (FileKind.KUBERNETES, re.compile(rb'\s*\{\s*"(?:kind|items)"\s*:')),
)
_YAML = re.compile(rb"^(?:- )?(?:apiVersion|kind):\s", re.MULTILINE)
_NCCL = re.compile(rb"\bNCCL (?:INFO|WARN|version)\b")
_TABLE = re.compile(rb"(?:NAMESPACE\s+)?NAME\s+(?:READY|STATUS|AGE|TYPE|DESIRED|COMPLETIONS)\b")


def kind_of(head: bytes) -> FileKind:
    """Return what a file is whose unpacked content begins with `head`."""
    if head.startswith(b"PK\x03\x04"):
        return FileKind.SNAPSHOT
    text = to_utf8(head)
    start = text.lstrip()
    if not start:
        return FileKind.EMPTY
    if start[:1] in (b"{", b"[") and not _METRIC_LINE.match(start):
        rest = FileKind.NCCL_LOG if _NCCL.search(text) else FileKind.JSON  # a time, or a collector's JSON, before it
        return next((kind for kind, pattern in _JSON_KINDS if pattern.match(start)), rest)
    if b"<nvidia_smi_log" in text:
        return FileKind.NVIDIA_SMI
    if b"\x00" in text:
        return FileKind.UNKNOWN
    return _text_kind(text, start)


def _text_kind(text: bytes, start: bytes) -> FileKind:
    if b"NVSMI LOG" in text or b"| NVIDIA-SMI " in text:
        return FileKind.NVIDIA_SMI_TEXT
    if _NCCL.search(text):
        return FileKind.NCCL_LOG
    if _YAML.search(text):
        return FileKind.KUBERNETES
    if _TABLE.match(start):
        return FileKind.TABLE
    lines = [line for line in text.splitlines() if line.strip()]
    if any(_COMMENT.match(line) or _METRIC_LINE.fullmatch(line) for line in lines):
        return FileKind.EXPOSITION
    return FileKind.UNKNOWN
