"""The one guarded door to NVML."""

from collections.abc import Callable
from typing import Any

# How far back the driver is asked for its samples, in seconds: it keeps about 14 s of the GPU's utilization
RECENT_SECONDS = 10.0


class Asking:
    """Asks NVML one thing at a time; what it refuses is remembered by field with the driver's own word.

    `lost` turns true when the driver says that the GPU has fallen off the bus.
    """

    def __init__(self) -> None:
        import pynvml

        self.nvml: Any = pynvml
        self.unknown: dict[str, str] = {}
        self.lost = False

    def fact(self, field: str, function: str, *args: Any, read: Callable[[Any], Any] | None = None) -> Any:
        """Return what the NVML function says, read by `read`, or None.

        NOT_SUPPORTED, NO_PERMISSION, GPU_IS_LOST, a symbol that the driver lacks and a value that cannot be read are
        all the same to the caller: unknown.
        """
        try:
            value = getattr(self.nvml, function)(*args)
            return value if read is None else read(value)
        except self.nvml.NVMLError as error:
            self._refused(field, error)
        except (AttributeError, ValueError, TypeError, self.nvml.NVMLLibraryMismatchError) as error:
            # a binding older than the call, or an answer that is not what the header promises
            self.unknown[field] = f"{function}: {error}"[:200]
        return None

    def first(self, field: str, *calls: tuple[Any, ...]) -> Any:
        """Return what the first of several functions (name, arguments) says that the driver has and allows."""
        for function, *args in calls:
            value = self.fact(field, function, *args)
            if value is not None:
                self.unknown.pop(field, None)
                return value
        return None

    def _refused(self, field: str, error: Any) -> None:
        code = getattr(error, "value", None)
        if code == self.nvml.NVML_ERROR_GPU_IS_LOST:
            self.lost = True
        self.unknown[field] = ERROR_WORDS.get(code or -1, str(error))[:200]


ERROR_WORDS = {  # nvml.h, nvmlReturn_t
    1: "uninitialized",
    2: "invalid argument",
    3: "not supported",
    4: "no permission",
    6: "not found",
    9: "driver not loaded",
    12: "library not found",
    13: "function not in this driver",
    15: "GPU is lost",
    16: "reset required",
    17: "operating system refuses",
    18: "library version mismatch",
    999: "unknown error",
}


def named(nvml: Any, prefix: str, value: int) -> str:
    """Return the word behind an NVML constant (`NVML_GPU_VIRTUALIZATION_MODE_VGPU` → `vgpu`), or the number."""
    for name in dir(nvml):
        if name.startswith(prefix) and getattr(nvml, name) == value:
            return name.removeprefix(prefix).lower()
    return str(value)
