"""Groups of Volcano that are many beside few pods, and what is neither HAMi's nor a GPU's."""

from tests.kubernetes.objects import GFD_A100, Tree, inventory, node, owned_by, pod, thing
from tests.kubernetes.queues import GPU, NO_QUOTA, kueue, refusal, sums, volcano

TEMPLATE = {"spec": {"containers": [{"name": "m", "resources": {"requests": GPU}}]}}


def made_by(owner: Tree) -> Tree:
    return {"ownerReferences": [owned_by(owner)]}


def test_groups_of_old_replica_sets_ask_for_no_more_than_the_deployment_lacks() -> None:
    deployment = thing("Deployment", "d", "apps/v1", spec={"replicas": 4, "template": TEMPLATE})
    sets = [thing("ReplicaSet", f"d-{n}", "apps/v1", owner=deployment) for n in range(4)]
    pods = [pod(f"d-3-{n}", requests=GPU, meta=made_by(sets[3])) for n in range(3)]
    old = [volcano("Inqueue", 4, 1, sets[n], name=f"pg{n}") for n in range(3)]
    cluster = (node(gpu=64), deployment, *sets, *pods, *old)
    assert sums(*cluster) == (4.0, 1)
    assert sums(*cluster, refusal("ReplicaSet", "d-3")) == (4.0, 1)


def test_a_group_of_one_pod_does_not_hide_that_a_quota_refused_more() -> None:
    wanted = thing("StatefulSet", "s", "apps/v1", spec={"replicas": 3, "template": TEMPLATE})
    for phase in ("Inqueue", "Pending"):
        assert sums(wanted, volcano(phase, 4, 1, wanted), refusal("StatefulSet", "s")) == (12.0, 3)


def test_several_groups_of_one_owner_count_each() -> None:
    owner = thing("LeaderWorkerSet", "l", "leaderworkerset.x-k8s.io/v1", spec={"replicas": 3})
    groups = [volcano("Pending", 8, 2, owner, name=f"l-{n}") for n in range(3)]
    assert sums(owner, *groups) == (24.0, 6)


def test_a_card_is_a_card_on_nodes_of_hami_and_others() -> None:
    shared = node(
        "h",
        annotations={"hami.io/node-nvidia-register": "GPU-1,10,40960,100,NVIDIA-A100,0,true:"},
        gpu=10,
    )
    waiting = pod("w", node_name=None, requests={"nvidia.com/gpu": "1"})
    (found,) = inventory(shared, node("n", labels=GFD_A100, gpu=8), waiting).waiting
    assert (found.count, found.gpus) == (1.0, 1.0)


def test_a_class_of_other_devices_is_no_demand_for_gpus() -> None:
    group = volcano("Pending", 0, 2)
    group["spec"]["minResources"] = {"deviceclass.resource.kubernetes.io/nic.example.com": "8"}
    assert sums(group) == (0, 0)


def test_a_claim_that_many_name_counts_once() -> None:
    asked = {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu.nvidia.com", "count": 4}}]}}
    claim = thing("ResourceClaim", "c", "resource.k8s.io/v1", spec=asked)
    spec = {"containers": [{"name": "m"}], "resourceClaims": [{"name": "g", "resourceClaimName": "c"}]}
    work = [kueue(name, None, NO_QUOTA) for name in ("v", "w")]
    for one in work:
        one["spec"]["podSets"] = [{"name": name, "count": 1, "template": {"spec": spec}} for name in "ab"]
    assert sums(claim, *work)[0] == 4.0


def test_gpus_that_are_added_at_admission_count_as_the_refusal_names_them() -> None:
    bare = {"parallelism": 1, "template": {"spec": {"containers": [{"name": "m"}]}}}
    cron = thing("CronJob", "n", "batch/v1", spec={"schedule": "5 1 * * *", "jobTemplate": {"spec": bare}})
    job = thing("Job", "n-1", "batch/v1", owner=cron, spec=bare)
    assert sums(cron, job, refusal("Job", "n-1")) == (4.0, 1)
