"""Objects in any order, from several inputs, in any number."""

import json
import random

import pytest
import yaml

from gpuaudit.collect.builder import InventoryBuilder
from gpuaudit.collect.inventory import Inventory, join
from tests.kubernetes.objects import GFD_A100, Tree, inventory, node, owned_by, pod, thing
from tests.kubernetes.replay import capture, names


def from_inputs(*inputs: list[Tree]) -> Inventory:
    builder = InventoryBuilder("c")
    for objects in inputs:
        builder.add_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).encode())
    return builder.finish()


def versioned(item: Tree, version: int) -> Tree:
    """The object under a resource version."""
    return item | {"metadata": item["metadata"] | {"resourceVersion": str(version)}}


def cluster() -> list[Tree]:
    deployment = thing("Deployment", "web", "apps/v1", spec={"replicas": 1})
    replicas = thing("ReplicaSet", "web-1", "apps/v1", owner=deployment)
    owner = {"ownerReferences": [owned_by(replicas)]}
    return [
        thing("Namespace", "kube-system", namespace="", meta={"uid": "u-1", "namespace": ""}),
        node(labels=GFD_A100, gpu=8),
        node("n2"),
        deployment,
        replicas,
        pod("g", requests={"gpu": "2", "cpu": "4", "memory": "1Gi"}, meta=owner),
        pod("c1", requests={"cpu": "1500m", "memory": "2Gi"}, meta=owner),
        pod("c2", requests={"cpu": "500m"}, meta=owner),
        pod("c3", node_name="n2", requests={"cpu": "3"}),
        pod("c4", requests={"cpu": "9"}, status={"phase": "Succeeded"}),
    ]


def test_every_pod_counts_on_its_node_and_only_gpu_pods_are_kept() -> None:
    found = inventory(*cluster())
    gpu, plain = found.nodes
    assert [item.name for item in found.pods] == ["g"]
    assert (gpu.cpu_requested_cores, gpu.memory_requested_bytes, gpu.pods_bound) == (6.0, 3 * 2**30, 3)
    assert (plain.cpu_requested_cores, plain.pods_bound, plain.tenants) == (3.0, 1, ())
    assert [(t.workload, t.pods, t.cpu_cores, t.daemon) for t in gpu.tenants] == [
        ("c/Deployment/team/web", 2, 2.0, False)
    ]
    assert (found.clusters[0].uid, found.clusters[0].listed) == ("u-1", True)


def test_the_order_of_objects_does_not_matter() -> None:
    expected = inventory(*cluster())
    for seed in range(8):
        shuffled = cluster()
        random.Random(seed).shuffle(shuffled)
        assert inventory(*shuffled) == expected


def test_the_same_objects_twice_count_once() -> None:
    once, twice = inventory(*cluster()), from_inputs(cluster(), cluster())
    assert (twice.nodes, twice.pods, twice.workloads) == (once.nodes, once.pods, once.workloads)
    assert twice.notes[0].endswith("objects stand in more than one input; no two differed")


def test_the_newer_of_two_inputs_counts_whichever_comes_first() -> None:
    older = [versioned(pod("g", requests={"gpu": "2"}), 9), versioned(pod("c", requests={"cpu": "1"}), 9)]
    newer = [
        versioned(pod("g", requests={"gpu": "2"}, status={"phase": "Failed"}), 10),
        versioned(pod("c", requests={"cpu": "5"}), 10),
    ]
    for inputs in ((older, newer), (newer, older)):
        found = from_inputs([node(gpu=8)], *inputs)
        assert not found.pods[0].holds
        assert found.nodes[0].cpu_requested_cores == 5.0
        assert "2 differed and the newer was used" in found.notes[0]


def test_a_pod_that_ended_in_the_newer_input_leaves_its_node() -> None:
    older, newer = pod("c", requests={"cpu": "4"}), pod("c", requests={"cpu": "4"}, status={"phase": "Succeeded"})
    found = from_inputs([node(gpu=8), versioned(older, 1)], [versioned(newer, 2)])
    assert (found.nodes[0].cpu_requested_cores, found.nodes[0].pods_bound) == (0.0, 0)


def test_without_pods_their_sums_are_unknown() -> None:
    found = inventory(node(labels=GFD_A100, gpu=8)).nodes[0]
    assert (found.cpu_requested_cores, found.pods_bound, found.tenants) == (None, None, ())


def test_pods_of_the_same_name_in_two_namespaces_are_two() -> None:
    found = inventory(node(gpu=8), pod("x", requests={"cpu": "1"}), pod("x", namespace="other", requests={"cpu": "2"}))
    assert found.nodes[0].cpu_requested_cores == 3.0


