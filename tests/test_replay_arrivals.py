"""Reading recorded requests: every form that is taken, and every row that is not."""

import gzip
import json
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit.collect.arrivals.recording import Layout, Recording, read
from gpuaudit.collect.arrivals.times import instants, spans
from gpuaudit.errors import UserError

S = 10**9
DAY = datetime(2026, 11, 20, tzinfo=UTC)
DAY_NS = int(DAY.timestamp()) * S


def recording(folder: Path, content: bytes | str, name: str = "arrivals.csv", **layout: object) -> Recording:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(path, Layout(**layout))  # type: ignore[arg-type]


def rows(found: Recording) -> list[tuple[str, int, int]]:
    kept = found.arrivals
    return [
        (kept.names[model], arrival, end - arrival)
        for model, arrival, end in zip(kept.model.tolist(), kept.arrival.tolist(), kept.end.tolist(), strict=True)
    ]


def test_a_csv_of_the_usual_columns_in_any_order(tmp_path: Path) -> None:
    text = "model,note,duration_seconds,timestamp\nb,x,1.5,20\na,y,,10\nb,z,0,15.25\n"
    found = recording(tmp_path, text)
    assert rows(found) == [("a", 10 * S, 0), ("b", 15_250_000_000, 0), ("b", 20 * S, 1_500_000_000)] or rows(found) == [
        ("b", 15_250_000_000, 0),
        ("b", 20 * S, 1_500_000_000),
        ("a", 10 * S, 0),
    ]
    assert (found.rows, found.skipped, found.durations) == (3, {}, True)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20", DAY_NS),
        ("2026-11-20 00:00", DAY_NS),
        ("2026-11-20T00:00:01", DAY_NS + S),
        ("2026-11-20T00:00:00.000000001", DAY_NS + 1),
        ("2026-11-20 00:00:00.1234567", DAY_NS + 123_456_700),
        ("2026-11-20T00:00:00Z", DAY_NS),
        ("2026-11-20T05:30:00+05:30", DAY_NS),
        ("2026-11-19T19:00:00-0500", DAY_NS),
        ("20261120T000000Z", DAY_NS),
        ("2026-11-20T00:00:00.1234567899Z", DAY_NS + 123_456_000),
        (str(DAY_NS // S), DAY_NS),
        (f"{DAY_NS // S}.000000001", DAY_NS + 1),
        (" 7 ", 7 * S),
        ("-5", -5 * S),
        ("1e9", 10**9 * S),
    ],
)
def test_times_are_read_to_the_nanosecond(text: str, moment: int) -> None:
    found = instants(pa.array([text, text]), "s")
    assert found.values.tolist() == [moment, moment]
    assert found.readable.all()


NO_TIMES = """
now|today|NaT|nan|inf|-inf|1_000|٣|2026-13-01|2026-02-30 10:00|9999-01-01|0001-01-01|1e400|9999999999|1700000000000
12:00|2026-11-20 00:00 UTC|0x10|2026-11-20T25:00:00|2026-11-20T00:00:00+99:00|-|.|--1|1,5
""".replace("\n", "|").strip("|")


@pytest.mark.parametrize("text", [*NO_TIMES.split("|"), "x" * 10_000])
def test_what_is_no_time_is_not_guessed(text: str) -> None:
    assert not instants(pa.array([text]), "s").readable.any()


def test_each_row_of_a_mixed_column_is_read_for_itself() -> None:
    texts = ["2026-11-20", "2026-11-20T00:00:00Z", str(DAY_NS // S), "", None, "2026-99-99", "20261120"]
    found = instants(pa.array(texts), "s")
    assert found.values[:3].tolist() == [DAY_NS] * 3
    assert found.given.tolist() == [True] * 3 + [False] * 2 + [True] * 2
    assert found.readable.tolist() == [True] * 3 + [False] * 3 + [True]  # 20261120 is a number of seconds


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**60), 2**61))
def test_a_decimal_number_comes_back_exactly(moment: int) -> None:
    sign, size = "-" * (moment < 0), abs(moment)
    assert instants(pa.array([f"{sign}{size // S}.{size % S:09d}"]), "s").values.tolist() == [moment]
    assert instants(pa.array([f"{sign}{size // 1000}.{size % 1000:03d}"]), "us").values.tolist() == [moment]
    assert instants(pa.array([str(moment)]), "ns").values.tolist() == [moment]


