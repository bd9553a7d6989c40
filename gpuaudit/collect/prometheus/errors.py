"""What an answer that is none means: cut the question in pieces, wait, or give it up."""

import re

import msgspec

from gpuaudit.knowledge import queries


class QueryError(Exception):
    """A query that gave no answer; the text is one line for a person."""


class TooMuchError(QueryError):
    """The server finds the query too heavy, or was too slow for it: ask for less at a time."""


class BusyError(QueryError):
    """The server asks to come back later; `wait` in seconds if it said for how long."""

    def __init__(self, text: str, wait: float | None = None) -> None:
        super().__init__(text)
        self.wait = wait


class RefusedError(QueryError):
    """401, 403, a login page, a proxy with nobody behind it: the way there is wrong; nothing else will work."""


class GoneError(QueryError):
    """No connection: wrong address, no route, or the server died."""


class OutOfTimeError(QueryError):
    """The time for collecting was over."""


class _Answer(msgspec.Struct):
    kind: str = ""  # "Status": the API server itself answered, nobody behind its proxy did
    message: str = ""
    errorType: str = ""  # noqa: N815 - the API's own name
    error: str = ""


_ANSWER = msgspec.json.Decoder(_Answer)  # made before threads share it: see collect.decode


def failure(status: int, body: bytes, *, retry_after: str | None = None) -> QueryError:
    """Return what an answer without success means. Bodies are JSON, HTML or plain text, and hostile."""
    trouble = queries.trouble()
    said, nobody = _said(body)
    text = f"{status} {said}".strip()
    if status in (401, 403, 407) or 300 <= status < 400 or (nobody and status != 429):
        return RefusedError(text)
    too_much = re.search(trouble.too_much_text, said)
    if not too_much and re.search(trouble.never_text, said):
        return QueryError(text)
    if status in trouble.busy_status or re.search(trouble.busy_text, said):
        return BusyError(text, _seconds(retry_after))
    if too_much or status in trouble.too_much_status:
        return TooMuchError(text)
    return QueryError(text)


def _said(body: bytes) -> tuple[str, bool]:
    """Return the error of an answer, or a text's beginning, printable; and whether an API server says it."""
    nobody = False
    try:
        answer = _ANSWER.decode(body[:100_000])
        nobody = answer.kind == "Status"
        text = answer.message if nobody else f"{answer.errorType}: {answer.error}".strip(": ")
    except (msgspec.DecodeError, RecursionError):
        text = re.sub(r"<[^>]*>", " ", body[:2000].decode("utf-8", "replace"))
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:200], nobody


def _seconds(text: str | None) -> float | None:
    return min(float(text), 30.0) if text and text.strip().isdecimal() and len(text) < 9 else None
