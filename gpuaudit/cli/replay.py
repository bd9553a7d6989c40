"""`gpuaudit replay`: what keep-alive policies would have cost over recorded requests."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpuaudit.cli import options

if TYPE_CHECKING:
    from gpuaudit.collect.arrivals.recording import Recording

POLICY, COLUMNS = "Policies", "Columns of the file"


def replay(
    arrivals: Annotated[
        Path, typer.Argument(metavar="ARRIVALS", help="Requests: CSV or JSON lines (also .gz) or Parquet.")
    ],
    keep_alive: Annotated[
        str,
        typer.Option(
            "--keep-alive",
            metavar="S,S...",
            help="Seconds that an idle instance lives on; several: 0,60.",
            rich_help_panel=POLICY,
        ),
    ] = "0,60,300,900,3600",
    load_seconds: Annotated[
        str | None,
        typer.Option(
            "--load-seconds",
            metavar="S",
            help="How long a cold start takes: charged and waited for.",
            rich_help_panel=POLICY,
        ),
    ] = None,
    slots: Annotated[
        int | None,
        typer.Option(
            "--slots",
            metavar="N",
            help="Requests that one instance serves at once (default: any).",
            rich_help_panel=POLICY,
        ),
    ] = None,
    usd_per_gpu_hour: Annotated[
        str | None,
        typer.Option("--usd-per-gpu-hour", metavar="USD", help="Print what each policy costs.", rich_help_panel=POLICY),
    ] = None,
    timestamp_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Arrivals, ISO 8601 or Unix time (default: timestamp).", rich_help_panel=COLUMNS
        ),
    ] = None,
    model_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Models asked for (default: model).", rich_help_panel=COLUMNS)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="NAME", help="All rows are requests to this one model.", rich_help_panel=COLUMNS
        ),
    ] = None,
    duration_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Times in service (default: duration_seconds).", rich_help_panel=COLUMNS),
    ] = None,
    duration_scale: Annotated[
        str, typer.Option(metavar="S", help="Seconds in one unit of duration: 0.001 for ms.", rich_help_panel=COLUMNS)
    ] = "1",
    time_unit: Annotated[
        str, typer.Option(metavar="s|ms|us|ns", help="Unit of numeric timestamps.", rich_help_panel=COLUMNS)
    ] = "s",
    output: options.Output = None,
) -> None:
    """Replay recorded requests under keep-alive policies: GPU-hours, cold starts and waits of each, computed exactly.

    The file has the columns timestamp, model and duration_seconds (empty = 0), or say which columns are meant.
    """
    from gpuaudit.cli.outputs import put, sinks
    from gpuaudit.collect.arrivals.recording import Layout, read
    from gpuaudit.plan.replay import policies, questions
    from gpuaudit.report.json import encode
    from gpuaudit.report.replay_data import replay_data
    from gpuaudit.report.replay_terminal import replay_text
    from gpuaudit.report.terminal import Screen

    targets = sinks(output or ())
    kept = questions.keep_alives(keep_alive)
    load = None if load_seconds is None else questions.nanoseconds(load_seconds, "--load-seconds")
    usd = None if usd_per_gpu_hour is None else questions.price(usd_per_gpu_hour)
    at_once = questions.slots(slots)
    layout = Layout(
        timestamp=timestamp_column,
        model=model_column,
        duration=duration_column,
        one_model=model,
        unit=questions.unit(time_unit),
        scale=questions.scale(duration_scale),
    )
    recording = read(arrivals, layout)
    _notes(recording)
    result = policies.replay(recording.arrivals, kept, load=load, slots=at_once)
    for sink in targets:
        unicode = sink.file is not None or Screen.of_stdout().unicode
        text = replay_text(result, usd_per_gpu_hour=usd, unicode=unicode)
        put(encode(replay_data(result)) if sink.format == "json" else text, sink)


def _notes(recording: "Recording") -> None:
    from gpuaudit.collect.arrivals.recording import reasons

    if recording.skipped:
        count = sum(recording.skipped.values())
        why = "; ".join(reasons(recording.skipped))
        sys.stderr.write(f"note: {count:,} of {recording.rows:,} rows skipped: {why}\n")
    if not recording.durations:
        sys.stderr.write("note: no column duration_seconds: requests take no time (--duration-column NAME)\n")
