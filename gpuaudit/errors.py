"""The one exception that a user sees: what went wrong and how to mend it."""

import errno
from collections.abc import Iterable

INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it
_FULL = (errno.ENOSPC, errno.EDQUOT)
_SHOWN = 6  # names in a hint


def unwritten(what: str, error: OSError, *, hint: str) -> "UserError":
    """Return the error of something that could not be written; where there is no room, the hint says so instead."""
    room = "make room there, or choose another place" if error.errno in _FULL else hint
    return UserError(f"cannot write {what}: {error.strerror or error}", hint=room)


def near_hint(name: str, known: Iterable[str]) -> str:
    """Return which of the known names may be meant, else some of them, and how many more there are."""
    from difflib import get_close_matches

    names = sorted(known)
    if near := get_close_matches(name, names, n=_SHOWN, cutoff=0.4):
        return f"did you mean: {', '.join(near)}"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"it has: {', '.join(names[:_SHOWN]) or 'none'}{more}"


class UserError(Exception):
    """Something the user can mend; printed as one `error:` and one `hint:` line, never as a traceback.

    `code` is the exit code (design: 2 = wrong usage or nothing could be audited, 3 = a gate could not be evaluated).
    """

    def __init__(self, message: str, *, hint: str, code: int = 2) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
