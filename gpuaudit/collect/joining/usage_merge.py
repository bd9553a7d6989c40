"""Usage tables of several inputs → one: a device's hour counts once, as the input with most samples of it tells it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpuaudit.cluster.usage import DEVICE_KEYS, Usage, conform_devices, conform_hourly

if TYPE_CHECKING:
    import pandas as pd

_HOUR = ["cluster", "device", "hour"]


def merge_usage(parts: Sequence[Usage]) -> Usage:
    """Return one usage, whatever the order of the parts. Windows that meet join into a longer one."""
    filled = [part for part in parts if len(part.devices) or len(part.hourly)]
    if len(filled) <= 1:
        return filled[0] if filled else Usage()
    hourly = _best([part.hourly for part in filled], _HOUR)
    devices = _best([part.devices for part in filled], list(DEVICE_KEYS))
    return Usage(hourly=conform_hourly(hourly), devices=conform_devices(devices))


def _best(tables: Sequence["pd.DataFrame"], key: list[str]) -> "pd.DataFrame":
    """Return the rows of each key from the table that has most samples of it; the later one decides a tie."""
    import pandas as pd

    numbered = pd.concat([table.assign(part=number) for number, table in enumerate(_ordered(tables))])
    numbered["total"] = numbered.groupby([*key, "part"])["samples"].transform("sum")
    best = numbered.sort_values(["total", "part"], kind="stable").drop_duplicates(key, keep="last")
    return numbered.merge(best[[*key, "part"]], on=[*key, "part"]).drop(columns=["part", "total"])


def _ordered(tables: Sequence["pd.DataFrame"]) -> list["pd.DataFrame"]:
    """Return the tables in an order that their content decides."""
    import pandas as pd

    return sorted(tables, key=lambda table: (len(table), int(pd.util.hash_pandas_object(table, index=False).sum())))
