"""What a node costs an hour: the user's overrides, then the catalogue of list prices; else unpriced, never $0.

The override file (`--prices FILE`, TOML) holds `[[instance]]` (per instance type), `[[owned]]` (per GPU-hour of
owned hardware), `[[discount]]` (on list prices) and `[[commitment]]` (reserved nodes or a floating hourly amount,
with an end).
"""

import fnmatch
import tomllib
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from gpuaudit.cluster.nodes import Node
from gpuaudit.errors import UserError
from gpuaudit.knowledge import prices

HOURS_PER_MONTH = 730  # design 5
HINT = "write a fresh one with: gpuaudit prices --template"


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of the override file."""


class InstancePrice(_Row, frozen=True, kw_only=True):
    """What you pay for one instance type, whatever its list price."""

    instance_type: str
    usd_per_hour: Decimal
    provider: str | None = None
    region: str | None = None
    purchase: str | None = None
    date: date
    source: str = "your price file"


class OwnedPrice(_Row, frozen=True, kw_only=True):
    """What a GPU-hour of owned hardware costs (depreciation, power, space): by model, pool or node name pattern."""

    usd_per_gpu_hour: Decimal
    gpu: str | None = None
    pool: str | None = None
    node: str | None = None
    date: date
    source: str = "your price file"


class Discount(_Row, frozen=True, kw_only=True):
    """A share off the list price, 0-1, of a provider and instance types (pattern)."""

    ratio: Decimal
    provider: str | None = None
    instance_type: str = "*"
    source: str = "your price file"


class Commitment(_Row, frozen=True, kw_only=True):
    """A commitment: whole nodes (`nodes` of an instance type) or a floating amount (`usd_per_hour`), until `end`."""

    kind: Literal["reserved", "savings_plan", "committed_use", "capacity_block", "owned", "lease"]
    end: date
    provider: str | None = None
    region: str | None = None
    instance_type: str = "*"
    pool: str | None = None
    nodes: int | None = None
    usd_per_hour: Decimal | None = None


class PriceFile(_Row, frozen=True, kw_only=True):
    """The whole override file."""

    currency: Literal["USD"] = "USD"
    instance: tuple[InstancePrice, ...] = ()
    owned: tuple[OwnedPrice, ...] = ()
    discount: tuple[Discount, ...] = ()
    commitment: tuple[Commitment, ...] = ()


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A node's hourly price: list price, discount (0-1), what is billed, where from and of which day."""

    usd_hour: Decimal
    list_usd_hour: Decimal | None
    discount: Decimal
    source: str
    date: str
    is_list: bool


class Unpriced(msgspec.Struct, frozen=True, kw_only=True):
    """Why a node has no price."""

    why: str


class PriceBook:
    """Prices of nodes under one override file (or none)."""

    def __init__(self, file: PriceFile | None = None) -> None:
        self.file = file or PriceFile()

    def rate(self, node: Node) -> Rate | Unpriced:
        """Return the node's hourly price, or why there is none."""
        return self._overridden(node) or self._owned(node) or self._listed(node)

    def commitment(self, node: Node) -> Commitment | None:
        """Return the commitment on whole nodes that covers this node's kind, the longest one, or None."""
        fitting = [row for row in self.file.commitment if row.usd_per_hour is None and _covers(row, node)]
        return max(fitting, key=lambda row: row.end, default=None)

    def floating(self, node: Node) -> Sequence[Commitment]:
        """Return the floating commitments (dollars an hour) that this node's bill counts against."""
        return [row for row in self.file.commitment if row.usd_per_hour is not None and _covers(row, node)]

    def _overridden(self, node: Node) -> Rate | None:
        for row in self.file.instance:
            same = row.instance_type == node.instance_type and row.provider in (None, node.provider)
            if same and row.region in (None, node.region) and row.purchase in (None, node.purchase):
                return _own(row.usd_per_hour, row.source, row.date)
        return None

    def _owned(self, node: Node) -> Rate | None:
        models = {card.model for card in node.cards}
        for row in self.file.owned:
            if row.gpu is None and row.pool is None and row.node is None:
                fits = node.purchase == "owned" or node.provider is None
            else:
                fits = (
                    (row.gpu is None or models == {row.gpu})
                    and row.pool in (None, node.pool)
                    and (row.node is None or fnmatch.fnmatchcase(node.name, row.node))
                )
            if fits and node.cards:
                return _own(row.usd_per_gpu_hour * node.gpus, row.source, row.date)
        return None

    def _listed(self, node: Node) -> Rate | Unpriced:
        if node.instance_type is None:
            return Unpriced(why="no instance type: give it a price per GPU-hour under [[owned]]")
        offer = prices.find(node.provider, node.instance_type, node.region)
        if offer is None:
            return Unpriced(why=f"instance type {node.instance_type} is not in the price catalogue")
        spot = node.purchase == "spot"
        usd = offer.spot_usd_hour if spot else offer.on_demand_usd_hour
        if usd is None:
            return Unpriced(why=f"no {'spot' if spot else 'on-demand'} price of {node.instance_type} is known")
        discount = Decimal(0) if spot else self._discount(node)
        kind = "spot price of one day" if spot else "on-demand list price"
        here = offer.region in (node.region, "all")
        where = offer.region if here else f"{offer.region}, not {node.region or 'known here'}"
        return Rate(
            usd_hour=usd * (1 - discount),
            list_usd_hour=usd,
            discount=discount,
            source=f"{kind} of {where}" + (f", less {discount:.1%}" if discount else ""),
            date=offer.price_date,
            is_list=True,
        )

    def _discount(self, node: Node) -> Decimal:
        for row in self.file.discount:
            if row.provider in (None, node.provider) and fnmatch.fnmatchcase(
                node.instance_type or "", row.instance_type
            ):
                return row.ratio
        return Decimal(0)


def load_prices(path: Path) -> PriceFile:
    """Read an override file. UserError for one that is missing, not TOML, or says something impossible."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        file = msgspec.convert(raw, PriceFile)
    except OSError as error:
        raise UserError(f"cannot read the price file {path}: {error.strerror}", hint=HINT) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise UserError(f"price file {path}: {error}", hint=HINT) from error
    _check(file, path)
    return file


def _check(file: PriceFile, path: Path) -> None:
    amounts = [row.usd_per_hour for row in file.instance] + [row.usd_per_gpu_hour for row in file.owned]
    amounts += [row.usd_per_hour for row in file.commitment if row.usd_per_hour is not None]
    if any(not amount.is_finite() or amount <= 0 for amount in amounts):
        raise UserError(f"price file {path}: a price is not above 0", hint="leave a row out to have it unpriced")
    if any(not 0 <= row.ratio < 1 for row in file.discount):
        raise UserError(f"price file {path}: a discount is not within 0 and 1", hint="write 31 % as ratio = 0.31")
    if any((row.nodes is None) == (row.usd_per_hour is None) for row in file.commitment):
        raise UserError(
            f"price file {path}: a commitment needs either nodes or usd_per_hour",
            hint="nodes = 4 for reserved machines, usd_per_hour = 120.0 for a savings plan",
        )


def _own(usd_hour: Decimal, source: str, day: date) -> Rate:
    return Rate(
        usd_hour=usd_hour,
        list_usd_hour=None,
        discount=Decimal(0),
        source=source,
        date=day.isoformat(),
        is_list=False,
    )


def _covers(row: Commitment, node: Node) -> bool:
    return (
        row.provider in (None, node.provider)
        and row.region in (None, node.region)
        and row.pool in (None, node.pool)
        and fnmatch.fnmatchcase(node.instance_type or "", row.instance_type)
    )
