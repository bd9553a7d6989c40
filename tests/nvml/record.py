"""Record a real host for the tests: `python -m tests.nvml.record`, on a machine with NVIDIA GPUs. Needs no root.

Writes fixtures/captures/nvml/NAME/: node.json and nvidia-smi.xml at rest, and the same (node-busy.json,
nvidia-smi-busy.xml …) while GPU 0 is at work by the CUDA driver alone: busy, on one SM alone, shared by a process that
works half of the time and one that only holds memory, and shared so by MPS (--mps: a daemon of its own; the GPU's
settings stay as they are).

Identifiers (UUIDs, serials, names of host, pods and processes, board numbers, MAC addresses and GIDs) are replaced, the
same one always by the same; PCI addresses stay, topology is made of them. tests/test_nvml_captures.py holds the readers
to what was recorded.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpuaudit.knowledge.probe import probe

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "fixtures" / "captures" / "nvml"
UUID = re.compile(
    r"\b(GPU-|MIG-(?:GPU-)?)?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})", re.IGNORECASE
)
CONTAINER = re.compile(r"\b[0-9a-f]{64}\b")
MAC_OR_GUID = re.compile(r"\b[0-9a-f]{4}(?::[0-9a-f]{4}){3,7}\b|\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b", re.IGNORECASE)
TAGS = (
    "serial",
    "board_id",
    "board_part_number",
    "chassis_serial_number",
    "chassis_physical_slot_number",
    "gpu_part_number",
    "hostname",
    "module_id",
    "process_name",
    "rack_guid",
    "rack_serial_number",
)
NAMES = ("host", "node", "cluster", "serial", "container", "pod_uid")
PARTS = {  # suffix of the files → what runs, as arguments of tests.nvml.load
    "-busy": ("",),
    "-one-sm": ("--blocks 1",),
    "-shared": ("--share 0.5", "--share 0 --mib 6144"),
    "-mps": ("--share 0.5", "--share 0 --mib 6144"),
}
SETTLED = 13.0  # seconds: longer than the driver is asked for samples (gpuaudit/collect/nvml/asking.py)


def replaced(text: str) -> str:
    """Return a text with its identifiers replaced."""
    text = UUID.sub(lambda match: (match[1] or "") + _uuid(match[2].lower()), text)
    text = CONTAINER.sub(lambda match: hashlib.sha256(match[0].encode()).hexdigest(), text)
    return MAC_OR_GUID.sub("0000:0000:0000:0000", text)


def without_names(tree: Any) -> Any:
    """Return a document without the names of host, cluster, pods and processes."""
    if isinstance(tree, dict):
        return {
            key: (f"a-{key}" if key in NAMES or (key == "name" and _tells(tree)) else without_names(value))
            if value is not None
            else None
            for key, value in tree.items()
        }
    return [without_names(item) for item in tree] if isinstance(tree, list) else tree


def _tells(tree: dict[str, Any]) -> bool:
    """Whether a name is that of somebody's process: the MPS server's is no secret, and readers know it by its name."""
    return "pid" in tree and not str(tree["name"]).startswith(probe().mps_server)


def without_tags(xml: str) -> str:
    """Return nvidia-smi's XML without serials, board numbers and process names."""
    for tag in TAGS:
        xml = re.sub(rf"(<{tag}>)[^<]+(</{tag}>)", r"\1N/A\2", xml)
    return replaced(xml)


def _uuid(text: str) -> str:
    digits = hashlib.sha256(f"gpuaudit {text}".encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"


def node() -> str:
    """Return what `gpuaudit node` says here, cleaned."""
    command = [sys.executable, "-m", "gpuaudit", "node", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return json.dumps(without_names(json.loads(replaced(done.stdout))), indent=2) + "\n"


def smi() -> str | None:
    """Return what nvidia-smi says here, cleaned; None without it."""
    if shutil.which("nvidia-smi") is None:
        return None
    done = subprocess.run(["nvidia-smi", "-q", "-x"], capture_output=True, text=True, check=True)
    return without_tags(done.stdout)


def keep(folder: Path, suffix: str) -> dict[str, Any]:
    """Write both outputs and return the node's."""
    text, xml = node(), smi()
    (folder / f"node{suffix}.json").write_text(text)
    if xml:
        (folder / f"nvidia-smi{suffix}.xml").write_text(xml)
    found: dict[str, Any] = json.loads(text)
    return found


@contextmanager
def working(parts: Sequence[str], environment: dict[str, str]) -> Iterator[None]:
    """Keep processes at work on GPU 0 meanwhile."""
    command = [sys.executable, "-m", "tests.nvml.load", "60"]
    workers = [subprocess.Popen([*command, *part.split()], cwd=ROOT, env=environment) for part in parts]
    try:
        time.sleep(SETTLED)
        if any(worker.poll() is not None for worker in workers):
            sys.exit(f"the GPU could not be put to work: {parts}")
        yield
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait(10)


@contextmanager
def mps() -> Iterator[dict[str, str]]:
    """Run an MPS daemon that nobody else finds; yield the environment of its clients."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        subprocess.run(["nvidia-cuda-mps-control", "-d"], env=environment, check=True, timeout=20)
        try:
            yield environment
        finally:
            subprocess.run(["nvidia-cuda-mps-control"], input=b"quit\n", env=environment, check=True, timeout=20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, help="default: fixtures/captures/nvml")
    parser.add_argument("--name", help="folder; default: the GPU's name and the driver's version")
    parser.add_argument("--at-rest", action="store_true", help="only at rest: hold no memory, run no kernel")
    parser.add_argument("--mps", action="store_true", help="also with an MPS daemon of its own")
    chosen = parser.parse_args()
    here = json.loads(node())
    if not here["gpus"]:
        sys.exit(f"no NVIDIA GPU to record here: {'; '.join(here['notes'])}")
    name = chosen.name or f"{here['gpus'][0]['name']}-{here['driver']}".lower().replace(" ", "-")
    folder = chosen.out / re.sub(r"[^a-z0-9.-]", "", name)
    folder.mkdir(parents=True, exist_ok=True)
    _say("at rest", keep(folder, ""))
    for suffix, parts in {} if chosen.at_rest else PARTS.items():
        if suffix != "-mps":
            with working(parts, dict(os.environ)):
                _say(suffix.strip("-"), keep(folder, suffix))
        elif chosen.mps:
            with mps() as environment, working(parts, environment):
                _say("mps", keep(folder, suffix))
    sys.stdout.write(f"{folder}: look through it before you commit it\n")


def _say(word: str, tree: dict[str, Any]) -> None:
    gpu = tree["gpus"][0]
    counters = (gpu["activity"] or {}).get("sm_active")
    sys.stdout.write(
        f"GPU 0 {word}: utilization {gpu['utilization']}, SM active {counters}, memory {gpu['memory_used_mib']} MiB\n"
    )


if __name__ == "__main__":
    main()
