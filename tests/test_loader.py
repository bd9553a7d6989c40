"""A folder becomes rules: what is taken, what is refused and how that is said."""

import sys
from pathlib import Path

import pytest

from gpuaudit.errors import UserError
from gpuaudit.loader import load_rules, select

RULE = '''
from gpuaudit.rule import Finding, Severity, Subject, rule
{imports}

@rule(Severity.LOW, needs={{"pods"}})
def {name}(snapshot, *, at_least: int = 1):
    """Something is so.

    It costs.

    Do that.
    """
    yield Finding(subject=Subject(cluster="c", kind="Pod", name="p"), message="m")
'''

PAGELESS = "from gpuaudit.rule import rule, Severity\n@rule(Severity.LOW, needs=())\ndef no_page(s):\n    yield\n"


def put(folder: Path, name: str, text: str | None = None, *, imports: str = "") -> Path:
    path = folder / "house" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if text is not None else RULE.format(name=name, imports=imports))
    return path


def refused(folder: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        load_rules(folder)
    return caught.value


def test_ours_and_the_users_are_loaded_the_same_way(tmp_path: Path) -> None:
    put(tmp_path, "too_many_pods")
    rules = load_rules(tmp_path)
    assert list(rules) == sorted(rules)
    mine = rules["too-many-pods"]
    assert (mine.name, mine.area, dict(mine.options)) == ("too-many-pods", "house", {"at_least": 1})
    assert mine.summary == "Something is so."
    assert rules["idle-gpu"].area == "utilization"
    assert set(load_rules()) == set(rules) - {"too-many-pods"}


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    put(tmp_path, "a_rule")
    before = set(sys.modules)
    load_rules(tmp_path)
    assert not list(tmp_path.rglob("__pycache__"))
    assert not {name for name in set(sys.modules) - before if name.startswith("gpuaudit_rules")}


def test_module_state_and_dataclasses_work_in_a_rule(tmp_path: Path) -> None:
    text = RULE.format(
        name="a_rule", imports="from dataclasses import dataclass\n@dataclass\nclass K:\n    n: int\nM = K(3)"
    )
    put(tmp_path, "a_rule", text.replace('message="m"', "message=str(M.n)"))
    rule = load_rules(tmp_path)["a-rule"]
    assert [finding.message for finding in rule(None)] == ["3"]  # type: ignore[arg-type]


def test_rules_that_a_file_imports_are_not_its_own(tmp_path: Path) -> None:
    imports = (
        "from pathlib import Path\nfrom gpuaudit.loader import _rule_in\n"
        f"other = _rule_in(Path({str(put(tmp_path / 'x', 'other_rule'))!r}))"
    )
    put(tmp_path / "y", "a_rule", imports=imports)
    assert {"a-rule"} == set(load_rules(tmp_path / "y")) - set(load_rules())


@pytest.mark.parametrize(
    ("name", "text", "says", "hints"),
    [
        ("bad_syntax", "def (:\n", "bad_syntax.py:1", "import on its own"),
        ("bad_import", "\n\nimport no_such_module\n", "bad_import.py:3: No module named", "import on its own"),
        ("leaves", "import sys\nsys.exit(3)\n", "leaves.py:2", "import on its own"),
        ("no_page", PAGELESS, "no docstring", "import on its own"),
        ("empty", "", "defines no rule", "def empty(snapshot)"),
        ("one_name", RULE.format(name="another", imports=""), "defines another", "def one_name(snapshot)"),
        ("CamelCase", "", "not named like a rule", "lower case"),
        ("old_rule", "API_VERSION = 0\n" + RULE.format(name="old_rule", imports=""), "rule API 0", "API_VERSION"),
        ("idle_gpu", RULE.format(name="idle_gpu", imports=""), "two rules are called idle-gpu", "rename"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_rule_is_named(tmp_path: Path, name: str, text: str, says: str, hints: str) -> None:
    put(tmp_path, name, text)
    error = refused(tmp_path)
    assert says in error.message
    assert hints in error.hint
    assert f"{name}.py" in error.message


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    assert "not a folder" in refused(tmp_path / "nowhere").message


def test_hidden_and_private_files_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "_shared", "raise ValueError")
    put(tmp_path, ".hidden", "raise ValueError")
    assert load_rules(tmp_path)


def test_selection_by_rule_and_area() -> None:
    rules = load_rules()
    assert select(rules) == rules
    assert set(select(rules, only=["idle-gpu", "lost_gpu"])) == {"idle-gpu", "lost-gpu"}
    assert set(select(rules, only=["utilization"])) == {n for n, rule in rules.items() if rule.area == "utilization"}
    assert "idle-gpu" not in select(rules, ignore=["idle-gpu"])
    for only, ignore, says, hints in (
        (["idel-gpu"], [], "idel-gpu", "idle-gpu"),
        ([], ["utilisation"], "utilisation", "utilization"),
        (["zzz"], [], "zzz", "gpuaudit rules"),
        (["idle-gpu"], ["idle-gpu"], "no rule is left", "drop"),
    ):
        with pytest.raises(UserError) as caught:
            select(rules, only=only, ignore=ignore)
        assert says in caught.value.message
        assert hints in caught.value.hint
