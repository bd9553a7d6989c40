from pathlib import Path

import pytest

from gpuaudit.collect.joining.fleet import Witness, sort_out

A, B, TOP = Path("/x/prod"), Path("/x/staging"), Path("/x")


def told(*witnesses, **kwargs):
    fleet = sort_out(witnesses, **kwargs)
    return [None if place is None else fleet.names[place] for place in fleet.cluster_of]


@pytest.mark.parametrize(
    "witnesses",
    [
        [Witness(A), Witness(B)],
        [Witness(A, nodes={"n": "1"}), Witness(B)],
        [Witness(A, nodes={"n": "1"}), Witness(B, uid="u")],
        [Witness(A, nodes={"n": "1", "m": "2"}), Witness(B, nodes={"n": "1", "k": "3"})],
        [Witness(A, uid="u", nodes={"n": "1"}), Witness(B, uid="u", nodes={"k": "3"})],
        [Witness(A, nodes={"n": "1"}), Witness(A, nodes={"k": "3"})],
    ],
)
def test_one_cluster(witnesses):
    assert told(*witnesses) == ["cluster", "cluster"]
    assert told(*witnesses, name="mine") == ["mine", "mine"]


def test_nothing_at_all():
    assert sort_out([]).names == ("cluster",)


def test_disjoint_node_lists_in_two_folders():
    witnesses = [
        Witness(A, nodes={"n": "1"}),
        Witness(A),
        Witness(A / "sub"),
        Witness(B, nodes={"n": "2"}),
        Witness(B),
        Witness(TOP),
    ]
    assert told(*witnesses, name="mine") == ["prod", "prod", "prod", "staging", "staging", None]


def test_different_uids_differ_even_in_one_folder():
    assert told(Witness(A, uid="u"), Witness(A, uid="v")) == ["prod", "prod-2"]


def test_snapshots_keep_their_names():
    monday = Witness(TOP, name="eu", nodes={"n": "1", "m": "2"})
    tuesday = Witness(TOP, name="eu", nodes={"m": "2"})
    other = Witness(TOP, name="us", nodes={"n": "9"})
    assert told(monday, tuesday) == ["eu", "eu"]
    assert told(monday, other, tuesday) == ["eu", "us", "eu"]
    assert told(monday, Witness(A, nodes={"m": "2"})) == ["eu", "eu"]
    assert told(monday, Witness(A)) == ["eu", "eu"]


def test_two_clusters_of_one_name():
    one = Witness(TOP, name="cluster", nodes={"n": "1"})
    other = Witness(TOP, name="cluster", nodes={"k": "2"})
    assert told(one, other) == ["cluster", "cluster-2"]


def test_metrics_alone_in_snapshots():
    assert told(Witness(TOP, name="c", nodes={"n": ""}), Witness(TOP, name="c", nodes={"n": ""})) == ["c", "c"]
    assert told(Witness(TOP, name="c", nodes={"n": ""}), Witness(TOP, name="d", nodes={"n": ""})) == ["c", "d"]
