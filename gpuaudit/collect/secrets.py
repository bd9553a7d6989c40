"""Texts of servers may repeat what was sent to them: credentials are taken out before anybody sees or keeps them."""

import re
from collections.abc import Iterable

_SHORTEST = 6  # of a secret that is looked for: a shorter one would tear words apart
_SCHEMES = re.compile(rb"(?i)\b(bearer|basic|digest|negotiate)(\s+)[A-Za-z0-9._~+/=:-]{6,}")


def without_secrets(text: bytes, headers: Iterable[str]) -> bytes:
    """Return a text without the values of these headers, and without whatever follows the name of a scheme."""
    for header in headers:
        for secret in {header.strip(), header.strip().rpartition(" ")[2]}:
            if len(secret) >= _SHORTEST:
                text = text.replace(secret.encode(), b"...")
    return _SCHEMES.sub(rb"\1\2...", text)
