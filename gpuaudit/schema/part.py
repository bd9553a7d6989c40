"""The base of all pieces of the report."""

import msgspec


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the report."""
