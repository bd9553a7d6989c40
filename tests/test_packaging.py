"""What is built and installed is what is in the checkout: same files, same report, from anywhere."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
BUILTIN = {"rules": "rules", "templates": "templates", "fixtures/snapshots": "snapshots"}
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "dist", "build", "out")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout, with the litter that a used one has."""
    copy = tmp_path_factory.mktemp("checkout") / "gpuaudit"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    for folder in ("rules/utilization", "gpuaudit", "gpuaudit/cli"):
        (copy / folder / "__pycache__").mkdir()
        (copy / folder / "__pycache__" / "stale.cpython-311.pyc").write_bytes(b"")
    (copy / "templates").mkdir(exist_ok=True)
    (copy / "templates" / "of-a-test.txt").write_text("as it stands", "utf-8")
    return copy


@pytest.fixture(scope="module")
def archives(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The sdist, the wheel made from it, and the wheel made straight from the checkout."""
    through, straight = tmp_path_factory.mktemp("through"), tmp_path_factory.mktemp("straight")
    build = [sys.executable, "-m", "build", "--no-isolation", str(checkout), "--outdir"]
    ran([*build, str(through)])
    ran([*build, str(straight), "--wheel"])
    (sdist,), (first,), (second,) = through.glob("*.tar.gz"), through.glob("*.whl"), straight.glob("*.whl")
    return sdist, first, second


def ran(command: list[str], *, cwd: Path | None = None) -> bytes:
    known = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GPUAUDIT_") and name not in ("PYTHONPATH", "PIP_CONSTRAINT")
    }
    done = subprocess.run(command, capture_output=True, cwd=cwd or "/", env=known, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout


def environment(folder: Path, *install: str) -> Path:
    """Return the bin folder of a new environment: the packages of this one, without its gpuaudit, and `install`."""
    ran([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    python = folder / "bin" / "python"
    site = ran([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).decode().strip()
    # A .pth adds the folder itself, not what the .pth files in it name: the editable gpuaudit stays outside.
    Path(site, "packages.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    if install:
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index"]
        ran([*pip, "--ignore-installed", "--no-build-isolation", *install])
    return folder / "bin"


def files_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def files_below(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in found}


def test_the_wheel_holds_the_package_and_what_ships_with_it(checkout: Path, archives: tuple[Path, Path, Path]) -> None:
    wanted = {f"gpuaudit/{name}" for name in files_below(checkout / "gpuaudit")}
    for folder, name in BUILTIN.items():
        wanted |= {f"gpuaudit/builtin/{name}/{file}" for file in files_below(checkout / folder)}
    assert "gpuaudit/builtin/rules/utilization/idle_gpu.py" in wanted
    assert "gpuaudit/builtin/snapshots/demo.gpuaudit" in wanted
    assert "gpuaudit/knowledge/data/gpus.toml" in wanted
    assert files_of(archives[2]) == wanted


def test_the_sdist_gives_the_same_wheel(archives: tuple[Path, Path, Path]) -> None:
    _, through, straight = archives
    with zipfile.ZipFile(through) as one, zipfile.ZipFile(straight) as other:
        assert {name: one.read(name) for name in sorted(one.namelist())} == {
            name: other.read(name) for name in sorted(other.namelist())
        }


def test_the_wheel_carries_the_licence_and_the_readme(archives: tuple[Path, Path, Path]) -> None:
    with zipfile.ZipFile(archives[2]) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        (licence,) = (name for name in archive.namelist() if name.endswith("/licenses/LICENSE"))
        assert "# gpuaudit" in archive.read(metadata).decode()
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_the_sdist_holds_what_its_targets_need(checkout: Path, archives: tuple[Path, Path, Path]) -> None:
    with tarfile.open(archives[0]) as archive:
        held = {PurePosixPath(*PurePosixPath(member.name).parts[1:]).as_posix() for member in archive.getmembers()}
    assert not [name for name in held if "__pycache__" in name]
    folders = (".ci", "bench", "docs", "fixtures", "gpuaudit", "rules", "templates", "tests")
    missing = {f"{folder}/{name}" for folder in folders for name in files_below(checkout / folder)} - held
    assert missing == set()
    assert {
        "constraints.txt",
        "pyproject.toml",
        "Makefile",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
    } <= held


def test_wheel_editable_install_and_bare_checkout_give_the_same_report(
    checkout: Path, archives: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    demo = ["demo", "-o", "json", "--quiet"]
    wheel = environment(tmp_path / "wheel", str(archives[2]))
    editable = environment(tmp_path / "editable", "-e", str(checkout))
    bare = environment(tmp_path / "bare")
    report = ran([str(wheel / "gpuaudit"), *demo])
    assert report.startswith(b"{")
    assert ran([str(editable / "gpuaudit"), *demo]) == report
    assert ran([str(bare / "python"), "-m", "gpuaudit", *demo], cwd=checkout) == report
    assert where(wheel).is_relative_to(tmp_path)
    assert where(editable) == where(bare, cwd=checkout) == checkout / "gpuaudit"
    saved = str(checkout / "fixtures" / "snapshots" / "demo.gpuaudit")
    assert ran([str(wheel / "gpuaudit"), "scan", "--input", saved, *demo[1:]]) == report


def where(environment: Path, *, cwd: Path | None = None) -> Path:
    shown = ran([str(environment / "python"), "-c", "import gpuaudit; print(gpuaudit.__file__)"], cwd=cwd)
    return Path(shown.decode().strip()).parent


def test_an_editable_install_copies_nothing(checkout: Path, tmp_path: Path) -> None:
    environment(tmp_path / "editable", "-e", str(checkout))
    assert list((tmp_path / "editable").rglob("idle_gpu.py")) == []


def test_the_version_of_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    needed = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
    ]
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {Requirement(line).name.lower().replace("_", "-") for line in lines if not line.startswith("#")}
    assert {Requirement(line).name.lower() for line in needed} - pinned == set()
