"""Lines of styled text, made safe and fitted to a width; rich only paints them."""

import io
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuaudit.report.plain import printable
from gpuaudit.report.terminal.wrapping import Piece, cut, flow, text_of, width_of, wrap

if TYPE_CHECKING:
    from rich.text import Text

_ASCII = str.maketrans({
    "·": "-", "–": "-", "—": "-", "…": "~", "→": ">", "≤": "<", "✖": "x", "▲": "!", "█": "#", "▓": "=", "▒": "-",
    "░": ".", "×": "x", "✔": "+", "─": "-", "≥": ">",
})  # fmt: skip


@dataclass(frozen=True)
class Screen:
    """What the output can show."""

    width: int = 100
    color: bool = False
    unicode: bool = True

    @classmethod
    def of_stdout(cls) -> "Screen":
        """Return the screen behind stdout: no colour when it is not a terminal or NO_COLOR is set."""
        terminal = sys.stdout.isatty()
        color = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
        width = shutil.get_terminal_size((100, 40)).columns
        return cls(width=max(60, width), color=color, unicode=encoding.startswith("utf"))

    @classmethod
    def plain(cls) -> "Screen":
        """Return the screen of a file: 100 columns, no colour."""
        return cls()


class Canvas:
    """Collects lines."""

    def __init__(self, screen: Screen, *, spare_lines: int = 0) -> None:
        self.screen = screen
        self.width = screen.width
        self._spare_lines = spare_lines  # how many more lines the bodies of rows may take
        self._lines: list[list[Piece]] = []

    def line(self, *pieces: Piece) -> None:
        """Add a line; what does not fit is cut with …."""
        self._lines.append(list(pieces))

    def blank(self) -> None:
        """Add an empty line, but never two in a row."""
        if self._lines and self._lines[-1]:
            self._lines.append([])

    def columns(self, left: Iterable[Piece], right: str, *, style: str = "") -> None:
        """Add a line with `right` at the right margin; the left part is cut to make room."""
        if not right:
            self.line(*left)
            return
        room = self.width - width_of(right) - 1
        fitted = fit(list(left), room)
        gap = room - sum(width_of(text_of(piece)) for piece in fitted)
        self.line(*fitted, " " * (gap + 1), (right, style))

    def row(self, head: Iterable[Piece], body: str, right: str = "") -> None:
        """Add a text beside its head, on as many lines as may be spared, with `right` at the first one's end."""
        pieces = [*head]
        indent = sum(width_of(printable(text_of(piece))) for piece in pieces)
        room = self.width - indent - (width_of(right) + 1 if right else 0)
        first, *rest = wrap(printable(body), max(room, 8), limit=1 + self._spare_lines)
        self._spare_lines -= len(rest)
        self.columns([*pieces, first], right)
        for line in rest:
            self.line(" " * indent, line)

    def parts(self, head: Iterable[Piece], parts: Iterable[str], *, separator: str = " · ") -> None:
        """Add parts that stay whole, on at most two lines."""
        pieces = [*head]
        indent = sum(width_of(printable(text_of(piece))) for piece in pieces)
        shown = [printable(part) for part in parts if part]
        for number, line in enumerate(flow(shown, self.width - indent, limit=2, separator=separator)):
            self.line(*(pieces if number == 0 else [" " * indent]), line)

    @property
    def height(self) -> int:
        """Number of lines so far."""
        return len(self._lines)

    def text(self) -> str:
        """Return all lines, painted."""
        from rich.console import Console
        from rich.text import Text

        buffer = io.StringIO()
        console = Console(
            file=buffer,
            width=self.width,
            force_terminal=self.screen.color,
            color_system="standard" if self.screen.color else None,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
        )
        for pieces in self._lines:
            console.print(self._painted(pieces, Text), soft_wrap=True)
        return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"

    def _painted(self, pieces: list[Piece], kind: "type[Text]") -> "Text":
        text = kind()
        for piece in fit(pieces, self.width):
            words, style = piece if isinstance(piece, tuple) else (piece, "")
            text.append(words if self.screen.unicode else words.translate(_ASCII), style=style or None)
        return text


def fit(pieces: list[Piece], room: int) -> list[Piece]:
    """Return the pieces cut to a width in cells, made printable."""
    fitted: list[Piece] = []
    left = room
    for piece in pieces:
        words, style = piece if isinstance(piece, tuple) else (piece, "")
        words = printable(words)
        if width_of(words) > left:
            fitted.append((cut(words, left), style))
            break
        left -= width_of(words)
        fitted.append((words, style))
    return fitted


def dollars(amount: float | None) -> str:
    """Return whole dollars with separators; unknown is said to be unknown."""
    return "unknown" if amount is None else f"${amount:,.0f}"


def percent(ratio: float | None) -> str:
    """Return a ratio in percent; unknown is said to be unknown, and little is not printed as nothing."""
    if ratio is None:
        return "unknown"
    return "<1 %" if 0 < ratio < 0.005 else f"{ratio:.0%}".replace("%", " %")


def plural(count: float, word: str) -> str:
    """Return `1 node`, `2 nodes`, `1.5 nodes`."""
    return f"{count:,.4g} {word}" + ("" if count == 1 else "s")
