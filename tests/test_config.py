"""Settings: which source wins, what is refused and how it is said, and which objects a selector means."""

import contextlib
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.platform import Namespace
from gpuaudit.cluster.snapshot import Snapshot, Window
from gpuaudit.cluster.workloads import Workload
from gpuaudit.config import (
    Config,
    Ignore,
    Selector,
    json_schema,
    load,
    parse_duration,
    rule_options,
    with_roles,
    with_timezone,
)
from gpuaudit.errors import UserError
from gpuaudit.loader import load_rules

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def read(tmp_path: Path, text: str = "", **more: object) -> Config:
    (tmp_path / "gpuaudit.toml").write_text(text)
    return load(more.get("flags", {}), environ=more.get("environ", {}), cwd=tmp_path)  # type: ignore[arg-type]


def refused(tmp_path: Path, text: str = "", **more: object) -> UserError:
    with pytest.raises(UserError) as caught:
        read(tmp_path, text, **more)
    return caught.value


def test_defaults_need_no_file(tmp_path: Path) -> None:
    config = load({}, environ={}, cwd=tmp_path)
    assert (config.window, config.step, config.max_time) == (
        timedelta(days=14),
        timedelta(hours=1),
        timedelta(minutes=10),
    )
    assert config.min_coverage == 0.8
    assert config.top == 7


def test_the_nearer_source_wins(tmp_path: Path) -> None:
    def window(**sources: bool) -> timedelta:
        cwd = tmp_path / "-".join(sources) if sources else tmp_path / "none"
        cwd.mkdir()
        if sources.get("pyproject"):
            (cwd / "pyproject.toml").write_text('[tool.gpuaudit]\nwindow = "1d"\n')
        if sources.get("folder"):
            (cwd / "gpuaudit.toml").write_text('window = "2d"\n')
        if sources.get("named"):
            (cwd / "other.toml").write_text('window = "3d"\n')
        environ = {"GPUAUDIT_WINDOW": "4d"} if sources.get("environ") else {}
        flags = {"window": "5d"} if sources.get("flag") else {"window": None}
        path = Path("other.toml") if sources.get("named") else None
        return load(flags, environ=environ, cwd=cwd, config_path=path).window

    order = ("pyproject", "folder", "named", "environ", "flag")
    assert window() == timedelta(days=14)
    for days, _ in enumerate(order, start=1):
        assert window(**dict.fromkeys(order[:days], True)) == timedelta(days=days)
        assert window(**{order[days - 1]: True, "alone": True}) == timedelta(days=days)


def test_tables_of_two_files_are_laid_over_each_other_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.gpuaudit.rules.idle-gpu]\nbelow = 0.02\n[tool.gpuaudit]\ntop = 3\n")
    config = read(tmp_path, "[rules.idle-gpu]\nlikely_hours = 48\n")
    assert config.rules == {"idle-gpu": {"below": 0.02, "likely_hours": 48}}
    assert config.top == 3


def test_environment_names_the_same_options(tmp_path: Path) -> None:
    environ = {
        "GPUAUDIT_WINDOW": "7d",
        "GPUAUDIT_STRICT": "true",
        "GPUAUDIT_MIN_COVERAGE": "0.5",
        "GPUAUDIT_ONLY": "idle-gpu, mig",
        "GPUAUDIT_IGNORE": "lost-gpu",
        "GPUAUDIT_RULES": "mine",
        "GPUAUDIT_PROMETHEUS_MATCH": 'cluster="a,b"\nregion="x"',
        "GPUAUDIT_QUIET": "",
        "HOME": "/root",
    }
    config = read(tmp_path, environ=environ)
    assert config.window == timedelta(days=7)
    assert config.strict
    assert config.min_coverage == 0.5
    assert config.only == ("idle-gpu", "mig")
    assert config.ignore_rules == ("lost-gpu",)
    assert config.rule_dirs == (Path("mine"),)
    assert config.prometheus_match == ('cluster="a,b"', 'region="x"')
    assert not config.quiet


def test_environment_may_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.toml").write_text("top = 2\n")
    assert read(tmp_path, "top = 9\n", environ={"GPUAUDIT_CONFIG": "elsewhere.toml"}).top == 2


