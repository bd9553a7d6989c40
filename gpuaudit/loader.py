"""A folder of `<area>/<name>.py` files → rules, ours and the user's in the same way. Loading a rule runs its file."""

import difflib
import re
import runpy
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gpuaudit.errors import UserError
from gpuaudit.paths import builtin
from gpuaudit.rule import API_VERSION, Rule

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def load_rules(*folders: Path) -> dict[str, Rule]:
    """Return the built-in rules and those of the folders, by name, sorted. UserError for a file that is no rule.

    The area of a rule is the folder that its file lies in.
    """
    rules: dict[str, Rule] = {}
    origin: dict[str, Path] = {}
    for folder in (builtin("rules"), *folders):
        for path in _files(folder):
            rule = _rule_in(path)
            if rule.name in rules:
                raise UserError(
                    f"two rules are called {rule.name}: {origin[rule.name]} and {path}",
                    hint="rename one of the files and its function",
                )
            rules[rule.name], origin[rule.name] = rule, path
    return {name: rules[name] for name in sorted(rules)}


def select(rules: Mapping[str, Rule], *, only: Iterable[str] = (), ignore: Iterable[str] = ()) -> dict[str, Rule]:
    """Return the rules that `only` names (rules or areas; none = all) less those that `ignore` names.

    UserError for a name that is neither, with what was probably meant.
    """
    wanted = {name for choice in only for name in _chosen(choice, rules)} or set(rules)
    unwanted = {name for choice in ignore for name in _chosen(choice, rules)}
    if not wanted - unwanted:
        raise UserError("no rule is left to run", hint="--only and --ignore leave nothing: drop one of them")
    return {name: rules[name] for name in sorted(wanted - unwanted)}


def _chosen(choice: str, rules: Mapping[str, Rule]) -> set[str]:
    name = choice.strip().replace("_", "-")
    if name in rules:
        return {name}
    area = {slug for slug, rule in rules.items() if rule.area.replace("_", "-") == name}
    if area:
        return area
    known = sorted({*rules, *(rule.area for rule in rules.values())})
    close = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else "gpuaudit rules lists them all"
    raise UserError(f"there is no rule or area {choice!r}", hint=hint)


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder of rules", hint="a rule lies in FOLDER/<area>/<name>.py")
    for path in sorted([*folder.glob("*.py"), *folder.glob("*/*.py")]):
        if not path.name.startswith(("_", ".")) and not path.parent.name.startswith(("_", ".")):
            yield path


def _rule_in(path: Path) -> Rule:
    if not _NAME.fullmatch(path.stem):
        raise UserError(f"{path} is not named like a rule", hint="a rule file is lower case with _: idle_gpu.py")
    names = _run(path)
    version = names.get("API_VERSION", API_VERSION)
    if version != API_VERSION:
        raise UserError(
            f"{path} is written for rule API {version}, this is API {API_VERSION}",
            hint="bring the rule up to the present API, then change its API_VERSION",
        )
    own = [value for value in names.values() if isinstance(value, Rule) and value.check.__module__ == _module(path)]
    named = {rule.function_name for rule in own}
    if named != {path.stem}:
        found = f"defines {', '.join(sorted(named))}" if named else "defines no rule"
        raise UserError(f"{path} {found}", hint=f"it must define one rule, @rule(...) def {path.stem}(snapshot)")
    return replace(own[0], area=path.parent.name)


def _run(path: Path) -> dict[str, object]:
    try:
        return runpy.run_path(str(path), run_name=_module(path))
    except (Exception, SystemExit) as error:
        line = _line(error, path)
        where = f"{path}:{line}" if line else str(path)
        reason = getattr(error, "msg", None) or str(error) or type(error).__name__
        raise UserError(f"cannot load {where}: {reason}", hint="a rule file must import on its own") from error


def _module(path: Path) -> str:
    return f"gpuaudit_rules.{path.parent.name}.{path.stem}"


def _line(error: BaseException, path: Path) -> int | None:
    if isinstance(error, SyntaxError):
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None
