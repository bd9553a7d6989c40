"""What goes wrong on the way to a server, in words."""

import re

# OpenSSL's reasons (ERR_reason_error_string) when the first bytes of an answer are no TLS: an HTTP server's "HTTP/1.1"
_NO_TLS = re.compile(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|UNKNOWN_PROTOCOL")

_DEEPEST = 20  # errors within one another


def cause_of(error: BaseException) -> str:
    """Return what the system says of a connection that failed, "" where it says nothing: connection refused.

    HTTP libraries wrap it in errors of their own, whose texts are of objects and addresses in memory.
    """
    seen: list[BaseException] = []
    todo: list[object] = [error]
    while todo and len(seen) < _DEEPEST:
        here = todo.pop(0)
        if not isinstance(here, BaseException) or here in seen:
            continue
        seen.append(here)
        todo += [getattr(here, "reason", None), here.__cause__, here.__context__, *here.args]
    proxy = "through the proxy: " if any(type(one).__name__ == "ProxyError" for one in seen) else ""
    said = next((one.strerror for one in seen if isinstance(one, OSError) and one.strerror), "")
    return f"{proxy}{said.lower()}" if said else ""


def tls_failure(server: str, error: object, line: str) -> str:
    """Return why TLS to a server failed; `line` is the error as it may be shown."""
    if _NO_TLS.search(str(error)):
        return f"TLS to {server} failed: it answers without TLS (http, not https)"
    return f"TLS to {server} failed: {line}"