def test_paths_of_a_file_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a.toml").write_text('prices = "p.csv"\nrule-dirs = ["rules"]\n')
    config = load({}, environ={}, cwd=tmp_path, config_path=Path("conf/a.toml"))
    assert config.prices == tmp_path / "conf" / "p.csv"
    assert config.rule_dirs == (tmp_path / "conf" / "rules",)


@pytest.mark.parametrize(
    ("text", "says", "hints"),
    [
        ('promtheus_url = "x"', "promtheus_url", "prometheus_url"),
        ("[[ignore]]\nrule = 'a'\nreasn = 'b'\nexpires = 2027-01-01", "reasn", "reason"),
        ("[[ignore]]\nrule = 'a'\nreason = 'b'", "expires", "schema config"),
        ("[[ignore]]\nrule = 'a'\nreason = ''\nexpires = 2027-01-01", "reason", "schema config"),
        ("[[ignore]]\nreason = 'b'\nexpires = 2027-01-01", "names neither", "give it"),
        ("[[exempt]]\nnamespace = 'a'\nreason = 'b'\nexpires = 2027-01-01", "owner", "schema config"),
        ("[[exempt]]\nreason = 'b'\nowner = 'c'\nexpires = 2027-01-01", "selects nothing", "give it"),
        ("[roles]\nspair = [{pool = 'a'}]", "spair", "spare"),
        ("[roles]\nspare = [{pol = 'a'}]", "pol", "pool"),
        ("[roles]\nspare = [{}]", "selects nothing", "give it"),
        ("[ownership]\nlabel = ['team']", "label", "labels"),
        ("[calendar]\npeaks = [{nam = 'x'}]", "nam", "name"),
        ("[calendar]\npeaks = [{name = 'x', start = 2026-02-02, end = 2026-01-01}]", "before it starts", "swap"),
        ('timezone = "Mars/Olympus"', "Mars/Olympus", "Europe/Berlin"),
        ('window = "7 days"', "7 days", "14d"),
        ('window = "0s"', "0s", "ten years"),
        ('now = "yesterday"', "yesterday", "2026-11-23"),
        ("min_coverage = 1.5", "min_coverage", "schema config"),
        ('top = "3"', "top", "schema config"),
        ("top = 3\ntop = 4", "TOML", "mend"),
        ('fail-on = ["high"]\nfail_on = ["low"]', "twice", "keep one"),
    ],
)
def test_mistakes_are_named_with_the_way_out(tmp_path: Path, text: str, says: str, hints: str) -> None:
    error = refused(tmp_path, text)
    assert says in error.message
    assert hints in error.hint
    assert error.code == 2


def test_unknown_variable_is_a_mistake(tmp_path: Path) -> None:
    error = refused(tmp_path, environ={"GPUAUDIT_WINDOWS": "7d"})
    assert "GPUAUDIT_WINDOWS" in error.message
    assert "GPUAUDIT_WINDOW " in error.hint


