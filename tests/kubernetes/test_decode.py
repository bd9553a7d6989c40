"""Text of kubectl and of the API server, hostile text too."""

import json
import subprocess
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit.collect.builder import InventoryBuilder
from gpuaudit.collect.decode import MalformedError, decode_page, decode_text
from gpuaudit.collect.kubernetes_types.pods import Pod
from tests.kubernetes.objects import inventory, node, pod, thing

GPU_POD = pod(requests={"gpu": "1"})


@pytest.mark.parametrize("kind", ["List", "PodList"])
@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
def test_lists_in_json_and_yaml(kind: str, write) -> None:
    items = [GPU_POD] if kind == "List" else [{k: v for k, v in GPU_POD.items() if k not in ("kind", "apiVersion")}]
    found = decode_text(write({"apiVersion": "v1", "kind": kind, "items": items}).encode())
    assert [(key, type(item), item.metadata.name) for key, item in found.objects] == [(("", "Pod"), Pod, "p1")]


def test_single_objects_and_several_documents() -> None:
    assert len(decode_text(json.dumps(GPU_POD).encode()).objects) == 1
    text = yaml.safe_dump_all([GPU_POD, node(), None, {"apiVersion": "v1", "kind": "List", "items": [pod("p2")]}])
    assert [key[1] for key, _ in decode_text(text.encode()).objects] == ["Pod", "Node", "Pod"]


def test_a_broken_object_is_counted_and_named_and_no_other_is_lost() -> None:
    broken = pod("bad") | {"spec": {"containers": "none"}}
    builder = InventoryBuilder("c")
    body = json.dumps(
        {"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": "x"}, "items": [GPU_POD, broken, 7]}
    )
    assert builder.add_page(body.encode(), ("", "Pod")).continue_ == "x"
    found = builder.finish()
    assert [item.name for item in found.pods] == ["p1"]
    assert "2 objects could not be read" in found.notes[0]
    assert "Pod/team/bad" in found.notes[0]


@pytest.mark.parametrize(
    "value",
    [
        {"labels": {"a": 1}},
        {"name": []},
        {"creationTimestamp": "yesterday"},
        {"creationTimestamp": "2026-11-23T00:00:00"},
    ],
)
def test_values_of_another_type_break_one_object(value: dict[str, object]) -> None:
    found = inventory(GPU_POD, pod("bad", meta=value))
    assert [item.name for item in found.pods] == ["p1"]
    assert len(found.notes) == 1


@pytest.mark.parametrize("cut", [1, 2, 10, 0.5, 0.99])
def test_truncated_answers_give_nothing(cut: float) -> None:
    body = json.dumps({"kind": "PodList", "items": [GPU_POD] * 3}).encode()
    with pytest.raises(MalformedError):
        decode_page(body[: -int(cut) if cut >= 1 else int(len(body) * cut)], ("", "Pod"))


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b"- " * 100_000,
        b"? " * 100_000,
        b'{"a":' * 100_000,
        b"kind: Pod\na: &x [1, 2]\nb: [*x, *x]\n",
        b"kind: [1]\n",
        b"just words",
        b"- 1\n- 2\n",
        b"kind: Pod\n\x00",
        b"\xff\xfe\x00",
        b"!!python/object/apply:os.system [x]",
    ],
)
def test_hostile_text_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_text(text)


def test_an_empty_list_is_no_error() -> None:
    assert decode_text(b'{"kind": "List", "apiVersion": "v1", "items": []}').objects == []


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KINDS = [
    "Pod",
    "Node",
    "Deployment",
    "ResourceSlice",
    "ScaledObject",
    "Workload",
    "Queue",
    "ConfigMap",
    "Event",
    "NodePool",
]
GROUPS = {
    "Deployment": "apps/v1",
    "ResourceSlice": "resource.k8s.io/v1",
    "ScaledObject": "keda.sh/v1alpha1",
    "Workload": "kueue.x-k8s.io/v1beta2",
    "Queue": "scheduling.volcano.sh/v1beta1",
    "NodePool": "karpenter.sh/v1",
}


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(KINDS), spec=TREES, status=TREES, labels=TREES)
def test_no_object_whatsoever_breaks_the_inventory(kind: str, spec: object, status: object, labels: object) -> None:
    odd = thing(
        kind, "odd", GROUPS.get(kind, "v1"), spec=spec, status=status, meta={"labels": labels, "annotations": labels}
    )
    found = inventory(node(gpu=8), GPU_POD, odd)
    assert "p1" in [item.name for item in found.pods]


RACE = """
import sys, threading
sys.setswitchinterval(1e-6)
from gpuaudit.collect.decode import TYPES, decode_page
start = threading.Barrier(4)
def work(number):
    start.wait()
    for kind in [*list(TYPES)[number::4], *TYPES]:
        decode_page(b'{"items":[{"metadata":{"name":"a"}}]}', kind)
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("done")
"""


def test_threads_that_decode_their_first_pages_at_once_do_not_crash() -> None:
    """Types that msgspec has only half described crash a process; nearly every run of this did."""
    done = subprocess.run([sys.executable, "-c", RACE], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
