"""The price file that the product writes is one that it reads."""

from pathlib import Path

from gpuaudit.cluster.nodes import Cluster
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.plan.price_template import template
from gpuaudit.plan.pricebook import load_prices
from tests.build import NOW, WINDOW, node

HOSTILE = 'evil"\n[[owned]]\nusd_per_gpu_hour = 0.0001 #'


def test_as_written_it_changes_nothing(tmp_path: Path) -> None:
    shot = Snapshot(taken_at=NOW, window=WINDOW, clusters=(Cluster(name="c"),), nodes=(node("a"), node("b")))
    for text in (template(), template(shot)):
        path = tmp_path / "prices.toml"
        path.write_text(text)
        file = load_prices(path)
        assert (file.instance, file.owned, file.discount, file.commitment) == ((), (), (), ())


def test_it_names_each_kind_of_node_once_with_its_list_price() -> None:
    shot = Snapshot(
        taken_at=NOW, window=WINDOW, nodes=(node("a"), node("b"), node("rack", provider=None, instance_type=None))
    )
    text = template(shot)
    assert text.count('instance_type = "p5.48xlarge"\n# region') == 1
    assert "2 nodes of 8 GPUs, on demand: on-demand list price of us-east-1" in text
    assert 'gpu = "h100-80gb-sxm"' in text


def test_a_hostile_instance_type_stays_within_its_comment(tmp_path: Path) -> None:
    shot = Snapshot(taken_at=NOW, window=WINDOW, nodes=(node("a", instance_type=HOSTILE),))
    path = tmp_path / "prices.toml"
    path.write_text(template(shot))
    assert load_prices(path).owned == ()


def test_filled_in_it_is_read(tmp_path: Path) -> None:
    shot = Snapshot(taken_at=NOW, window=WINDOW, nodes=(node("a"),))
    text = template(shot)
    rows = text[text.index("# 1 nodes") :].splitlines()[1:]
    path = tmp_path / "prices.toml"
    path.write_text("\n".join(line.removeprefix("# ") for line in rows))
    (price,) = load_prices(path).instance
    assert price.instance_type == "p5.48xlarge"
    assert price.usd_per_hour > 0


def test_terminal_codes_of_a_cluster_come_into_no_comment(tmp_path: Path) -> None:
    hostile = "us-east-1\x1b[31m\x9b2J\u202e"
    shot = Snapshot(taken_at=NOW, window=WINDOW, nodes=(node("a", region=hostile), node("b", instance_type=hostile)))
    text = template(shot)
    assert text.isascii()
    assert "\x1b" not in text
    path = tmp_path / "prices.toml"
    path.write_text(text)
    assert load_prices(path).instance == ()
