"""The one exception that a user sees: what went wrong and how to mend it."""

import errno

_FULL = (errno.ENOSPC, errno.EDQUOT)


def unwritten(what: str, error: OSError, *, hint: str) -> "UserError":
    """Return the error of something that could not be written; where there is no room, the hint says so instead."""
    room = "make room there, or choose another place" if error.errno in _FULL else hint
    return UserError(f"cannot write {what}: {error.strerror or error}", hint=room)


INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it


class UserError(Exception):
    """Something the user can mend; printed as one `error:` and one `hint:` line, never as a traceback.

    `code` is the exit code (design: 2 = wrong usage or nothing could be audited, 3 = a gate could not be evaluated).
    """

    def __init__(self, message: str, *, hint: str, code: int = 2) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
