"""`nvidia-smi -q -x` → one host's facts. Entities and external references are refused by defusedxml."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gpuaudit import __version__
from gpuaudit.cluster.node_facts import (
    ClockFacts,
    GpuFacts,
    HostFacts,
    InstanceFacts,
    MemoryFaults,
    PcieFacts,
    PowerFacts,
    ProcessFacts,
)
from gpuaudit.errors import UserError
from gpuaudit.knowledge import gpus, mig

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ROOT = "nvidia_smi_log"
HINT = "make it with: nvidia-smi -q -x > FILE"
LARGEST_BYTES = 64 << 20
MEMORY_TOLERANCE = 0.03  # mig.toml: memory of a profile differs slightly by driver
_NUMBER = re.compile(r"^(-?[\d.]+)")
_NOT_SAID = {"", "N/A", "[N/A]", "Unknown Error", "[Not Supported]", "Not Supported", "ERR!", "GPU is lost"}


def read_xml(content: bytes, *, host: str, now: datetime) -> HostFacts:
    """Read the document. `host` names the machine (the document does not), `now` is its time when it gives none.

    UserError for anything that is not nvidia-smi's XML, is too large, or defines entities.
    """
    root = _root(content, host)
    taken_at, note = _time(_text(root, "timestamp"), now)
    return HostFacts(
        tool_version=__version__,
        taken_at=taken_at,
        host=host,
        driver=_text(root, "driver_version"),
        cuda=_text(root, "cuda_version"),
        gpus=tuple(_gpu(index, element) for index, element in enumerate(root.findall("gpu"))),
        notes=(note,) if note else (),
    )


def _root(content: bytes, host: str) -> "Element":
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    if len(content) > LARGEST_BYTES:
        raise UserError(f"{host}: larger than nvidia-smi's XML can be", hint=HINT)
    try:
        root: Element = fromstring(content)
    except DefusedXmlException as error:
        raise UserError(f"{host}: XML with entities is refused: {type(error).__name__}", hint=HINT) from error
    except (ParseError, ValueError, LookupError) as error:
        raise UserError(f"{host}: not XML: {error}", hint=HINT) from error
    if root.tag != ROOT:
        raise UserError(f"{host}: XML, but not nvidia-smi's", hint=HINT)
    return root


def _gpu(index: int, element: "Element") -> GpuFacts:
    name = _text(element, "product_name")
    power = "gpu_power_readings" if element.find("gpu_power_readings") is not None else "power_readings"
    current = _text(element, "mig_mode/current_mig")
    return GpuFacts(
        index=index,
        uuid=_text(element, "uuid"),
        name=name,
        pci=_pci(element),
        vbios=_text(element, "vbios_version"),
        architecture=(_text(element, "product_architecture") or "").lower() or None,
        lost=any("GPU is lost" in (child.text or "") for child in element),
        memory_total_mib=_number(element, "fb_memory_usage/total"),
        memory_used_mib=_number(element, "fb_memory_usage/used"),
        memory_reserved_mib=_number(element, "fb_memory_usage/reserved"),
        utilization=_percent(element, "utilization/gpu_util"),
        memory_utilization=_percent(element, "utilization/memory_util"),
        temperature_celsius=_number(element, "temperature/gpu_temp"),
        performance_state=_state(_text(element, "performance_state")),
        persistence=_flag(element, "persistence_mode"),
        compute_mode=(_text(element, "compute_mode") or "").lower() or None,
        mig_current=_enabled(current),
        mig_pending=_enabled(_text(element, "mig_mode/pending_mig")),
        instances=tuple(_instances(name, element)),
        processes=_processes(element),
        power=PowerFacts(
            draw_watts=_number(element, f"{power}/power_draw") or _number(element, f"{power}/instant_power_draw"),
            limit_watts=_number(element, f"{power}/current_power_limit") or _number(element, f"{power}/power_limit"),
            default_limit_watts=_number(element, f"{power}/default_power_limit"),
            max_limit_watts=_number(element, f"{power}/max_power_limit"),
        ),
        clocks=_clocks(element),
        faults=_faults(element),
        pcie=_pcie(element),
        virtualization=(_text(element, "gpu_virtualization_mode/virtualization_mode") or "").lower() or None,
    )


def _instances(name: str | None, element: "Element") -> Iterator[InstanceFacts]:
    for device in element.findall("mig_devices/mig_device"):
        number = _integer(device, "gpu_instance_id")
        sm = _integer(device, "device_attributes/shared/multiprocessor_count")
        memory = _number(device, "fb_memory_usage/total")
        yield InstanceFacts(
            gpu_instance_id=-1 if number is None else number,
            compute_instance_id=_integer(device, "compute_instance_id"),
            profile=_profile(name, sm, memory),
            multiprocessors=sm,
            memory_total_mib=memory,
            memory_used_mib=_number(device, "fb_memory_usage/used"),
        )


def _profile(name: str | None, sm: int | None, memory: float | None) -> str | None:
    """Return the profile that has this memory and these SMs; the document does not name it. None when unsure."""
    model = gpus.identify(name) if name else None
    grid = mig.for_model(model) if model else None
    if grid is None or memory is None:
        return None
    fitting = [
        profile
        for profile in grid.profiles
        if profile.memory_mib
        and abs(profile.memory_mib - memory) <= MEMORY_TOLERANCE * profile.memory_mib
        and (sm is None or profile.sm in (None, sm))
        and not profile.media_extension
    ]
    return fitting[0].name if len(fitting) == 1 else None


def _processes(element: "Element") -> tuple[ProcessFacts, ...] | None:
    if element.find("processes") is None:
        return None
    return tuple(
        ProcessFacts(
            pid=pid,
            kind="graphics" if _text(process, "type") == "G" else "compute",
            name=(_text(process, "process_name") or "")[:64] or None,
            memory_mib=_number(process, "used_memory"),
            gpu_instance_id=_integer(process, "gpu_instance_id"),
            compute_instance_id=_integer(process, "compute_instance_id"),
        )
        for process in element.findall("processes/process_info")
        if (pid := _integer(process, "pid")) is not None
    )


def _clocks(element: "Element") -> ClockFacts:
    folder = element.find("clocks_event_reasons")
    if folder is None:
        folder = element.find("clocks_throttle_reasons")
    active = [child.tag for child in folder if (child.text or "").strip() == "Active"] if folder is not None else []
    return ClockFacts(
        sm_mhz=_integer(element, "clocks/sm_clock"),
        memory_mhz=_integer(element, "clocks/mem_clock"),
        max_sm_mhz=_integer(element, "max_clocks/sm_clock"),
        max_memory_mhz=_integer(element, "max_clocks/mem_clock"),
        limited_by=tuple(sorted(_reason(tag) for tag in active)),
    )


def _reason(tag: str) -> str:
    """Write `clocks_event_reason_sw_power_cap` as NVML names it: SwPowerCap."""
    words = re.sub(r"^clocks_(event|throttle)_reason_", "", tag).split("_")
    return "".join(word.capitalize() for word in words)


def _faults(element: "Element") -> MemoryFaults:
    rows = "remapped_rows"
    return MemoryFaults(
        ecc_enabled=_enabled(_text(element, "ecc_mode/current_ecc")),
        ecc_pending=_enabled(_text(element, "ecc_mode/pending_ecc")),
        **{f"{span}_{kind}": _errors(element, span, kind) for span in ("volatile", "aggregate") for kind in KINDS},
        remapped_correctable=_integer(element, f"{rows}/remapped_row_corr"),
        remapped_uncorrectable=_integer(element, f"{rows}/remapped_row_unc"),
        remap_pending=_yes(_text(element, f"{rows}/remapped_row_pending")),
        remap_failure=_yes(_text(element, f"{rows}/remapped_row_failure")),
        retired_pages=_retired(element),
        retirement_pending=_yes(_text(element, "retired_pages/pending_retirement")),
    )


KINDS = ("corrected", "uncorrected")
_TAGS = {
    "corrected": ("sram_correctable", "dram_correctable"),
    "uncorrected": ("sram_uncorrectable", "dram_uncorrectable"),
}
_OLD_TAGS = {"corrected": "single_bit/total", "uncorrected": "double_bit/total"}


def _errors(element: "Element", span: str, kind: str) -> int | None:
    parts = [_integer(element, f"ecc_errors/{span}/{tag}") for tag in _TAGS[kind]]
    known = [part for part in parts if part is not None]
    return sum(known) if known else _integer(element, f"ecc_errors/{span}/{_OLD_TAGS[kind]}")


def _retired(element: "Element") -> int | None:
    causes = ("multiple_single_bit_retirement", "double_bit_retirement")
    counts = [_integer(element, f"retired_pages/{cause}/retired_count") for cause in causes]
    return None if None in counts else sum(count or 0 for count in counts)


def _pcie(element: "Element") -> PcieFacts:
    info = "pci/pci_gpu_link_info"
    return PcieFacts(
        generation=_integer(element, f"{info}/pcie_gen/current_link_gen"),
        width=_integer(element, f"{info}/link_widths/current_link_width"),
        max_generation=_integer(element, f"{info}/pcie_gen/max_link_gen"),
        max_width=_integer(element, f"{info}/link_widths/max_link_width"),
        replays=_integer(element, "pci/replay_counter"),
    )


def _pci(element: "Element") -> str | None:
    text = _text(element, "pci/pci_bus_id") or element.get("id")
    if not text or ":" not in text:
        return None
    domain, _, rest = text.partition(":")
    return f"{domain[-4:]}:{rest}".lower()


def _time(text: str | None, now: datetime) -> tuple[datetime, str]:
    try:
        when = datetime.strptime(text or "", "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC)
    except ValueError:
        return now, "the document gives no time: the time of reading is taken"
    return when, "nvidia-smi prints local time without its zone: taken as UTC"


def _text(element: "Element", path: str) -> str | None:
    text = (element.findtext(path) or "").strip()
    return None if text in _NOT_SAID else text[:256]


def _number(element: "Element", path: str) -> float | None:
    match = _NUMBER.match(_text(element, path) or "")
    try:
        return float(match.group(1)) if match else None
    except ValueError:
        return None


def _integer(element: "Element", path: str) -> int | None:
    value = _number(element, path)
    return None if value is None else int(value)


def _percent(element: "Element", path: str) -> float | None:
    value = _number(element, path)
    return value / 100 if value is not None and 0 <= value <= 100 else None


def _state(text: str | None) -> int | None:
    return int(text[1:]) if text and text[:1] == "P" and text[1:].isdigit() else None


def _flag(element: "Element", path: str) -> bool | None:
    return _enabled(_text(element, path))


def _enabled(text: str | None) -> bool | None:
    return {"Enabled": True, "Disabled": False}.get(text or "")


def _yes(text: str | None) -> bool | None:
    return {"Yes": True, "No": False}.get(text or "")