def test_objects_of_two_clusters_are_noticed() -> None:
    spaces = [thing("Namespace", "kube-system", meta={"uid": uid, "namespace": ""}) for uid in ("a", "b")]
    builder = InventoryBuilder("c")
    for space in spaces:
        builder.add_text(json.dumps(space).encode())
    assert builder.cluster_uids == {"a", "b"}
    assert any("2 clusters are mixed" in note for note in builder.finish().notes)


def test_the_newest_time_is_of_any_object() -> None:
    event = thing(
        "Event", "e", lastTimestamp="2026-11-23T16:45:13Z", involvedObject={"kind": "Node", "name": "n1"}, reason="X"
    )
    found = inventory(pod(requests={"gpu": "1"}, meta={"creationTimestamp": "2026-11-20T00:00:00Z"}), event)
    assert found.newest
    assert found.newest.isoformat() == "2026-11-23T16:45:13+00:00"
    assert inventory(node()).newest is None


def test_joined_clusters_keep_all_and_say_the_newest() -> None:
    one = InventoryBuilder("a")
    one.add_text(json.dumps(node()).encode())
    both = join(
        [one.finish(), inventory(pod(requests={"gpu": "1"}, meta={"creationTimestamp": "2026-11-20T00:00:00Z"}))]
    )
    assert [item.name for item in both.clusters] == ["a", "c"]
    assert both.provides == ("nodes", "pods")
    assert both.newest is not None


def test_only_what_a_rule_may_need_is_kept_of_annotations_and_configuration() -> None:
    secret = thing("ConfigMap", "app", data={"password": "x"})
    mig = thing("ConfigMap", "default-mig-parted-config", data={"config.yaml": "version: v1\nmig-configs: {}\n"})
    dashboard = thing(
        "ConfigMap",
        "d",
        meta={"labels": {"grafana_dashboard": "1"}},
        data={"d.json": '{"title":"GPU","x":[{"expr":"up"}]}'},
    )
    found = inventory(secret, mig, dashboard, thing("Secret", "s", data={"token": "x"}))
    assert [item.name for item in found.custom_objects] == ["d", "default-mig-parted-config"]
    assert json.loads(found.custom_objects[0].fields["dashboard.d.json"]) == {"titles": ["GPU"], "expressions": ["up"]}
    assert {"dashboards", "mig_configs"} <= set(found.provides)
    assert "1 Secret" in found.notes[0]
    assert "token" not in repr(found)


def test_configurations_of_mig_and_sharing_are_read_under_any_name() -> None:
    mig = thing("ConfigMap", "ours", data={"config.yaml": "version: v1\nmig-configs: {}\n", "note": "secret"})
    sharing = "version: v1\nsharing:\n  timeSlicing:\n    resources:\n    - name: nvidia.com/gpu\n      replicas: 4\n"
    plugin = thing("ConfigMap", "plugin", data={"any": sharing})
    app = thing("ConfigMap", "app", data={"a.yaml": "version: v1\nsharing: {password: x}\n"})
    found = inventory(mig, plugin, app)
    assert [(item.name, sorted(item.fields)) for item in found.custom_objects] == [
        ("ours", ["data.config.yaml"]),
        ("plugin", ["data.any"]),
    ]
    assert "mig_configs" in found.provides


def test_how_long_a_mig_state_stands_is_told_by_who_wrote_it() -> None:
    labels = {"nvidia.com/mig.config.state": "pending"}
    writers = [
        {"manager": "kubelet", "time": "2026-11-01T00:00:00Z", "fieldsV1": {"f:status": {}}},
        {
            "manager": "nvidia-mig-manager",
            "time": "2026-11-02T00:00:00Z",
            "fieldsV1": {"f:metadata": {"f:labels": {"f:nvidia.com/mig.config.state": {}}}},
        },
    ]
    written = node("a", labels=labels)
    written["metadata"]["managedFields"] = writers
    told = inventory(written, node("b", labels=labels))
    assert [one.mig_state_since and one.mig_state_since.day for one in told.nodes] == [2, None]


