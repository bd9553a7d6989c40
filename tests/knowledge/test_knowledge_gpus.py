"""GPU models: every printed name is recognised, ambiguous ones are not guessed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit.errors import UserError
from gpuaudit.knowledge import gpus, mig

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
MODELS = gpus.all_models()


def keys() -> list[str]:
    return [model.key for model in MODELS]


def test_keys_are_unique() -> None:
    assert len(set(keys())) == len(MODELS)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.key)
def test_every_name_means_its_model(model: gpus.GpuModel) -> None:
    for name in (model.key, *model.names, *model.gfd_products):
        assert gpus.identify(name) is model, name
        assert gpus.resolve(name) is model, name


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.key)
def test_products_are_the_names_with_dashes(model: gpus.GpuModel) -> None:
    assert set(model.gfd_products) == {name.replace(" ", "-") for name in model.names}


@settings(max_examples=60)
@given(
    model=st.sampled_from(MODELS),
    pick=st.integers(0, 3),
    dashes=st.booleans(),
    case=st.sampled_from([str.upper, str.lower, str.title]),
    strip=st.booleans(),
    suffix=st.sampled_from(
        ["", "-SHARED", "-MIG-1g.10gb", "-MIG-1g.10gb.me", "-MIG-1g.5gb-SHARED", "-MIG-INVALID", "-MIG-2g.48gb-me"]
    ),
)
def test_spelling_does_not_matter(model, pick, dashes, case, strip, suffix) -> None:
    name = model.names[pick % len(model.names)]
    name = name.replace(" ", "-") if dashes else name
    name = re.sub("^NVIDIA[ -]", "", name) if strip else name
    assert gpus.identify(case(name + suffix)) is model
    assert gpus.identify(f"  {name}{suffix} ") is model


@settings(max_examples=200)
@given(st.text(max_size=300), st.one_of(st.none(), st.floats(allow_nan=True)))
def test_any_text_is_answered(text, memory) -> None:
    model = gpus.identify(text, memory_mib=memory)
    assert model is None or model in MODELS


@pytest.mark.parametrize("name", ["", "NVIDIA", "GeForce GTX 1070", "H100", "A100", "h200-", "NVIDIA H100 96GB", "gpu"])
def test_unknown_and_ambiguous_names_mean_nothing(name: str) -> None:
    assert gpus.identify(name) is None


@pytest.mark.parametrize(
    ("label", "value", "memory", "key"),
    [
        ("cloud.google.com/gke-accelerator", "nvidia-h100-80gb", None, "h100-80gb-sxm"),
        ("cloud.google.com/gke-accelerator", "nvidia-h100-mega-80gb", None, "h100-80gb-sxm"),
        ("cloud.google.com/gke-accelerator", "nvidia-tesla-a100", None, "a100-40gb-sxm"),
        ("cloud.google.com/gke-accelerator", "nvidia-tesla-t4", None, "t4"),
        ("karpenter.k8s.aws/instance-gpu-name", "h100", None, "h100-80gb-sxm"),
        ("karpenter.k8s.aws/instance-gpu-name", "a100", 40960, "a100-40gb-sxm"),
        ("karpenter.k8s.aws/instance-gpu-name", "a100", 81920, "a100-80gb-sxm"),
        ("karpenter.k8s.aws/instance-gpu-name", "a100", None, None),
        ("karpenter.k8s.aws/instance-gpu-name", "l4", 2861, "l4"),
        ("k8s.amazonaws.com/accelerator", "nvidia-tesla-a100", None, None),
        ("k8s.amazonaws.com/accelerator", "nvidia-tesla-a10g", None, "a10g"),
        ("nvidia.com/gpu.product", "NVIDIA-A10G-SHARED", None, "a10g"),
        ("example.com/gpu", "h100", None, None),
    ],
)
def test_labels_of_clouds(label: str, value: str, memory: float | None, key: str | None) -> None:
    model = gpus.identify_label(label, value, memory_mib=memory)
    assert (model and model.key) == key


def test_accelerator_names_that_say_enough_need_no_label() -> None:
    assert gpus.identify("nvidia-h100-80gb") is gpus.by_key("h100-80gb-sxm")
    assert gpus.identify("nvidia-tesla-t4") is gpus.by_key("t4")
    assert gpus.identify("nvidia-tesla-a100") is None  # 40 GB on one cloud, either on another
    assert gpus.identify("nvidia-tesla-a100", memory_mib=81920) is gpus.by_key("a100-80gb-sxm")


def test_memory_decides_only_between_variants() -> None:
    assert gpus.identify("NVIDIA L4", memory_mib=5722) is gpus.by_key("l4")
    assert gpus.identify("nvidia-tesla-v100", memory_mib=99999) is None


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("h100", ["h100-80gb-sxm", "h100-80gb-pcie", "h100-nvl"]),
        ("A100", ["a100-40gb-sxm", "a100-80gb-pcie"]),
        ("a100-80gb", ["a100-80gb-sxm", "a100-80gb-pcie"]),
        ("NVIDIA GH200", ["gh200-96gb", "gh200-144gb"]),
        ("nvidia-tesla-a100", ["a100-40gb-sxm", "a100-80gb-sxm"]),
    ],
)
def test_an_ambiguous_name_lists_its_candidates(text: str, candidates: list[str]) -> None:
    with pytest.raises(UserError) as error:
        gpus.resolve(text)
    assert all(key in error.value.message for key in candidates)
    assert error.value.hint
    assert error.value.code == 2


def test_an_unknown_name_suggests_close_ones() -> None:
    with pytest.raises(UserError, match="no GPU model") as error:
        gpus.resolve("l40x")
    assert "l40s" in error.value.hint
    with pytest.raises(UserError):
        gpus.resolve("")


def test_fields_are_within_reason() -> None:
    for model in MODELS:
        assert model.memory_mib > 0
        assert 0.9 < model.memory_mib / 1024 / model.memory_gb_nominal < 1.03, model.key
        for value in (model.sm, model.memory_bw_gbps, model.bf16_tflops, model.fp8_tflops, model.tdp_w):
            assert value is None or value > 0
        assert model.nvlink_gbps_total is None or model.nvlink_gbps_total >= 0


def test_low_names_fields_and_sources_resolve() -> None:
    fields = set(gpus.GpuModel.__struct_fields__)
    for model in MODELS:
        assert set(model.low) <= fields, model.key
        assert all(getattr(model, name) not in (None, ()) for name in model.low), model.key
        assert model.sources
        assert set(model.sources) <= set(gpus.sources()), model.key
    table = gpus._file()
    assert {alias.source for alias in table.aliases} <= set(gpus.sources())
    assert {key for alias in table.aliases for key in alias.keys} <= set(keys())
    assert {table.gfd_labels.source, table.links.source, table.product_suffix_source} <= set(gpus.sources())


def test_what_no_source_was_read_for_is_marked() -> None:
    for model in MODELS:
        if "know" in model.sources:
            assert model.low, model.key


def test_mig_rows_exist_and_memory_fits() -> None:
    for model in MODELS:
        if model.mig is None:
            assert not model.mig_capable or mig.for_model(model) is None
            continue
        assert model.mig_capable
        grid = mig.geometry(model.mig)
        assert mig.for_model(model) is grid
        assert grid.total_sm in (None, model.sm)
        largest = max(grid.profiles, key=lambda row: row.size)
        assert largest.memory_mib is None or 0.95 * model.memory_mib < largest.memory_mib <= model.memory_mib


def test_mig_tables_names_are_the_same_models() -> None:
    for grid in mig.all_geometries():
        for name in grid.names:
            model = gpus.identify(name)
            assert model is not None, name
            assert model.mig == grid.key, name


def test_names_in_recordings() -> None:
    if not SHARED.is_dir():
        pytest.skip("no recordings beside this checkout")
    found = set()
    for path in (SHARED / "recordings").rglob("*"):
        if path.suffix in {".prom", ".xml", ".txt"}:
            text = path.read_text(encoding="utf-8", errors="replace")
            found |= set(re.findall(r'modelName="([^"]+)"', text))
            found |= set(re.findall(r"<product_name>([^<]+)<", text))
            found |= set(re.findall(r"^GPU \d+: (.+) \(UUID", text, re.MULTILINE))
    assert found
    unknown = {name for name in found if gpus.identify(name) is None}
    assert all("GeForce" in name for name in unknown), unknown  # graphics cards that no cluster pays for


def test_labels_in_recordings_are_known() -> None:
    folder = SHARED / "recordings" / "k8s"
    if not folder.is_dir():
        pytest.skip("no recordings beside this checkout")
    known = gpus.gfd_labels()
    labels = {*known.always, *known.also, *known.mig_single_extra}
    for path in folder.glob("gfd-*.txt"):
        seen = {line.partition("=")[0].replace("\\", "") for line in path.read_text().split()}
        assert seen <= labels


def test_products_of_a_recorded_cluster() -> None:
    path = SHARED / "lab" / "dump" / "nodes.json"
    if not path.is_file():
        pytest.skip("no recorded cluster beside this checkout")
    for node in json.loads(path.read_text())["items"]:
        labels = node["metadata"]["labels"]
        product = labels.get("nvidia.com/gpu.product")
        if product:
            assert gpus.identify(product) is not None, product
        if "cloud.google.com/gke-accelerator" in labels:
            model = gpus.identify_label("cloud.google.com/gke-accelerator", labels["cloud.google.com/gke-accelerator"])
            assert model is gpus.by_key("h100-80gb-sxm")


def test_importing_reads_no_file_and_nothing_heavy() -> None:
    program = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from gpuaudit.knowledge import facts, gpus, kubernetes, loading, metrics, mig, prices, systems
assert not [name for name in opened if "/data/" in name], opened
heavy = {"pandas", "numpy", "pyarrow", "kubernetes", "highspy", "prometheus_client", "pynvml"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).resolve().parents[2])
