"""`gpuaudit mig` from outside: the contract's JSON, the drawing, and every wrong question."""

import json
import math

import pytest

from gpuaudit.knowledge import mig
from gpuaudit.plan.layouts import legal_layouts
from tests.test_cli import gpuaudit, refused


def answer(*arguments: object) -> dict[str, object]:
    done = gpuaudit("mig", *arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_pack_prints_the_contract() -> None:
    data = answer("pack", "a100-80gb-sxm", "1g.10gb=13", "3g.40gb=5", "1g.10gb=1", "1g.10gb.me=2", "7g.79gb=1")
    assert list(data) == ["gpu", "gpus", "lower_bound", "status", "certificate", "layouts"]
    assert data["gpu"] == "a100-80gb-sxm"
    demand = {"1g.10gb": 14, "3g.40gb": 5, "1g.10gb+me": 2, "7g.80gb": 1}
    weights = data["certificate"]
    assert all(
        sum(weights[one.profile] for one in layout) <= 1 + 1e-9 for layout in legal_layouts(mig.geometry("a100-80gb"))
    )
    assert data["lower_bound"] == math.ceil(sum(weights[name] * count for name, count in demand.items()) - 1e-6)
    assert data["gpus"] == data["lower_bound"] == sum(one["count"] for one in data["layouts"])
    held = [(one["count"], instance) for one in data["layouts"] for instance in one["instances"]]
    assert all(set(instance) == {"profile", "start"} for _, instance in held)
    for name, count in demand.items():
        assert sum(times for times, instance in held if instance["profile"] == name) >= count


@pytest.mark.parametrize("name", ["NVIDIA A100-SXM4-80GB", "NVIDIA-A100-SXM4-80GB", "a100-80gb-sxm"])
def test_a_gpu_has_the_names_that_devices_print(name: str) -> None:
    assert answer("pack", name, "1g.10gb=1")["gpu"] == "a100-80gb-sxm"


def test_pack_draws_layouts_and_proves() -> None:
    done = gpuaudit("mig", "pack", "a100-80gb-sxm", "1g.10gb=2", "2g.20gb=1", "3g.40gb=1")
    assert "1 GPU, stock layout all-balanced" in done.stdout
    assert "│ 2g.20gb         │ 1g.10gb│ 1g.10gb│ 3g.40gb                           │" in done.stdout
    assert "nvidia-smi mig -cgi 9:4,14:0,19:2,19:3 -C" in done.stdout
    assert "together 1, so at least 1 GPU" in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 80
    assert done.stderr == ""


def test_a_terminal_without_unicode_gets_ascii() -> None:
    done = gpuaudit("mig", "pack", "a30", "1g.6gb+me=1", PYTHONIOENCODING="ascii")
    assert done.stdout.isascii()
    assert "+-----" in done.stdout
    assert "?" not in done.stdout


def test_pack_finds_the_cheapest_mix() -> None:
    data = answer("pack", "--gpu", "a100-80gb-sxm=3.43", "--gpu", "h100-nvl=5.88", "--gpu", "a30=1.10",
                  "1g.10gb=13", "3g.40gb=5", "3g.47gb=2")  # fmt: skip
    assert data["status"] == "optimal"
    assert data["usd_per_hour"] == pytest.approx(20.70)
    assert data["lower_bound_usd_per_hour"] <= data["usd_per_hour"]
    prices = {model["gpu"]: model["usd_per_gpu_hour"] for model in data["models"]}
    assert sum(prices[one["gpu"]] * one["count"] for one in data["layouts"]) == pytest.approx(data["usd_per_hour"])
    served = {name: sum(s["count"] for s in data["shares"] if s["request"] == name) for name in data["certificate"]}
    assert served == {"1g.10gb": 13, "3g.40gb": 5, "3g.47gb": 2}


def test_the_mix_is_set_beside_each_model_alone() -> None:
    done = gpuaudit("mig", "pack", "--gpu", "a100-80gb-sxm=3.43", "--gpu", "a30=1.1", "1g.10gb=3", "7g.80gb=1")
    assert "a100-80gb-sxm alone: $6.86" in done.stdout
    assert "a30 alone: cannot hold all of it" in done.stdout
    assert "an hour" in done.stdout


@pytest.mark.parametrize("count", [0, 100_000, 1_000_000_000])
def test_any_demand_has_a_proven_answer(count: int) -> None:
    data = answer("pack", "h100-80gb-sxm", f"1g.10gb={count}", f"3g.40gb={count}")
    assert (data["status"], data["gpus"]) == ("optimal", data["lower_bound"])


def test_profiles_lists_placements_and_stock_layouts() -> None:
    data = answer("profiles", "a100-80gb-sxm")
    assert data["layouts"]["without_variants"] == {"legal": 722, "maximal": 78, "patterns": 38, "undominated": 28}
    three = next(row for row in data["profiles"] if row["profile"] == "3g.40gb")
    assert (three["starts"], three["size"], three["memory_mib"]) == ([0, 4], 4, 40192)
    assert three["resource"] == "nvidia.com/mig-3g.40gb"
    assert data["stock_layouts"]["all-balanced"] == {"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1}
    text = gpuaudit("mig", "profiles", "rtx-pro-6000").stdout
    assert "{0,3,6,9}:3" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["a100-80gb-sxm", "1g.11gb=1"], "no profile '1g.11gb'"),
        (["a100-80gb-sxm", "1c.3g.40gb=1"], "no profile"),
        (["a100-80gb-sxm", "mig-1g.5gb=1"], "no profile"),
        (["l4", "1g.10gb=1"], "l4 has no MIG"),
        (["h100", "1g.10gb=1"], "h100-80gb-sxm, h100-80gb-pcie"),
        (["nonsense", "1g.10gb=1"], "no GPU model"),
        (["a100-80gb-sxm"], "no instances"),
        ([], "no GPU model named"),
        (["1g.10gb=1"], "no GPU model named"),
        (["a100-80gb-sxm", "1g.10gb"], "not PROFILE=N"),
        (["a100-80gb-sxm", "1g.10gb=1.5"], "not PROFILE=N"),
        (["a100-80gb-sxm", "1g.10gb=" + "9" * 5000], "not PROFILE=N"),
        (["a100-80gb-sxm", "1g.10gb=2000000000"], "too many"),
        (["--gpu", "a100-80gb-sxm", "1g.10gb=1"], "not GPU=USD"),
        (["--gpu", "a100-80gb-sxm=nan", "1g.10gb=1"], "not GPU=USD"),
        (["--gpu", "a30=1", "--gpu", "a30=2", "1g.6gb=1"], "given twice"),
        (["--gpu", "a30=1", "a30", "1g.6gb=1"], "not PROFILE=N"),
        (["--gpu", "a30=1", "1g.10gb=1"], "no profile '1g.10gb'"),
        (["a30", "1g.6gb=1", "-o", "yaml"], "output format"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_wrong_question_is_answered_in_two_lines(words: list[str], error: str) -> None:
    refused(gpuaudit("mig", "pack", *words), error)


def test_a_gpu_without_mig_has_no_profiles() -> None:
    refused(gpuaudit("mig", "profiles", "t4"), "t4 has no MIG")
    refused(gpuaudit("mig", "profiles", "h100"), "could be any of")
