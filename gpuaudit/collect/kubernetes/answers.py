"""What can go wrong with a request to an API server, told apart by what a reader can do about it."""

import json


class ApiError(Exception):
    """A request that gave no usable answer; the text is one line for a person."""


class UnauthorizedError(ApiError):
    """401: the credentials are missing, wrong or expired. Nothing else will work either."""


class ForbiddenError(ApiError):
    """403: this user may not; or the group is not installed and no rule covers it."""


class AbsentError(ApiError):
    """404: the server has no such resource."""


class ExpiredError(ApiError):
    """410: the list moved on; `continue_` is a token to go on with inconsistently, if the server gave one."""

    def __init__(self, text: str, continue_: str = "") -> None:
        super().__init__(text)
        self.continue_ = continue_


class TooLargeError(ApiError):
    """An answer larger than a page may be."""


class OutOfTimeError(ApiError):
    """The time for collecting was over before the answer was there."""


class UnreachableError(ApiError):
    """No connection at all: wrong address, no route, a certificate that does not fit."""


def failure(status: int, body: bytes) -> ApiError:
    """Return the error that an answer means; bodies are Status objects or plain text, and hostile."""
    message, continue_ = _read_status(body)
    text = f"{status} {message}".strip()[:300]
    if status == 401:
        return UnauthorizedError(text)
    if status == 403:
        return ForbiddenError(text)
    if status == 404:
        return AbsentError(text)
    return ExpiredError(text, continue_) if status == 410 else ApiError(text)


def _read_status(body: bytes) -> tuple[str, str]:
    """Return message and continue token of a Status, or the first line of a text."""
    try:
        status = json.loads(body)
    except (ValueError, RecursionError):
        lines = body[:2000].decode("utf-8", "replace").strip().splitlines()
        return (lines[0] if lines else "", "")
    if not isinstance(status, dict):
        return ("", "")
    metadata = status.get("metadata")
    token = metadata.get("continue") if isinstance(metadata, dict) else ""
    return (str(status.get("message") or status.get("reason") or ""), token if isinstance(token, str) else "")
