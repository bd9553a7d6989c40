from datetime import timedelta

import pytest

from gpuaudit import store
from tests.captures import NOW, UTIL, collect, hours, listed, namespace, node, pod, series, source, write


def test_metrics_without_nodes(tmp_path):
    held = {"namespace": "ml", "pod": "train-0", "container": "main"}
    text = series(UTIL, "a", 0, hours(48, 50), **held) + series(UTIL, "b", 0, hours(24, 0), namespace="", pod="")
    taken = collect(write(tmp_path, metrics=text))
    assert [(one.name, one.listed, one.gpus) for one in taken.nodes] == [("a", False, 1), ("b", False, 1)]
    assert [one.listed for one in taken.clusters] == [False]
    assert taken.nodes[0].cards[0].uuid == "GPU-a-0"
    assert taken.nodes[0].cards[0].model == "h100-80gb-sxm"
    assert taken.nodes[0].gone is None
    assert taken.present_seconds(taken.nodes[1]) == pytest.approx(24 * 3600, abs=301)
    assert taken.join_ratio is None
    assert [one.id for one in taken.workloads] == ["cluster/Pod/ml/train-0"]
    assert source(taken, "kubernetes").status == "absent"
    assert "nodes" not in taken.facts


def test_nodes_without_metrics(tmp_path):
    taken = collect(write(tmp_path, nodes=listed(node("a")), pods=listed(pod("p", "a"))))
    assert not taken.usage
    assert taken.held_gpus(taken.nodes[0]) == 8
    assert source(taken, "metrics").status == "absent"


def test_a_cluster_without_gpus(tmp_path):
    taken = collect(write(tmp_path, nodes=listed(node("a", gpus=0)), pods=listed(pod("p", "a", gpus=0))))
    assert [one.gpus for one in taken.nodes] == [0]
    assert taken.gpu_nodes == ()


def test_metrics_of_another_cluster_are_refused(tmp_path):
    lines = "".join(series(UTIL, f"other{n}", 0, hours(30, 50)) for n in range(3))
    taken = collect(write(tmp_path, nodes=listed(node("a")), metrics=lines + series(UTIL, "a", 0, hours(30, 5))))
    assert taken.join_ratio == pytest.approx(0.25)
    assert source(taken, "metrics").status == "failed"
    assert "25 %" in source(taken, "metrics").detail
    assert not taken.usage
    assert [one.name for one in taken.nodes] == ["a"]
    assert "utilization" not in taken.facts


def test_a_node_that_is_gone_stays_in_the_bill(tmp_path):
    lines = "".join(series(UTIL, f"n{n}", 0, hours(48, 50)) for n in range(19))
    gone = series(UTIL, "old", 0, hours(10, 50, end=NOW - timedelta(hours=20)))
    taken = collect(write(tmp_path, nodes=listed(*(node(f"n{n}", gpus=1) for n in range(19))), metrics=lines + gone))
    old = taken.node_by_key[("cluster", "old")]
    assert (old.listed, old.gone) == (False, NOW - timedelta(hours=20))
    assert old not in taken.gpu_nodes
    assert taken.present_seconds(old) == pytest.approx(10 * 3600, abs=301)
    assert taken.join_ratio == pytest.approx(0.95)


def test_hosts_may_be_named_otherwise(tmp_path):
    listed_node = node("ip-10-0-0-7.ec2.internal", gpus=1, **{"kubernetes.io/hostname": "blade7"})
    listed_node["status"]["addresses"] = [{"type": "InternalIP", "address": "10.0.0.7"}]
    for host in ("ip-10-0-0-7", "10.0.0.7", "blade7", "ip-10-0-0-7.ec2.internal"):
        folder = write(tmp_path / host, nodes=listed(listed_node), metrics=series(UTIL, host, 0, hours(2, 50)))
        taken = collect(folder)
        assert [one.name for one in taken.nodes] == ["ip-10-0-0-7.ec2.internal"]
        assert taken.nodes[0].cards[0].uuid == f"GPU-{host}-0"
        assert taken.join_ratio == 1
        assert set(taken.usage.devices["node"]) == {"ip-10-0-0-7.ec2.internal"}


def test_holdings_tell_the_owner_where_metrics_do_not(tmp_path):
    lines = "".join(series(UTIL, "a", n, hours(72, 50)) for n in range(8))
    lines += "".join(series(UTIL, "b", n, hours(72, 50)) for n in range(8))
    pods = [pod("p", "a", started=NOW - timedelta(hours=24)), pod("q", "b", gpus=7)]
    taken = collect(write(tmp_path, nodes=listed(node("a"), node("b")), pods=listed(*pods), metrics=lines))
    hourly = taken.usage.hourly
    on_a = hourly[hourly["device"].str.startswith("GPU-a-")]
    assert set(hourly[hourly["device"].str.startswith("GPU-b-")]["owner"]) == {"?"}
    before = on_a["hour"] < NOW - timedelta(hours=24)
    assert set(on_a[before]["owner"]) == {"?"}
    assert set(on_a[~before]["owner"]) == {"cluster/Pod/ml/p"}
    devices = taken.usage.devices.set_index(["device", "owner"])
    told = devices.loc[("GPU-a-0", "cluster/Pod/ml/p")]
    assert told["samples"] == pytest.approx(24 * 12, abs=12)
    assert told["util_max"] == pytest.approx(0.5)
    assert told["util_p95"] != told["util_p95"]
    assert told["pod"] == "p"
    total = devices.loc["GPU-a-0"]["samples"].sum()
    assert total == pytest.approx(72 * 12)


