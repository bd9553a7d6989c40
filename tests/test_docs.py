"""The pages: printed ones are up to date, written ones name only what exists."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from docs import printed
from gpuaudit.config import load
from gpuaudit.loader import load_rules

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", printed.pages().items(), ids=lambda page: page[0].name)
def test_a_printed_page_says_what_the_product_says(page: tuple[Path, str]) -> None:
    path, text = page
    assert path.read_text("utf-8") == text, "run: make docs"


def test_the_command_page_shows_what_the_terminal_shows() -> None:
    assert printed.printed("scan --help").strip() in printed.command_line()


def test_every_rule_has_its_page() -> None:
    page = (ROOT / "docs" / "rules.md").read_text("utf-8")
    listed = json.loads(printed.printed("rules --format json"))
    assert [rule["name"] for rule in listed] == re.findall(r"^### (.+)$", page, re.MULTILINE)
    assert {rule["name"] for rule in listed} == set(load_rules())


def test_a_rules_page_says_what_is_so_why_it_costs_and_what_to_do() -> None:
    short = {name for name, rule in load_rules().items() if rule.page.count("\n\n") < 2}
    assert not short


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_settings_in_the_readme_are_taken(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    (settings,) = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "gpuaudit.toml").write_text(settings, "utf-8")
    config = load({}, environ={}, cwd=tmp_path)
    assert len(config.ignore) == len(config.exempt) == 1
    for rule, options in tomllib.loads(settings)["rules"].items():
        assert set(options) <= set(load_rules()[rule].options)


def test_commands_in_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    page = printed.command_line()
    used = set(re.findall(r"(?:`|^\$ )gpuaudit ([a-z]+)", readme, re.MULTILINE))
    assert used
    assert {command for command in used if f"## gpuaudit {command}\n" not in page} == set()