def test_units_scale_numbers_alone() -> None:
    assert instants(pa.array(["1500", "2026-11-20"]), "ms").values.tolist() == [1_500_000_000, DAY_NS]
    assert instants(pa.array([1500]), "ms").values.tolist() == [1_500_000_000]
    assert spans(pa.array(["44", "", "1.5"]), Fraction("0.03")).values.tolist() == [1_320_000_000, 0, 45_000_000]


def test_binary_floating_point_is_rounded_to_what_it_can_tell_apart() -> None:
    found = instants(pa.array([1_700_000_000.1, 0.1, float("nan"), 1e300]), "s")
    assert found.values[:2].tolist() == [1_700_000_000_100_000_000, 100_000_000]
    assert found.readable.tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([DAY.replace(tzinfo=None)], pa.timestamp("ms")),
        pa.array([DAY], pa.timestamp("us", "Europe/Berlin")),
        pa.array([DAY.date()], pa.date32()),
        pa.array([DAY_NS // S], pa.int32()),
        pa.array([DAY_NS // S], pa.uint64()),
        pa.array([f"{DAY_NS // S}.0"]).cast(pa.decimal128(20, 3)),
        pa.array(["2026-11-20"]).dictionary_encode(),
        pa.array(["2026-11-20"], pa.large_string()),
    ],
    ids=lambda column: str(column.type),
)
def test_typed_columns_mean_the_same(column: pa.Array) -> None:
    assert instants(column, "s").values.tolist() == [DAY_NS]


def test_columns_that_hold_no_times_are_refused() -> None:
    for column in (pa.array([True]), pa.array([[1]])):
        with pytest.raises(UserError, match="holds no times"):
            instants(column, "s")


def test_hostile_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    text = (
        b"timestamp,model,duration_seconds\n1,a,1\n,a,1\n2,,1\n3, ,1\nzz,a,1\n4,a,-1\n5,a,x\n6,a,nan\n7,a\n8,a,1,1\n"
        b'9,\xff\xfe,1\n\n"10","a, b",\n11,"two\nlines",1\n'
    )
    found = recording(tmp_path, text)
    assert sorted(rows(found)) == [("a", S, S), ("a, b", 10 * S, 0), ("\ufffd\ufffd", 9 * S, S)]
    assert found.skipped == {
        "without a timestamp": 1,
        "without a model": 2,
        "with a timestamp that cannot be read": 1,
        "with a duration that cannot be read": 3,
        "with too few or too many columns": 2,
        "with a line break in the model: is a quote left open?": 1,
    }
    assert found.rows == 13


def test_a_model_whose_every_row_is_skipped_does_not_count(tmp_path: Path) -> None:
    assert recording(tmp_path, "timestamp,model\nx,gone\n1,here\n").arrivals.names == ("here",)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_other_delimiters_line_ends_marks_and_cases(tmp_path: Path, delimiter: str, ending: str) -> None:
    lines = [["TimeStamp ", "MODEL"], ["1", "a"], ["2", "b"]]
    text = "\ufeff" + ending.join(delimiter.join(line) for line in lines)
    assert sorted(rows(recording(tmp_path, text))) == [("a", S, 0), ("b", 2 * S, 0)]


def test_files_are_told_by_content(tmp_path: Path) -> None:
    text = "timestamp,model,duration_seconds\n1,a,2\n"
    lines = json.dumps({"timestamp": 1, "model": "a", "duration_seconds": 2}) + "\n"
    frame = pd.DataFrame({"timestamp": [1], "model": pd.Categorical(["a"]), "duration_seconds": [2.0]})
    frame.to_parquet(tmp_path / "frame")
    contents = [text.encode(), gzip.compress(text.encode()), lines.encode(), gzip.compress(lines.encode())]
    contents.append((tmp_path / "frame").read_bytes())
    for content in contents:
        assert rows(recording(tmp_path, content, "no-suffix")) == [("a", S, 2 * S)]


def test_several_gzip_members_are_one_file(tmp_path: Path) -> None:
    content = gzip.compress(b"timestamp,model\n1,a\n") + gzip.compress(b"2,a\n")
    assert len(rows(recording(tmp_path, content))) == 2


def test_json_lines_that_are_none_are_counted(tmp_path: Path) -> None:
    lines = ['{"timestamp": 1, "model": "a", "x": [1, {"y": 2}]}', "", "{bad", "[1]", '{"model": "a"}']
    lines += ['{"timestamp":2,"model":null}', '{"timestamp": "1970-01-01T00:00:05Z", "model": 7}']
    found = recording(tmp_path, "\n".join(lines))
    assert rows(found) == [("a", S, 0), ("7", 5 * S, 0)]
    assert found.skipped == {"without a timestamp": 1, "without a model": 1, "that are no JSON objects": 2}


def test_empty_values_of_a_parquet_file_are_empty(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "timestamp": pd.to_datetime(["2026-11-20", None, "2026-11-20"]),
            "model": ["a", "a", None],
            "duration_seconds": [np.nan, 1, 1],
        }
    )
    frame.to_parquet(tmp_path / "frame.parquet")
    found = read(tmp_path / "frame.parquet", Layout())
    assert rows(found) == [("a", DAY_NS, 0)]
    assert found.skipped == {"without a timestamp": 1, "without a model": 1}


def test_columns_of_other_names_and_one_model_for_all(tmp_path: Path) -> None:
    text = "when,who,tokens,timestamp\n1500,a,100,x\n2500,b,200,x\n"
    options = {"timestamp": "when", "unit": "ms", "duration": "tokens", "scale": Fraction("0.01")}
    assert rows(recording(tmp_path, text, model="who", **options)) == [
        ("a", 1_500_000_000, S),
        ("b", 2_500_000_000, 2 * S),
    ]
    assert {name for name, _, _ in rows(recording(tmp_path, text, one_model="m", **options))} == {"m"}


@pytest.mark.parametrize(
    ("content", "layout", "words"),
    [
        (b"", {}, "no column 'timestamp'"),
        (b"a,b\n1,2\n", {}, "it has a, b"),
        (b"timestamp\n1\n", {}, "no column 'model'"),
        (b"timestamp,timestamp,model\n1,1,a\n", {}, "2 columns called"),
        (b"timestamp,model\n1,a\n", {"timestamp": "ts"}, "no column 'ts'"),
        (b"timestamp,model\n1,a\n", {"duration": "d"}, "no column 'd'"),
        (b"timestamp,model\n", {}, "it has no rows"),
        (b"timestamp,model\n1700000000000,a\n", {}, "1 with a timestamp that cannot be read"),
        (b"\x1f\x8bgarbage", {}, "cannot read"),
        (gzip.compress(b"timestamp,model\n1,a\n" * 1000)[:-9], {}, "cannot read"),
        (b"PAR1garbage", {}, "cannot read"),
        (bytes(range(256)) * 9, {}, "it is not text"),
        (b"x" * (1 << 21), {}, "first line does not end"),
        (b"timestamp,model\n1," + b"x" * (9 << 20) + b"\n2,a\n", {}, "cannot read"),
    ],
    ids=range(14),
)
def test_what_cannot_be_used_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes, layout: dict[str, str], words: str
) -> None:
    with pytest.raises(UserError) as refused:
        recording(tmp_path, content, **layout)
    assert words in refused.value.message
    assert refused.value.code == 2


