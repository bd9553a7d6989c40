"""Small bounded reads under a root folder; what is not there or not readable is None."""

from pathlib import Path

LIMIT = 65536


class Tree:
    """A file tree such as `/`, or a recorded one."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Return the path of an absolute name within the tree."""
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str | None:
        """Return the stripped text of a file; None when it cannot be read (a down port has no speed: EINVAL)."""
        try:
            with self.path(name).open(encoding="utf-8", errors="replace") as file:
                return file.read(LIMIT).strip()
        except OSError:
            return None

    def bytes(self, name: str, limit: int = 4096) -> bytes:
        """Return the first bytes of a file; nothing when it cannot be read."""
        try:
            with self.path(name).open("rb") as file:
                return file.read(limit)
        except OSError:
            return b""

    def integer(self, name: str) -> int | None:
        """Return a decimal or 0x number; None for anything else, negative ones included: sysfs says -1 for unknown."""
        text = self.text(name)
        try:
            value = int(text or "", 0)
        except ValueError:
            return None
        return value if value >= 0 else None

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the sorted names in a folder; empty when it is not there."""
        try:
            return tuple(sorted(entry.name for entry in self.path(folder).iterdir()))
        except OSError:
            return ()

    def exists(self, name: str) -> bool:
        """Whether the name is there."""
        return self.path(name).exists()

    def target(self, name: str) -> str | None:
        """Return the last part of where a link leads, e.g. a PCI address or a driver."""
        path = self.path(name)
        try:
            return path.resolve(strict=True).name if path.is_symlink() else None
        except OSError:
            return None

    def chain(self, name: str) -> tuple[str, ...]:
        """Return the parts of the real path of a link, for PCI topology; empty when it leads nowhere."""
        try:
            return self.path(name).resolve(strict=True).parts
        except OSError:
            return ()
