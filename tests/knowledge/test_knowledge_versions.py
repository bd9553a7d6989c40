"""Drivers and engines: versions are read as they are written, ends and reasons are dated and sourced."""

from datetime import date

import pytest

from gpuaudit.knowledge import drivers, engine_versions, systems


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("vllm/vllm-openai:v0.8.5", (0, 8, 5)),
        ("r.example.com:5000/vllm/vllm-openai:v0.8.5.post1", (0, 8, 5)),
        ("nvcr.io/nvidia/tritonserver:25.06-py3", (25, 6)),
        ("lmsysorg/sglang:v0.5.2-cu126", (0, 5, 2)),
        ("vllm/vllm-openai:v0.11.0@sha256:" + "a" * 64, (0, 11, 0)),
        ("vllm/vllm-openai:latest", None),
        ("vllm/vllm-openai@sha256:" + "a" * 64, None),
        ("vllm/vllm-openai:v0.11.0rc1", None),
        ("vllm/vllm-openai:" + "9" * 400, None),
        ("", None),
    ],
)
def test_a_version_is_what_the_tag_says(image: str, version: tuple[int, ...] | None) -> None:
    assert engine_versions.version_of_image(image) == version


def test_an_engine_is_known_by_images_whose_tags_are_its_version() -> None:
    assert engine_versions.engine_of_image("mirror/vllm/vllm-openai:v1") == "vllm"
    assert engine_versions.engine_of_image("registry.example.com/ml/vllm:0.3") is None
    assert engine_versions.engine_of_image("ghcr.io/llm-d/llm-d:v0.2") is None


def test_reasons_hold_up_to_the_version_that_mends_them() -> None:
    mended = {one.below for one in engine_versions.reasons("vllm", (0, 10, 2))}
    assert mended == {"0.11.0", "0.14.1"}
    assert not list(engine_versions.reasons("vllm", (0, 14, 1)))
    assert not list(engine_versions.reasons("no-such", (0, 1)))


@pytest.mark.parametrize("engine", ["vllm", "triton"])
def test_reasons_speak_of_known_systems(engine: str) -> None:
    assert systems.by_key(engine)
    for reason in engine_versions.reasons(engine, (0, 6, 0)):
        assert reason.what
        assert reason.source


def test_servers_are_found_by_key_image_or_command() -> None:
    table = engine_versions.inefficient()
    plain = next(one for one in table.server if not one.key and one.images)
    assert plain.matches(engine=None, image="huggingface/transformers-pytorch-gpu:4.41.2", words="")
    assert not plain.matches(engine="vllm", image="vllm/vllm-openai:v0.11.0", words="vllm serve m")
    assert not {one.key for one in table.server} & set(table.better)


def test_branches_end() -> None:
    assert (branch := drivers.branch_of("570.172.08"))
    assert not branch.ended(date(2026, 2, 28))
    assert branch.ended(date(2026, 3, 1))
    assert drivers.branch_of("999.1.1") is None
    assert drivers.branch_of(None) is None
    assert [one.number for one in drivers.supported(date(2026, 11, 23))] == [620, 580, 595]
    assert not drivers.supported(date(2040, 1, 1))


@pytest.mark.parametrize("text", ["", "latest", "570", "570.", "570.1.2.3.4.5", "５７０.1", "1" * 99])
def test_a_text_that_is_no_driver_version_is_none(text: str) -> None:
    assert drivers.version_of(text) is None
    assert drivers.known_bad(text) == ()