def test_folders_and_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(UserError, match="cannot read"):
            read(path, Layout())


def test_many_pieces_make_one_recording(tmp_path: Path) -> None:
    count = 120_000
    lines = "".join(json.dumps({"timestamp": i, "model": f"m{i % 7}"}) + "\n" for i in reversed(range(count)))
    found = recording(tmp_path, lines).arrivals
    assert len(found.arrival) == count
    assert (np.diff(found.model) >= 0).all()
    assert (np.diff(found.arrival)[np.diff(found.model) == 0] == 7 * S).all()


def test_a_broken_row_that_is_no_text_is_just_skipped(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = recording(tmp_path, b"timestamp,model\n1,caf\xc3\xa9\n\xff,\xfe,\xfd\n2,b\n")
    assert sorted(rows(found)) == [("b", 2 * S, 0), ("café", S, 0)]
    assert found.skipped == {"with too few or too many columns": 1}
    assert capfd.readouterr().err == ""


GOOD = b"timestamp,model,duration_seconds\n" + b'2026-11-20 00:00:00.5,a,1\n17,"b",\n' * 20
FORMS = (GOOD, gzip.compress(GOOD), b'{"timestamp": 1, "model": "a", "duration_seconds": 2}\n' * 20)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FORMS), st.lists(st.tuples(st.integers(0, 900), st.binary(max_size=4)), max_size=8))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, damage: list[tuple[int, bytes]]
) -> None:
    for place, put in damage:
        content = content[:place] + put + content[place + 1 :]
    try:
        found = recording(tmp_path_factory.mktemp("damaged"), content)
    except UserError:
        return
    assert len(found.arrivals.arrival) + sum(found.skipped.values()) == found.rows
