"""The Dockerfile: what it promises on paper, and built where there is a builder that can get at a base image."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
BASE = "docker.io/library/python:3.12-slim-bookworm"
# For a builder without a way to a registry or a package index:
#   GPUAUDIT_TEST_BASE=localhost/debian-python GPUAUDIT_TEST_BUILD="--network host -v /etc/pip.conf:/etc/pip.conf:ro"
GIVEN, OPTIONS = os.environ.get("GPUAUDIT_TEST_BASE"), shlex.split(os.environ.get("GPUAUDIT_TEST_BUILD", ""))
OF_PIP = {"typer", "msgspec", "nvidia-ml-py", "rich"}
LISTING = """
import sys, json
from gpuaudit.cli import app
from gpuaudit.cli.errors import run
import gpuaudit.report.node, gpuaudit.report.node_lines, gpuaudit.collect.kubernetes.publishing
run(app, ["node", "-o", "terminal=/dev/null"])
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names))))
"""


def test_the_base_is_given_with_its_digest_and_nothing_runs_as_root() -> None:
    assert re.search(r"^ARG BASE$", DOCKERFILE, re.MULTILINE)
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", DOCKERFILE, re.MULTILINE)
    assert {image for image, _ in stages} == {"${BASE}", "build"}
    for target in ("probe", "gpuaudit"):
        body = DOCKERFILE.partition(f" AS {target}\n")[2].partition("\nFROM ")[0]
        assert "USER 65532:65532" in body
        assert "RUN" not in body  # nothing of the build stays in the image


def test_all_that_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert f"!{source.partition('/')[0]}" in ignored, source


def test_the_probe_holds_what_reading_a_host_imports() -> None:
    done = subprocess.run([sys.executable, "-c", LISTING], capture_output=True, text=True, cwd=ROOT, check=True)
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    assert not imported & {"pandas", "numpy", "pyarrow", "highspy", "jinja2", "kubernetes", "urllib3", "yaml"}
    listed = DOCKERFILE.partition("AS probe-files")[2].partition("FROM")[0]
    assert all(re.search(rf"\b{re.escape(name)}\b", listed) for name in OF_PIP)


def builder() -> str:
    """Return a builder that works, or skip."""
    for name, asked in (("docker", "info"), ("podman", "info"), ("buildah", "info")):
        if shutil.which(name) and subprocess.run([name, asked], capture_output=True, check=False).returncode == 0:
            return name
    pytest.skip("no docker, podman or buildah here that can build")


def base(tool: str) -> str:
    """Return the base image, as the builder has it or can get it, or skip."""
    if GIVEN:
        return GIVEN
    done = subprocess.run([tool, "pull", BASE], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"{BASE} cannot be had: {done.stderr.strip()[-120:]}; GPUAUDIT_TEST_BASE names another")
    return BASE


def test_it_builds_and_reads_a_host_as_nobody() -> None:
    tool = builder()
    tag = f"localhost/gpuaudit-test:{os.getpid()}"
    build = [tool, "build", "--build-arg", f"BASE={base(tool)}", "--target", "probe", "-t", tag, *OPTIONS]
    done = subprocess.run([*build, str(ROOT)], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    try:
        run = _run(tool, tag, "node", "-o", "json")
        assert run.returncode == 0, run.stderr
        assert json.loads(run.stdout)["schema"] == "gpuaudit.node/v1"
    finally:
        subprocess.run([tool, "rmi", "-f", tag], capture_output=True, check=False)


def _run(tool: str, tag: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    if tool != "buildah":
        command = [tool, "run", "--rm", "--read-only", "--cap-drop", "ALL", tag, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    made = subprocess.run([tool, "from", tag], capture_output=True, text=True, check=True).stdout.strip()
    command = [tool, "run", "--cap-drop", "all", made, "--", "gpuaudit", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    finally:
        subprocess.run([tool, "rm", made], capture_output=True, check=False)
