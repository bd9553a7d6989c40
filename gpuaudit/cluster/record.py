"""The shape that every record of the inventory has."""

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A frozen, comparable, storable record; fields are keyword-only and absent ones take their default on loading."""