def test_a_named_file_must_exist_and_be_small(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        load({}, environ={}, cwd=tmp_path, config_path=Path("nowhere.toml"))
    (tmp_path / "big.toml").write_text("# " + "x" * 5_000_000)
    with pytest.raises(UserError, match="larger"):
        load({}, environ={}, cwd=tmp_path, config_path=Path("big.toml"))


@given(st.integers(1, 3000), st.sampled_from(["s", "m", "h", "d"]))
def test_durations(number: int, unit: str) -> None:
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert parse_duration(f"{number}{unit}") == timedelta(seconds=number * seconds)


def test_durations_add_up() -> None:
    assert parse_duration("1h30m") == timedelta(minutes=90)
    for text in ("", "d", "1", "-1h", "1 h", "9999999w", "1y", "1e3s"):
        with pytest.raises(UserError):
            parse_duration(text)


@settings(max_examples=50)
@given(st.text(max_size=40))
def test_no_text_breaks_the_reading_of_durations(text: str) -> None:
    with contextlib.suppress(UserError):
        assert parse_duration(text) > timedelta()


def test_an_ignore_holds_through_its_last_day() -> None:
    ignore = Ignore(reason="pilot", expires=date(2026, 11, 23), namespace="ml")
    assert ignore.active(NOW)
    assert not ignore.active(NOW + timedelta(hours=12))
    config = Config(ignore=(ignore,))
    assert config.expired(NOW) == ()
    assert config.expired(NOW + timedelta(days=1)) == (ignore,)


def test_selectors() -> None:
    node = Node(cluster="prod", name="gpu-7", pool="spare-a100", instance_type="p4d.24xlarge", labels={"tier": "gold"})
    assert Selector(pool="spare-*").matches_node(node)
    assert Selector(pool="spare-*", labels={"tier": "g*"}).matches_node(node)
    assert Selector(instance_type="p4d.*", cluster="prod").matches_node(node)
    assert not Selector(pool="spare-*", labels={"tier": "silver"}).matches_node(node)
    assert not Selector(labels={"other": "*"}).matches_node(node)
    assert not Selector(namespace="*").matches_node(node), "a node has no namespace"
    assert not Selector().matches_node(node), "nothing given matches nothing"
    workload = Workload(id="prod/Deployment/ml/a", cluster="prod", kind="Deployment", namespace="ml", name="a")
    assert Selector(namespace="ml", kind="Deploy*").matches_workload(workload)
    assert not Selector(namespace="ML").matches_workload(workload)
    assert not Selector(pool="x").matches_workload(workload)
    assert Selector(namespace="ml").matches_namespace(Namespace(cluster="prod", name="ml"))
    assert not Selector(namespace="ml", name="a").matches_namespace(Namespace(cluster="prod", name="ml"))


def test_roles_of_the_configuration_are_laid_under_those_of_annotations(tmp_path: Path) -> None:
    config = read(tmp_path, "[roles]\nspare = [{pool = 'buffer'}]\ncanary = [{namespace = '*-canary'}]\n")
    snapshot = Snapshot(
        taken_at=NOW,
        window=Window(start=NOW - timedelta(days=1), end=NOW),
        nodes=(
            Node(cluster="c", name="a", pool="buffer"),
            Node(cluster="c", name="b", pool="buffer", role="lab"),
            Node(cluster="c", name="d"),
        ),
        workloads=(Workload(id="c/Job/x-canary/j", cluster="c", kind="Job", namespace="x-canary", name="j"),),
        namespaces=(Namespace(cluster="c", name="x-canary"), Namespace(cluster="c", name="y")),
    )
    told = with_roles(snapshot, config)
    assert [node.role for node in told.nodes] == ["spare", "lab", None]
    assert told.workloads[0].role == "canary"
    assert [namespace.role for namespace in told.namespaces] == ["canary", None]
    assert with_roles(snapshot, Config()) is snapshot


def test_rule_options_follow_the_signatures() -> None:
    rules = load_rules()
    told = rule_options({"idle-gpu": {"below": 1, "loaded-above-mib": 5.5}}, rules)
    assert told == {"idle-gpu": {"below": 1.0, "loaded_above_mib": 5.5}}
    for table, says, hints in (
        ({"idle-gpus": {}}, "idle-gpus", "idle-gpu"),
        ({"idle-gpu": {"belo": 1}}, "belo", "below"),
        ({"idle-gpu": {"below": "low"}}, "float", "0.01"),
        ({"idle-gpu": {"below": True}}, "float", "0.01"),
        ({"off-hours-idle": {"timezone": "Mars/Olympus"}}, "Mars/Olympus", "Europe/Berlin"),
        ({"off-hours-idle": {"timezone": "../../etc/passwd"}}, "passwd", "Europe/Berlin"),
    ):
        with pytest.raises(UserError) as caught:
            rule_options(table, rules)
        assert says in caught.value.message
        assert hints in caught.value.hint


def test_rules_that_ask_for_a_time_zone_get_the_configured_one() -> None:
    rules = load_rules()
    told = with_timezone({"idle-gpu": {"below": 0.1}, "off-hours-idle": {"timezone": "UTC"}}, rules, "Asia/Tokyo")
    assert told["abandoned-notebook"] == {"timezone": "Asia/Tokyo"}
    assert told["off-hours-idle"] == {"timezone": "UTC"}
    assert told["idle-gpu"] == {"below": 0.1}


def test_the_schema_accepts_what_the_reader_accepts() -> None:
    schema = json_schema()
    json.dumps(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    document = {"window": "7d", "top": 3, "roles": {"spare": [{"pool": "a"}]}, "rules": {"idle-gpu": {"below": 0.1}}}
    jsonschema.validate(document, schema)
    for wrong in ({"windwo": "7d"}, {"top": 0}, {"window": "a week"}, {"ignore": [{"rule": ["a"]}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
