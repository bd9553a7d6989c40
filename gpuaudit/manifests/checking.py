"""Check documents before they leave: whole YAML, named objects, each once, no empty values."""

from collections.abc import Iterator


class DocumentError(Exception):
    """A generated document is not what the API server would take: a mistake of this tool, not of its user."""


def check(text: str, *, name: str) -> None:
    """Raise DocumentError unless every document is an object with kind, version and name that appears once."""
    import yaml

    seen: set[tuple[object, ...]] = set()
    for tree in yaml.safe_load_all(text):
        if not isinstance(tree, dict):
            raise DocumentError(f"{name}: a document is no object")
        metadata = tree.get("metadata")
        if not (tree.get("apiVersion") and tree.get("kind") and isinstance(metadata, dict) and metadata.get("name")):
            raise DocumentError(f"{name}: an object without apiVersion, kind or name")
        key = (tree["apiVersion"], tree["kind"], metadata.get("namespace"), metadata["name"])
        if key in seen:
            raise DocumentError(f"{name}: {key} appears twice")
        seen.add(key)
        for path in _nulls(tree, ""):
            raise DocumentError(f"{name}: {path} of {key} is empty")


def _nulls(tree: object, path: str) -> Iterator[str]:
    if tree is None:
        yield path
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from _nulls(value, f"{path}.{key}")
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _nulls(value, f"{path}[{index}]")
