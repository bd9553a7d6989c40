"""What a failed TLS handshake means, in words."""

import re

# OpenSSL's reasons (ERR_reason_error_string) when the first bytes of an answer are no TLS: an HTTP server's "HTTP/1.1"
_NO_TLS = re.compile(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|UNKNOWN_PROTOCOL")


def tls_failure(server: str, error: object, line: str) -> str:
    """Return why TLS to a server failed; `line` is the error as it may be shown."""
    if _NO_TLS.search(str(error)):
        return f"TLS to {server} failed: it answers without TLS (http, not https)"
    return f"TLS to {server} failed: {line}"
