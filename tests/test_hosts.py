import pytest

from gpuaudit.cluster.nodes import Node
from gpuaudit.collect.joining.hosts import HostIndex

NODES = (
    Node(cluster="a", name="ip-10-0-1-2.ec2.internal", addresses=("10.0.1.2",)),
    Node(cluster="a", name="gpu1", addresses=("fd00::1",), labels={"kubernetes.io/hostname": "rack1-gpu1"}),
    Node(cluster="a", name="twin.here"),
    Node(cluster="a", name="twin.there"),
    Node(cluster="b", name="same", addresses=("10.9.9.9",)),
    Node(cluster="c", name="same", addresses=("10.9.9.9",)),
)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("ip-10-0-1-2.ec2.internal", "ip-10-0-1-2.ec2.internal"),
        ("IP-10-0-1-2", "ip-10-0-1-2.ec2.internal"),
        ("10.0.1.2", "ip-10-0-1-2.ec2.internal"),
        ("10.0.1.2:9400", "ip-10-0-1-2.ec2.internal"),
        ("[fd00::1]:9400", "gpu1"),
        ("fd00::1", "gpu1"),
        ("gpu1", "gpu1"),
        ("gpu1.lan.example", "gpu1"),
        ("rack1-gpu1", "gpu1"),
        ("twin.here", "twin.here"),
        ("twin", None),
        ("twin.elsewhere", None),
        ("ip-10-0-1-2.other", None),
        ("10.0.1.3", None),
        ("10", None),
        ("", None),
        ("same", None),
        ("10.9.9.9", None),
    ],
)
def test_names_of_a_node(host, name):
    assert HostIndex(NODES).find(host) == (("a", name) if name else None)


def test_a_name_of_several_clusters_needs_the_cluster():
    assert HostIndex(NODES).find("same", clusters=frozenset({"b"})) == ("b", "same")
    assert HostIndex(NODES).find("same", clusters=frozenset()) is None
