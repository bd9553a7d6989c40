"""Text fitted to terminal cells: cut, or broken between words."""

from collections.abc import Sequence

Piece = str | tuple[str, str]  # text, or text and a rich style


def width_of(text: str) -> int:
    """Return the number of terminal cells of a text."""
    from rich.cells import cell_len

    return cell_len(text)


def text_of(piece: Piece) -> str:
    """Return a piece's text without its style."""
    return piece[0] if isinstance(piece, tuple) else piece


def cut(text: str, room: int) -> str:
    """Return the text within `room` cells; what is cut off leaves a … behind."""
    from rich.cells import set_cell_size

    if width_of(text) <= room:
        return text
    return set_cell_size(text, room - 1).rstrip() + "…" if room > 0 else ""


def wrap(text: str, room: int, *, limit: int) -> list[str]:
    """Break a text between words into at most `limit` lines of `room` cells; the last one is cut if it must be."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if not lines[-1] or width_of(longer) <= room or len(lines) == limit:
            lines[-1] = longer
        else:
            lines.append(word)
    return [cut(line, room) for line in lines]


def flow(parts: Sequence[str], room: int, *, limit: int, separator: str = " · ") -> list[str]:
    """Lay parts out in at most `limit` lines, broken between parts; parts beyond that are left off with …."""
    lines: list[str] = []
    for part in parts:
        if lines and width_of(lines[-1] + separator + part) <= room:
            lines[-1] += separator + part
        elif len(lines) < limit:
            lines.append(part)
        else:
            lines[-1] += separator + "…"
            break
    return [cut(line, room) for line in lines]
