"""Builds the stand-in for libnvidia-ml.so.1 and gives the environment in which the real nvidia-ml-py loads it."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

SOURCE = Path(__file__).parent / "standin.c"


@cache
def folder_of(flags: Sequence[str] = ()) -> Path:
    """The folder of the built library; skips where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here to build the NVML stand-in")
    folder = Path(mkdtemp(prefix="nvml-"))
    command = [compiler, "-shared", "-fPIC", "-O1", "-w", *flags, "-o", folder / "libnvidia-ml.so.1", SOURCE]
    subprocess.run(command, check=True)
    return folder


def playing(scenario: str, folder: Path) -> dict[str, str]:
    """The environment of a process whose driver plays the scenario."""
    file = folder / "scenario.txt"
    file.write_text(scenario)
    return os.environ | {"LD_LIBRARY_PATH": str(folder_of()), "NVML_SCENARIO": str(file)}
