"""The kinds of documents that `generate` writes, by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gpuaudit.errors import UserError
from gpuaudit.manifests.checking import check
from gpuaudit.manifests.probe import ProbeOptions, probe
from gpuaudit.manifests.rbac import rbac


@dataclass(frozen=True)
class Document:
    """A file of Kubernetes documents: its name and its YAML."""

    name: str
    text: str


KINDS: Mapping[str, Callable[[ProbeOptions], str]] = {"probe": probe, "rbac": lambda _: rbac()}


def generate(kinds: Sequence[str], options: ProbeOptions = ProbeOptions()) -> tuple[Document, ...]:  # noqa: B008 - frozen
    """Return the documents of these kinds, in the order asked for, each once. UserError for an unknown kind."""
    found = []
    for kind in dict.fromkeys(kinds):
        if kind not in KINDS:
            raise UserError(f"nothing is called {kind!r} to generate", hint=f"it can be: {', '.join(sorted(KINDS))}")
        text = KINDS[kind](options)
        check(text, name=kind)
        found.append(Document(name=f"{kind}.yaml", text=text))
    return tuple(found)
