"""`gpuaudit mig`: what a GPU can be cut into, and the fewest or cheapest GPUs that hold a demand."""

from typing import Annotated

import typer

from gpuaudit.cli import options

app = typer.Typer(
    help="Cut GPUs: MIG profiles, and the fewest GPUs for a demand.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("profiles")
def profiles(
    gpu: Annotated[
        str, typer.Argument(metavar="GPU", help="A model: a100-80gb-sxm, or as nvidia-smi or GFD print it.")
    ],
    output: options.Output = None,
) -> None:
    """Print the profiles of a GPU model: memory, SMs, legal placements, stock layouts."""
    from gpuaudit.cli.outputs import put, sinks
    from gpuaudit.plan.pack_cases import gpu_with_mig
    from gpuaudit.report.json import encode
    from gpuaudit.report.mig_data import profiles_data
    from gpuaudit.report.mig_terminal import profiles_text

    targets = sinks(output or ())
    data = profiles_data(*gpu_with_mig(gpu))
    for sink in targets:
        put(encode(data) if sink.format == "json" else profiles_text(data), sink)


@app.command("pack")
def pack(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="GPU PROFILE=N", help="The GPU model (not with --gpu), then how many of which profile: 1g.10gb=13."
        ),
    ] = None,
    gpu: Annotated[
        list[str] | None,
        typer.Option("--gpu", metavar="GPU=USD", help="A model and its price per GPU-hour: cheapest mix. Repeatable."),
    ] = None,
    output: options.Output = None,
) -> None:
    """Print the fewest GPUs that hold the instances, how to cut each of them, and the proof.

    With --gpu, the cheapest mix of models: an instance may then be served by another model's profile that has at least
    its SMs and memory.
    """
    from gpuaudit.cli.outputs import put, sinks
    from gpuaudit.plan import pack_cases
    from gpuaudit.report import mig_data, mig_terminal
    from gpuaudit.report.json import encode
    from gpuaudit.report.terminal import Screen

    targets = sinks(output or ())
    words = words or []
    if gpu:
        case = pack_cases.cheapest([pack_cases.read_price(text) for text in gpu], pack_cases.read_demand(words))
    else:
        case = pack_cases.fewest(pack_cases.read_gpu(words), pack_cases.read_demand(words[1:]))
    data = mig_data.mix_data(case) if gpu else mig_data.packing_data(case)
    draw = mig_terminal.mix_text if gpu else mig_terminal.packing_text
    for sink in targets:
        unicode = sink.file is not None or Screen.of_stdout().unicode
        put(encode(data) if sink.format == "json" else draw(case, data, unicode=unicode), sink)
