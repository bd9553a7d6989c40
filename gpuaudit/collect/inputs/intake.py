"""Read input files by their kind. A new kind of file is read by adding its reader to READERS."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import PurePath
from typing import BinaryIO, cast

from gpuaudit import store
from gpuaudit.cluster.nccl import NcclLog
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.builder import InventoryBuilder
from gpuaudit.collect.decode import MalformedError
from gpuaudit.collect.inputs.file_kinds import NOT_READ, FileKind
from gpuaudit.collect.inputs.input_files import InputFile, UnreadableError, open_text, read_bytes, read_whole
from gpuaudit.collect.inputs.nccl_log import read_nccl_log
from gpuaudit.collect.inputs.node_documents import read_documents
from gpuaudit.collect.inputs.nvidia_smi_xml import read_xml
from gpuaudit.collect.joining.node_merge import Told
from gpuaudit.collect.metrics.exposition import Tally
from gpuaudit.collect.metrics.store import SampleStore
from gpuaudit.errors import UserError


@dataclass
class Intake:
    """What was read so far: objects by cluster, samples of all, the names of the files that gave them."""

    builders: dict[str, InventoryBuilder] = field(default_factory=dict)
    samples: SampleStore = field(default_factory=SampleStore)
    kubernetes_files: dict[str, list[str]] = field(default_factory=dict)  # by cluster
    metric_files: list[str] = field(default_factory=list)
    hosts: list[Told] = field(default_factory=list)  # what hosts tell of themselves
    logs: list[NcclLog] = field(default_factory=list)  # what NCCL said, by file and host
    log_files: int = 0
    remarks: list[str] = field(default_factory=list)  # lines for a person about metric files
    broken: dict[str, int] = field(default_factory=dict)  # objects that could not be read, by cluster
    empty: bool = False  # an empty file was read: it holds nothing, and that is said
    failed: list[tuple[str, str]] = field(default_factory=list)  # files that gave nothing, and why
    passed_over: dict[str, list[str]] = field(default_factory=dict)  # files found in folders that are not read: by why

    def refuse(self, file: InputFile, kind: FileKind) -> bool:
        """Note a file of a kind that is not read, and say whether that is so."""
        self.empty |= kind is FileKind.EMPTY
        if kind in NOT_READ and not file.given:
            self.passed_over.setdefault(NOT_READ[kind], []).append(file.name)
        elif kind in NOT_READ:
            self.failed.append((file.name, NOT_READ[kind]))
        return kind in NOT_READ

    def read(self, file: InputFile, kind: FileKind, cluster: str) -> None:
        """Read a file of a cluster; one that gives nothing is noted."""
        try:
            READERS[kind](self, file, cluster)
        except UnreadableError as error:
            self.failed.append((file.name, str(error)))
        except MalformedError as error:
            self.failed.append((file.name, f"not whole: {str(error)[:200]}"))
        except UserError as error:
            self.failed.append((file.name, f"{error.message}; {error.hint}"))

    def load(self, file: InputFile) -> Snapshot | None:
        """Read a snapshot; one that is none, damaged or of another version is noted."""
        try:
            return store.load_stream(BytesIO(read_bytes(file)), name=file.name)
        except UserError as error:
            told = error.message.removeprefix(f"{file.name} ")  # which is said anyway
            self.failed.append((file.name, f"{told}; {error.hint}"))
        except UnreadableError as error:
            self.failed.append((file.name, str(error)))
        return None

    @property
    def anything(self) -> bool:
        """Whether a file of objects, metrics, node facts or NCCL's lines was read."""
        return bool(self.kubernetes_files or self.metric_files or self.hosts or self.logs)


def _read_kubernetes(intake: Intake, file: InputFile, cluster: str) -> None:
    content = read_whole(file)
    builder = intake.builders.get(cluster) or InventoryBuilder(cluster)
    broken = builder.add_text(content).broken.count
    intake.builders[cluster] = builder
    intake.broken[cluster] = intake.broken.get(cluster, 0) + broken
    intake.kubernetes_files.setdefault(cluster, []).append(file.name)


def _read_exposition(intake: Intake, file: InputFile, _cluster: str) -> None:
    with open_text(file) as stream:
        _remark(intake, file, intake.samples.add_text(cast(BinaryIO, stream), source=file.name))


def _read_answer(intake: Intake, file: InputFile, _cluster: str) -> None:
    _remark(intake, file, intake.samples.add_answer(read_whole(file), source=file.name, metric=file.metric))


def _read_node(intake: Intake, file: InputFile, cluster: str) -> None:
    found = read_documents(read_whole(file), name=file.name)
    intake.hosts += [Told(facts, cluster) for facts in found.facts]
    if found.refused:
        intake.failed.append((file.name, f"{found.refused} of its lines are no node facts: {found.reason}"))


def _read_nvidia_smi(intake: Intake, file: InputFile, cluster: str) -> None:
    facts = read_xml(read_whole(file), host=_host_of(file), now=datetime.now(UTC).replace(microsecond=0))
    if not facts.gpus:
        raise UnreadableError("it names no GPU")
    intake.hosts.append(Told(facts, cluster))


def _read_nccl(intake: Intake, file: InputFile, cluster: str) -> None:
    with open_text(file) as stream:
        found = read_nccl_log(stream, name=file.name, cluster=cluster)
    if not found.logs:
        raise UnreadableError("it has no whole line of NCCL's: host:pid:tid [gpu] NCCL INFO")
    intake.logs += found.logs
    intake.log_files += 1
    if found.full:
        intake.failed.append((file.name, f"more hosts than are kept: {len(found.logs):,} were read"))


def _host_of(file: InputFile) -> str:
    """Return the name of the machine: the document does not say it, so it is what the file is called."""
    name = PurePath(file.name).name
    for ending in (".gz", ".xml"):
        name = name.removesuffix(ending)
    return name or "nvidia-smi"


def _remark(intake: Intake, file: InputFile, tally: Tally) -> None:
    intake.metric_files.append(file.name)
    if tally.full:
        intake.remarks.append(f"{file.name} was read in part: there are more samples than fit")
    if tally.refused:
        intake.remarks.append(f"{file.name}: {tally.refused} lines are not understood")
    if tally.lines and not tally.samples:
        intake.remarks.append(f"{file.name} holds no sample of a metric that is known here")


READERS: Mapping[FileKind, Callable[[Intake, InputFile, str], None]] = {
    FileKind.KUBERNETES: _read_kubernetes,
    FileKind.EXPOSITION: _read_exposition,
    FileKind.PROMETHEUS: _read_answer,
    FileKind.NODE: _read_node,
    FileKind.NVIDIA_SMI: _read_nvidia_smi,
    FileKind.NCCL_LOG: _read_nccl,
}
