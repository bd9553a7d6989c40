"""Text of a cluster made safe for terminals: nothing that moves the cursor, hides or reverses text survives."""

import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, bidi and zero-width marks, surrogates, separators


def printable(text: str, *, limit: int | None = None) -> str:
    """Return the text on one line without control or invisible characters; longer than `limit` ends in …."""
    clean = "".join(" " if char in "\n\r\t" else char for char in text if _shown(char))
    if limit is not None and len(clean) > limit:
        return clean[: max(0, limit - 1)] + "…"
    return clean


def _shown(char: str) -> bool:
    return char in "\n\r\t" or unicodedata.category(char) not in _HIDDEN