def test_the_newest_version_of_a_controller_decides_in_any_order() -> None:
    """Also where of the newest nothing is kept: it asks for no GPU any more, and runs no engine."""
    gpu = {
        "containers": [{"name": "m", "image": "vllm/vllm-openai:v1", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]
    }
    plain = {"containers": [{"name": "m", "image": "nginx:1"}]}
    older = versioned(thing("Deployment", "web", "apps/v1", spec={"replicas": 1, "template": {"spec": gpu}}), 1)
    newer = versioned(thing("Deployment", "web", "apps/v1", spec={"replicas": 1, "template": {"spec": plain}}), 2)
    for inputs in ([[older], [newer]], [[newer], [older]], [[older, newer, older]]):
        found = from_inputs(*inputs)
        assert found.workloads == ()
        assert [system.key for system in found.systems if system.key == "vllm"] == []
    assert len(from_inputs([newer], [versioned(older, 3)]).workloads) == 1


def test_an_ended_pod_there_is_no_room_for_ends_the_one_that_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuaudit.collect.gather.pods._room_for_ended", lambda state: False)
    running = versioned(pod("g", requests={"gpu": "2"}), 1)
    ended = versioned(pod("g", requests={"gpu": "2"}, status={"phase": "Succeeded"}), 2)
    for inputs in ([[running], [ended]], [[ended], [running]]):
        found = from_inputs([node(labels=GFD_A100, gpu=8)], *inputs)
        assert found.pods == ()
        assert found.nodes[0].pods_bound == 0


def test_a_tenant_whose_pod_asks_for_more_than_any_node_has() -> None:
    builder = InventoryBuilder("c")
    builder.add_text(json.dumps(pod(requests={"gpu": "9E"})).encode())
    builder.within(("", "Pod"), ["team"])
    (found,) = builder.finish().nodes
    assert len(found.cards) < 1000


def numbers(tree: object, value: object) -> object:
    """The tree with this in place of every number, also where a text is one."""
    if isinstance(tree, dict):
        return {key: numbers(item, value) for key, item in tree.items()}
    if isinstance(tree, list):
        return [numbers(item, value) for item in tree]
    if isinstance(tree, str) and tree.isdecimal():
        return str(value)
    return value if isinstance(tree, int | float) and not isinstance(tree, bool) else tree


def recorded() -> list[Tree]:
    """All objects of the recorded cluster, as kubectl printed them."""
    texts = [capture(name) for name in names("dump/") if name.endswith((".json", ".yaml"))]
    return [item for text in texts for whole in yaml.load_all(text, yaml.CSafeLoader) for item in whole["items"]]


ODD = [10**400, -(10**400), 2**63, -(2**63), 2**31, -1, 0, 1e308]


@pytest.mark.parametrize("value", ODD, ids=lambda one: f"{str(one)[:3]} of {len(str(one))}")
def test_numbers_of_any_length_end_nothing(value: object) -> None:
    """Each recorded object comes as it is, and with other numbers: what cannot be read is named, no other is lost."""
    objects = recorded()
    changed = [numbers(item, value) for item in objects]
    for item in changed:
        assert isinstance(item, dict)
        item["metadata"] |= {"name": f"{item['metadata']['name']}-changed", "uid": ""}
    found = from_inputs(objects, changed)
    assert len([node for node in found.nodes if not node.name.endswith("-changed")]) == 35
    assert len([pod for pod in found.pods if not pod.name.endswith("-changed")]) == 77


def test_configuration_beyond_the_bound_is_said_and_a_list_that_starts_over_counts_once() -> None:
    text = "version: v1\nmig-configs: {}\n" + "#" * 65_000
    maps = [thing("ConfigMap", f"parted-{i}", data={"config.yaml": text}) for i in range(40)]
    whole = from_inputs(maps)
    kept = [one.name for one in whole.custom_objects if one.kind == "ConfigMap"]
    assert 20 < len(kept) < 40
    assert f"{40 - len(kept)} ConfigMaps beyond the bound were left out" in whole.notes
    builder = InventoryBuilder("c")
    page = json.dumps({"kind": "ConfigMapList", "apiVersion": "v1", "items": maps[: len(kept)]}).encode()
    builder.add_page(page, ("", "ConfigMap"))
    builder.start_over(("", "ConfigMap"))
    builder.add_page(page, ("", "ConfigMap"))
    again = builder.finish()
    assert [one.name for one in again.custom_objects] == kept
    assert not any("beyond the bound" in note for note in again.notes)


def test_a_list_that_starts_over_is_no_second_input() -> None:
    """Of a Deployment without a GPU nothing is kept; that it came is."""
    builder = InventoryBuilder("c")
    items = [versioned(thing("Deployment", f"web-{i}", "apps/v1", spec={"replicas": 1}), 7) for i in range(3)]
    page = json.dumps({"kind": "DeploymentList", "apiVersion": "apps/v1", "items": items}).encode()
    for namespace in (None, "team"):
        builder.add_page(page, ("apps", "Deployment"))
        builder.start_over(("apps", "Deployment"), namespace)
    builder.add_page(page, ("apps", "Deployment"))
    assert builder.finish().notes == ()
