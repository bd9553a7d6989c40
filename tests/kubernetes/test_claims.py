"""DRA: what claims hold and ask for, and extended resources that it serves. Facts are from Kubernetes' own API."""

import pytest

from tests.kubernetes.objects import GFD_A100, Tree, inventory, node, pod, the_pod, thing
from tests.kubernetes.test_cards import device, resource_slice
from tests.kubernetes.test_holdings import the_holding


def claim(name: str, *users: str, devices: tuple[str, ...] = (), allocated: bool = True, **request: object) -> Tree:
    """A resource claim in the form of v1; allocated unless said otherwise."""
    asked = {"name": "r", "exactly": {"deviceClassName": "gpu.nvidia.com", "count": max(1, len(devices))} | request}
    results = [
        {"request": "r", "driver": "gpu.nvidia.com", "pool": "n1", "device": d}
        | {k: v for k, v in request.items() if k == "adminAccess"}
        for d in devices
    ]
    status = {
        "allocation": {"devices": {"results": results}},
        "reservedFor": [{"resource": "pods", "name": user, "uid": f"pod-team-{user}"} for user in users],
    }
    return thing(
        "ResourceClaim",
        name,
        "resource.k8s.io/v1",
        spec={"devices": {"requests": [asked]}},
        status=status if allocated else {},
    )


def uses(*claims: str, name: str = "p1", **options: object) -> Tree:
    """A pod that uses claims by name."""
    rows = [{"name": f"c{i}", "resourceClaimName": claim} for i, claim in enumerate(claims)]
    return pod(name, spec={"resourceClaims": rows}, **options)


def test_dra_by_device() -> None:
    found = the_holding(
        node(), resource_slice([device(i) for i in range(4)]), claim("c", "p1", devices=("gpu-1",)), uses("c")
    )
    assert (found.kind, found.resource, found.count, found.gpus, found.devices) == (
        "dra",
        "gpu.nvidia.com",
        1,
        1.0,
        ("GPU-1",),
    )


def test_admin_access_holds_nothing() -> None:
    found = inventory(
        node(), resource_slice([device(0)]), claim("c", "p1", devices=("gpu-0",), adminAccess=True), uses("c")
    )
    assert found.pods == ()  # a monitoring pod is no GPU pod
    assert [item.admin for item in found.claims] == [True]


def test_a_shared_claim_counts_once() -> None:
    objects = [
        node(),
        resource_slice([device(0)]),
        claim("c", "p1", "p2", devices=("gpu-0",)),
        uses("c"),
        uses("c", name="p2"),
    ]
    assert [item.gpus for item in inventory(*objects).pods] == [0.5, 0.5]


