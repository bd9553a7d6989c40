"""Record a real host for the tests: `python -m tests.nvml.record`, on a machine with NVIDIA GPUs. Needs no root.

Writes fixtures/captures/nvml/NAME/: node.json and nvidia-smi.xml at rest, and the same while GPU 0 holds memory and
runs a kernel (node-busy.json, nvidia-smi-busy.xml), by the CUDA driver alone. Identifiers (UUIDs, serials, names of
host, pods and processes, board numbers, MAC addresses and GIDs) are replaced, the same one always by the same; PCI
addresses stay, topology is made of them. tests/test_nvml_captures.py holds the readers to what was recorded.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

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
SECONDS = 20


def replaced(text: str) -> str:
    """Return a text with its identifiers replaced."""
    text = UUID.sub(lambda match: (match[1] or "") + _uuid(match[2].lower()), text)
    text = CONTAINER.sub(lambda match: hashlib.sha256(match[0].encode()).hexdigest(), text)
    return MAC_OR_GUID.sub("0000:0000:0000:0000", text)


def without_names(tree: Any) -> Any:
    """Return a document without the names of host, cluster, pods and processes."""
    if isinstance(tree, dict):
        return {
            key: (f"a-{key}" if key in NAMES or (key == "name" and "pid" in tree) else without_names(value))
            if value is not None
            else None
            for key, value in tree.items()
        }
    return [without_names(item) for item in tree] if isinstance(tree, list) else tree


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, help="default: fixtures/captures/nvml")
    parser.add_argument("--name", help="folder; default: the GPU's name and the driver's version")
    parser.add_argument("--at-rest", action="store_true", help="only at rest: hold no memory, run no kernel")
    chosen = parser.parse_args()
    here = json.loads(node())
    if not here["gpus"]:
        sys.exit(f"no NVIDIA GPU to record here: {'; '.join(here['notes'])}")
    name = chosen.name or f"{here['gpus'][0]['name']}-{here['driver']}".lower().replace(" ", "-")
    folder = chosen.out / re.sub(r"[^a-z0-9.-]", "", name)
    folder.mkdir(parents=True, exist_ok=True)
    rest = keep(folder, "")
    if not chosen.at_rest:
        worker = subprocess.Popen([sys.executable, "-m", "tests.nvml.load", str(SECONDS)], cwd=ROOT)
        time.sleep(SECONDS / 2)
        busy = keep(folder, "-busy")
        worker.wait(SECONDS)
        _say(rest, busy)
    sys.stdout.write(f"{folder}: look through it before you commit it\n")


def _say(rest: dict[str, Any], busy: dict[str, Any]) -> None:
    for word, tree in (("at rest", rest), ("busy", busy)):
        gpu = tree["gpus"][0]
        sys.stdout.write(f"GPU 0 {word}: utilization {gpu['utilization']}, memory {gpu['memory_used_mib']} MiB\n")


if __name__ == "__main__":
    main()
