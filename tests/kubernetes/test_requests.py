"""Requests as the scheduler counts them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit.collect.objects.quantities import quantity
from tests.kubernetes.objects import container, node, pod, the_pod

GPU = "nvidia.com/gpu"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100m", 0.1),
        ("95410m", 95.41),
        ("1", 1.0),
        (8, 8.0),
        ("1k", 1000.0),
        ("1Ki", 1024.0),
        ("1Gi", 2.0**30),
        ("1.5Gi", 1.5 * 2**30),
        ("12e6", 12e6),
        ("12E6", 12e6),
        ("1E", 1e18),
        ("1Ei", 2.0**60),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1", -1.0),
        ("1n", 1e-9),
        ("", None),
        ("1 Gi", None),
        ("1gb", None),
        ("NaN", None),
        ("1e999", None),
        ("0x10", None),
    ],
)
def test_quantity(text: str | int, value: float | None) -> None:
    assert quantity(text) == (None if value is None else pytest.approx(value))


def test_init_containers_count_by_their_peak() -> None:
    found = the_pod(
        node(gpu=8),
        pod(
            containers=[container({"gpu": "1", "cpu": "2"}), container({"gpu": "1", "cpu": "1"}, "other")],
            init=[container({"gpu": "4", "cpu": "1"}, "fetch"), container({"cpu": "500m"}, "check")],
        ),
    )
    assert found.requests == {GPU: 4.0, "cpu": 3.0}


def test_sidecars_run_beside_containers_and_later_init_containers() -> None:
    """KEP-753: an init container that restarts always stays; those after it come on top, those before it do not."""
    found = the_pod(
        node(gpu=8),
        pod(
            containers=[container({"gpu": "1", "cpu": "1"})],
            init=[
                container({"cpu": "8"}, "before"),
                container({"cpu": "2"}, "sidecar", restartPolicy="Always"),
                container({"cpu": "7"}, "after"),
            ],
        ),
    )
    assert found.requests["cpu"] == 9.0  # 2 + 7, more than 8 alone and than 1 + 2 running
    assert [c.sidecar for c in found.containers if c.init] == [False, True, False]


def test_overhead_and_pod_level_resources() -> None:
    found = the_pod(
        node(gpu=8),
        pod(
            containers=[container({"gpu": "1", "cpu": "1", "memory": "1Gi"})],
            spec={"overhead": {"cpu": "250m"}, "resources": {"requests": {"cpu": "4"}}},
        ),
    )
    assert found.requests["cpu"] == 4.25  # the pod's own figure replaces the containers' sum; overhead comes on top
    assert found.requests["memory"] == 2.0**30
    assert found.requests[GPU] == 1.0


def test_a_limit_stands_in_for_a_missing_request() -> None:
    found = the_pod(node(gpu=8), pod(containers=[{"name": "m", "resources": {"limits": {GPU: "2", "cpu": "3"}}}]))
    assert found.requests == {GPU: 2.0, "cpu": 3.0}


AMOUNTS = st.dictionaries(st.sampled_from(["cpu", "memory", GPU]), st.integers(0, 50), max_size=3)


@settings(max_examples=60, deadline=None)
@given(
    containers=st.lists(AMOUNTS, min_size=1, max_size=4),
    init=st.lists(st.tuples(AMOUNTS, st.booleans()), max_size=4),
)
def test_requests_are_never_below_what_runs_and_never_above_everything_together(
    containers: list[dict[str, int]], init: list[tuple[dict[str, int], bool]]
) -> None:
    parts = [container({k: str(v) for k, v in one.items()} | {GPU: "1"}, f"c{i}") for i, one in enumerate(containers)]
    starts = [
        container({k: str(v) for k, v in one.items()}, f"i{i}", **({"restartPolicy": "Always"} if stays else {}))
        for i, (one, stays) in enumerate(init)
    ]
    found = the_pod(node(gpu=8), pod(containers=parts, init=starts)).requests
    for name in ("cpu", "memory"):
        running = sum(one.get(name, 0) for one in containers) + sum(one.get(name, 0) for one, stays in init if stays)
        everything = sum(one.get(name, 0) for one in containers) + sum(one.get(name, 0) for one, _ in init)
        peak = max([one.get(name, 0) for one, _ in init], default=0)
        assert max(running, peak) <= found.get(name, 0.0) <= everything
