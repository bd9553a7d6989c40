"""The shape that every record of the inventory has."""

from datetime import datetime
from typing import Annotated

import msgspec

Instant = Annotated[datetime, msgspec.Meta(tz=True)]  # a time with its zone; a stored one without is refused


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A frozen, comparable, storable record; fields are keyword-only and absent ones take their default on loading."""
