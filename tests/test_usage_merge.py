from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit.cluster.usage import HOURLY_KEYS, HOURLY_VALUES, Usage, conform_hourly
from gpuaudit.collect.joining.usage_merge import merge_usage

START = datetime(2026, 11, 1, tzinfo=UTC)
ROW = st.fixed_dictionaries(
    {
        "device": st.sampled_from(["GPU-1", "GPU-2"]),
        "owner": st.sampled_from(["", "?", "c/Pod/n/a"]),
        "hour": st.integers(0, 2).map(lambda hour: START + timedelta(hours=hour)),
        "samples": st.integers(1, 60).map(float),
    }
)
PARTS = st.lists(st.lists(ROW, max_size=5, unique_by=lambda row: tuple(row[k] for k in HOURLY_KEYS[1:])), max_size=4)


def usage(rows):
    columns = {name: [row.get(name, 0.5) for row in rows] for name in HOURLY_VALUES}
    keys = {name: [row.get(name, "c") for row in rows] for name in HOURLY_KEYS}
    return Usage(hourly=conform_hourly(keys | columns))


def by_hour(one):
    return one.hourly.groupby(["device", "hour"])["samples"].sum().to_dict()


@settings(max_examples=50, deadline=None)
@given(parts=PARTS)
def test_an_hour_of_a_device_counts_once(parts):
    parts = [usage(rows) for rows in parts]
    merged = merge_usage(parts)
    wanted = {}
    for part in parts:
        for key, samples in by_hour(part).items():
            wanted[key] = max(samples, wanted.get(key, 0))
    assert by_hour(merged) == wanted
    assert merge_usage(parts[::-1]).hourly.equals(merged.hourly)
    assert merge_usage([*parts, *parts]).hourly.equals(merged.hourly)