def test_a_claim_that_a_template_made_is_found_by_the_status() -> None:
    item = pod(spec={"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]})
    item["status"]["resourceClaimStatuses"] = [{"name": "gpu", "resourceClaimName": "p1-gpu-x2z"}]
    found = the_holding(node(), resource_slice([device(0)]), claim("p1-gpu-x2z", "p1", devices=("gpu-0",)), item)
    assert found.devices == ("GPU-0",)


def test_claims_not_made_or_not_allocated_ask() -> None:
    template = thing(
        "ResourceClaimTemplate",
        "t",
        "resource.k8s.io/v1beta1",
        spec={"spec": {"devices": {"requests": [{"name": "r", "deviceClassName": "gpu.nvidia.com", "count": 2}]}}},
    )
    waits = pod(node_name=None, spec={"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]})
    found = inventory(template, waits)
    assert [(w.resource, w.gpus) for w in found.waiting] == [("gpu.nvidia.com", 2.0)]
    unallocated = inventory(claim("c", allocated=False), uses("c", node_name=None))
    assert [(w.resource, w.gpus) for w in unallocated.waiting] == [("gpu.nvidia.com", 1.0)]


def test_claims_of_other_devices_make_no_gpu_pod() -> None:
    network = thing(
        "ResourceClaim",
        "net",
        "resource.k8s.io/v1",
        spec={"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "dranet"}}]}},
        status={},
    )
    found = inventory(node(labels=GFD_A100, gpu=8), network, uses("net", requests={"cpu": "3"}))
    assert found.pods == ()
    assert [(t.workload, t.pods, t.cpu_cores) for t in found.nodes[0].tenants] == [("c/Pod/team/p1", 1, 3.0)]


def test_an_extended_resource_that_dra_serves_counts_once() -> None:
    item = pod(requests={"gpu": "1"}, status={"extendedResourceClaimStatus": {"resourceClaimName": "p1-extended"}})
    found = the_holding(node(), resource_slice([device(0)]), claim("p1-extended", "p1", devices=("gpu-0",)), item)
    assert (found.kind, found.gpus) == ("dra", 1.0)


EXTENDED = {"resourceClaimName": "p1-extended"}


MAPPED = EXTENDED | {
    "requestMappings": [{"containerName": "main", "resourceName": "nvidia.com/gpu", "requestName": "r"}]
}


@pytest.mark.parametrize("status", [EXTENDED, MAPPED])
@pytest.mark.parametrize("hosts", [[], [node()], [node(gpu=0)]], ids=["unreadable", "without", "zero"])
def test_an_extended_resource_that_dra_serves_counts_once_whatever_its_node_shows(
    hosts: list[Tree], status: Tree
) -> None:
    item = pod(requests={"gpu": "1"}, status={"extendedResourceClaimStatus": status})
    found = the_holding(*hosts, resource_slice([device(0)]), claim("p1-extended", "p1", devices=("gpu-0",)), item)
    assert (found.kind, found.gpus) == ("dra", 1.0)


def test_a_mapping_tells_what_a_device_plugin_gives_beside_it() -> None:
    item = pod(requests={"gpu": "1", "nvidia.com/mig-1g.5gb": "1"}, status={"extendedResourceClaimStatus": MAPPED})
    host = node(labels=GFD_A100, gpu=8, **{"nvidia.com/mig-1g.5gb": 7})
    found = the_pod(host, resource_slice([device(0)]), claim("p1-extended", "p1", devices=("gpu-0",)), item)
    assert sorted(one.kind for one in found.holdings) == ["dra", "mig"]


def test_pods_that_wait_for_one_claim_ask_once() -> None:
    pods = [uses("c", name=f"p{number}", node_name=None) for number in range(3)]
    waiting = inventory(claim("c", allocated=False), *pods).waiting
    assert sum(one.count for one in waiting) == pytest.approx(1.0)
    assert sum(one.gpus or 0.0 for one in waiting) == pytest.approx(1.0)


def test_of_alternatives_that_differ_it_is_unknown_which_is_held() -> None:
    alternatives = [
        {"name": "big", "deviceClassName": "gpu.nvidia.com"},
        {"name": "small", "deviceClassName": "mig.nvidia.com"},
    ]
    spec = {"devices": {"requests": [{"name": "r", "firstAvailable": alternatives}]}}

    def held(request: str) -> Tree:
        result = {"request": request, "driver": "gpu.nvidia.com", "pool": "n1", "device": "d"}
        status = {"allocation": {"devices": {"results": [result]}}, "reservedFor": [{"resource": "pods", "name": "p1"}]}
        return thing("ResourceClaim", "c", "resource.k8s.io/v1", spec=spec, status=status)

    assert the_holding(node(), held("r/big"), uses("c")).gpus == 1.0
    assert the_holding(node(), held("r/small"), uses("c")).gpus is None
    waits = inventory(
        thing("ResourceClaim", "c", "resource.k8s.io/v1", spec=spec, status={}), uses("c", node_name=None)
    )
    assert [w.gpus for w in waits.waiting] == [None]


def test_a_claim_that_a_pod_names_twice_is_one() -> None:
    (found,) = the_pod(
        node(), resource_slice([device(0)]), claim("c", "p1", devices=("gpu-0",)), uses("c", "c")
    ).holdings
    assert found.gpus == 1.0


def test_a_claim_reserved_for_a_group_of_pods_counts_once() -> None:
    shared = claim("c", devices=("gpu-0",))
    shared["status"]["reservedFor"] = [
        {"apiGroup": "scheduling.k8s.io", "resource": "podgroups", "name": "g", "uid": "u"}
    ]
    pods = [uses("c", name=f"p{i}") for i in range(4)]
    assert [item.gpus for item in inventory(node(), resource_slice([device(0)]), shared, *pods).pods] == [0.25] * 4


def test_a_template_of_which_no_claim_was_needed_asks_for_none() -> None:
    template = thing(
        "ResourceClaimTemplate",
        "t",
        "resource.k8s.io/v1",
        spec={"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu.nvidia.com"}}]}}},
    )
    item = pod(spec={"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]})
    item["status"]["resourceClaimStatuses"] = [{"name": "gpu"}]
    assert inventory(node(), template, item).pods == ()


@pytest.mark.parametrize("name", ["deviceclass.resource.kubernetes.io/gpu.nvidia.com", "example.com/card"])
def test_a_pod_that_asks_for_a_device_class_by_a_resource(name: str) -> None:
    known = thing("DeviceClass", "gpu.nvidia.com", "resource.k8s.io/v1", spec={"extendedResourceName": name})
    nic = thing(
        "DeviceClass", "nic.example.com", "resource.k8s.io/v1", spec={"extendedResourceName": "example.com/nic"}
    )
    others = pod("other", node_name=None, requests={"example.com/nic": "2"})
    (found,) = inventory(known, nic, pod(node_name=None, requests={name: "2"}), others).waiting
    assert (found.resource, found.count, found.gpus) == ("gpu.nvidia.com", 2.0, 2.0)


def test_of_a_claim_that_is_held_a_pod_asks_nothing_more() -> None:
    """Two pods share a claim: one runs, the other waits for a place beside it."""
    exactly = {"deviceClassName": "gpu.nvidia.com"}
    result = {"request": "r", "driver": "gpu.nvidia.com", "pool": "n1", "device": "gpu-0"}
    claim = thing(
        "ResourceClaim",
        "one",
        "resource.k8s.io/v1",
        spec={"devices": {"requests": [{"name": "r", "exactly": exactly}]}},
        status={"allocation": {"devices": {"results": [result]}}, "reservedFor": [{"resource": "pods", "name": "a"}]},
    )
    use = {"resourceClaims": [{"name": "g", "resourceClaimName": "one"}]}
    found = inventory(claim, pod("a", spec=use), pod("b", node_name=None, spec=use))
    assert found.waiting == ()
    assert {one.name: [held.gpus for held in one.holdings] for one in found.pods} == {"a": [1.0], "b": [0.0]}
    claim["status"]["reservedFor"] = [{"apiGroup": "scheduling.k8s.io", "resource": "podgroups", "name": "g"}]
    group = inventory(claim, pod("a", spec=use), pod("b", node_name=None, spec=use), pod("c", spec=use))
    assert {one.name: [held.gpus for held in one.holdings] for one in group.pods} == {
        "a": [0.5],
        "b": [0.0],
        "c": [0.5],
    }


@pytest.mark.parametrize("count", [-5, 0, 2**40])
def test_a_number_of_devices_that_no_server_takes_is_not_known(count: int) -> None:
    exactly = {"deviceClassName": "gpu.nvidia.com", "count": count}
    spec = {"devices": {"requests": [{"name": "r", "exactly": exactly}]}}
    claim = thing("ResourceClaim", "one", "resource.k8s.io/v1", spec=spec)
    use = {"resourceClaims": [{"name": "g", "resourceClaimName": "one"}]}
    (found,) = inventory(claim, pod(node_name=None, spec=use)).pods
    assert [(held.count, held.gpus) for held in found.holdings] == [(0.0, None)]


def test_a_server_that_claims_a_network_card_is_no_gpu_workload() -> None:
    def template(name: str, device_class: str) -> Tree:
        exactly = {"deviceClassName": device_class}
        spec = {"spec": {"devices": {"requests": [{"name": "r", "exactly": exactly}]}}}
        return thing("ResourceClaimTemplate", name, "resource.k8s.io/v1", spec=spec)

    def server(name: str) -> Tree:
        claims = [{"name": "x", "resourceClaimTemplateName": name}]
        spec = {"containers": [{"name": "m"}], "resourceClaims": claims}
        return thing("Deployment", name, "apps/v1", spec={"replicas": 0, "template": {"spec": spec}})

    templates = [template("nic", "nic.example.com"), template("gpu", "gpu.nvidia.com")]
    found = inventory(*templates, *map(server, ("nic", "gpu", "unknown"))).workloads
    assert [one.name for one in found] == ["gpu", "unknown"]
