"""What a server does when it does not answer as it should: drop, cut, garble, dawdle."""

import time
from collections.abc import Callable
from contextlib import suppress

from tests.kubernetes.replay import Handler


def drop(handler: Handler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True
    handler.connection.shutdown(2)


def cut(handler: Handler) -> None:
    """Send half of the body and close."""
    code, headers, body = handler.good()
    handler.reply((code, headers, body[: len(body) // 2]), announced=len(body))
    handler.wfile.flush()
    drop(handler)


def garble(handler: Handler) -> None:
    """Send a whole answer of half a document: malformed JSON."""
    code, headers, body = handler.good()
    handler.reply((code, headers, body[: len(body) // 2]))


def slow(seconds: float) -> Callable[[Handler], None]:
    """Answer after a while."""

    def act(handler: Handler) -> None:
        time.sleep(seconds)
        with suppress(OSError):
            handler.reply(handler.good())

    return act


def trickle(seconds: float) -> Callable[[Handler], None]:
    """Send the body bit by bit, faster than any read times out, for that long."""

    def act(handler: Handler) -> None:
        body = handler.good()[2]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        end, step = time.monotonic() + seconds, max(1, len(body) // 1000)
        try:
            for start in range(0, len(body), step):
                handler.wfile.write(body[start : start + step])
                time.sleep(max(0.0, seconds / 1000 if time.monotonic() < end else 0.0))
        except OSError:
            pass

    return act


def dribble(start: bytes, seconds: float) -> Callable[[Handler], None]:
    """Begin an answer, and go on byte by byte where no reader of a body sees any: in its head, or in a chunk's."""

    def act(handler: Handler) -> None:
        handler.close_connection = True
        end = time.monotonic() + seconds
        with suppress(OSError):
            handler.connection.sendall(b"HTTP/1.1 200 OK\r\n" + start)
            while time.monotonic() < end:
                handler.connection.sendall(b"x")
                time.sleep(0.2)

    return act