def test_clusters_in_folders(tmp_path):
    for name in ("prod", "staging"):
        folder = write(
            tmp_path / name, nodes=listed(node("n1", uid=f"{name}-1", gpus=1)), pods=listed(pod("p", "n1", gpus=1))
        )
        write(folder, metrics=series(UTIL, "n1", 0, hours(2, 50), UUID=f"GPU-{name}"))
    taken = collect(tmp_path)
    assert [one.name for one in taken.clusters] == ["prod", "staging"]
    assert [one.key for one in taken.nodes] == [("prod", "n1"), ("staging", "n1")]
    assert [one.cards[0].uuid for one in taken.nodes] == ["GPU-prod", "GPU-staging"]
    assert {one.workload for one in taken.pods} == {"prod/Pod/ml/p", "staging/Pod/ml/p"}
    assert collect(tmp_path / "prod").clusters[0].name == "cluster"
    assert collect(tmp_path / "prod", cluster_name="prod").clusters[0].name == "prod"
    astray = write(tmp_path / "astray", pods=listed(pod("q", "n1")))
    lost = collect(tmp_path / "prod", tmp_path / "staging", astray)
    assert "could be of any of the clusters prod, staging" in source(lost, "astray/pods").detail


def test_the_cluster_label_tells_clusters_apart(tmp_path):
    lines = series(UTIL, "n1", 0, hours(2, 50), cluster="eu") + series(UTIL, "n9", 0, hours(2, 50), cluster="us")
    alone = collect(write(tmp_path / "alone", metrics=lines))
    assert [one.name for one in alone.clusters] == ["eu", "us"]
    joined = collect(write(tmp_path / "joined", metrics=lines, nodes=listed(node("n1", gpus=1))))
    assert [one.key for one in joined.nodes] == [("cluster", "n1"), ("us", "n9")]
    assert joined.join_ratio == 1


def test_snapshots_and_other_files_merge(tmp_path):
    write(
        tmp_path / "old", nodes=listed(node("a", gpus=1), node("b", gpus=1)), kube=listed(namespace("kube-system", "u"))
    )
    store.save(collect(tmp_path / "old", cluster_name="prod"), tmp_path / "prod.gpuaudit")
    fresh = node("a", gpus=1, version=2, beat=NOW + timedelta(hours=1), changed="yes")
    write(tmp_path / "new", nodes=listed(fresh), metrics=series(UTIL, "b", 0, hours(2, 50)))
    inputs = [tmp_path / "prod.gpuaudit", tmp_path / "new"]
    taken = collect(*inputs)
    assert store.dumps(collect(*inputs[::-1])) == store.dumps(taken)
    assert [one.key for one in taken.nodes] == [("prod", "a"), ("prod", "b")]
    assert taken.nodes[0].labels["changed"] == "yes"
    assert taken.nodes[1].cards[0].uuid == "GPU-b-0"
    assert taken.taken_at == NOW + timedelta(hours=1)
    assert "in several inputs" in source(taken, "inputs").detail


def test_two_snapshots_of_one_name_are_two_clusters(tmp_path):
    for name in ("one", "two"):
        write(
            tmp_path / name,
            nodes=listed(node(name, gpus=1)),
            pods=listed(pod("p", name, gpus=1)),
            metrics=series(UTIL, name, 0, hours(2, 9)),
        )
        store.save(collect(tmp_path / name), tmp_path / f"{name}.gpuaudit")
    taken = collect(tmp_path / "one.gpuaudit", tmp_path / "two.gpuaudit")
    assert [one.name for one in taken.clusters] == ["cluster", "cluster-2"]
    assert [one.key for one in taken.nodes] == [("cluster", "one"), ("cluster-2", "two")]
    assert [one.workload for one in taken.pods] == ["cluster/Pod/ml/p", "cluster-2/Pod/ml/p"]
    assert sorted(set(taken.usage.hourly["cluster"])) == ["cluster", "cluster-2"]


def test_snapshots_of_one_cluster_join_their_hours(tmp_path):
    for day in (1, 0):
        end = NOW - timedelta(days=day)
        write(
            tmp_path / f"{day}",
            nodes=listed(node("a", gpus=1, beat=end)),
            metrics=series(UTIL, "a", 0, hours(24, 10 + day, end=end)),
        )
        store.save(collect(tmp_path / f"{day}"), tmp_path / f"{day}.gpuaudit")
    taken = collect(tmp_path / "1.gpuaudit", tmp_path / "0.gpuaudit")
    assert [one.name for one in taken.clusters] == ["cluster"]
    assert taken.usage.hourly["samples"].sum() == pytest.approx(48 * 12, abs=13)
    assert not taken.usage.hourly.duplicated(["device", "hour"]).any()
    assert taken.window.end - taken.window.start == timedelta(hours=48)


@pytest.mark.parametrize(("length", "known"), [(23, False), (24, True)])
def test_a_day_of_samples_is_history(tmp_path, length, known):
    taken = collect(write(tmp_path, metrics=series(UTIL, "a", 0, hours(length, 50))))
    assert ("history" in taken.facts) == known
    assert "history" not in collect(tmp_path, window=timedelta(hours=5)).facts
