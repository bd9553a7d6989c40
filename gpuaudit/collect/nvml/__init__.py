"""NVML through `nvidia-ml-py`: every call may be refused, and then that one fact is unknown and the rest stands."""

from gpuaudit.collect.nvml.host import NvmlFacts, read_nvml

__all__ = ["NvmlFacts", "read_nvml"]
