"""MIG answers for a terminal: profiles as a table, packings drawn, and the proof in numbers that add up by hand."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from textwrap import wrap
from typing import Any

from gpuaudit.knowledge.mig import MigGpu
from gpuaudit.plan import layout_check
from gpuaudit.plan.pack_cases import Case, alone
from gpuaudit.plan.packing import Pile
from gpuaudit.plan.pricebook import HOURS_PER_MONTH
from gpuaudit.report.mig_drawing import command, drawing

MIB_PER_GIB = 1024
WIDTH = 79


def profiles_text(data: Mapping[str, Any]) -> str:
    """Return the profiles of a GPU as a table, with its stock layouts; `data` is what the JSON holds."""
    heads = ("profile", "id", "slices", "GiB", "SMs", "most", "starts:slots", "resource")
    rows = [heads, *(_profile_cells(row, data) for row in data["profiles"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    title = f"{data['gpu']}: {data['memory_slots']} memory slots, {data['compute_slices']} compute slices"
    return "\n".join([
        title, "",
        *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows),
        "", *_inferred(data), *_census(data), "",
        "Stock layouts of mig-parted:",
        *(f"  {name:<22} {_counted(held)}" for name, held in data["stock_layouts"].items()), "",
    ])  # fmt: skip


def packing_text(case: Case, data: Mapping[str, Any], *, unicode: bool = True) -> str:
    """Return a packing on one model: the answer, the layouts drawn, the proof. `data` is what the JSON holds."""
    (offer,) = case.offers
    total = sum(case.demand.values())
    lines = [*_wrapped(f"{offer.name}: {_gpus(data['gpus'])} for {_many(total, 'instance')}. {_verdict(data)}"), ""]
    for pile in case.packing.piles:
        lines += [*_pile_lines(pile, offer.gpu, unicode=unicode), ""]
    lines += _spare_lines(case)
    if total:
        lines += _proof(case, data)
    return _text(lines)


def mix_text(case: Case, data: Mapping[str, Any], *, unicode: bool = True) -> str:
    """Return a packing on several models, beside what each model alone would cost."""
    cost = data["usd_per_hour"]
    used = ", ".join(
        f"{model['gpus']:,} {model['gpu']} at ${_usd(model['usd_per_gpu_hour'])}"
        for model in data["models"]
        if model["gpus"]
    )
    bill = f"${_usd(cost)} an hour (${_usd(cost * HOURS_PER_MONTH)} a month): {used or 'no GPU'}."
    lines = [*_wrapped(bill), *_wrapped(_mix_verdict(data))]
    for name, price in alone(case).items():
        lines.append(f"  {name} alone: " + ("cannot hold all of it" if price is None else f"${_usd(float(price))}"))
    lines.append("")
    grids = {offer.name: offer.gpu for offer in case.offers}
    for pile in case.packing.piles:
        lines += [*_pile_lines(pile, grids[pile.offer], unicode=unicode, owner=f" {pile.offer}"), ""]
    lines += [*_spare_lines(case), *_stand_ins(data), *_mix_proof(case)]
    return _text(lines)


def _profile_cells(row: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[str, ...]:
    memory, sm = row["memory_mib"], row["sm"]
    return (
        row["profile"] + ("*" if row["inferred"] else ""),
        str(row["gi_profile_id"]),
        f"{row['compute_slices']}/{data['compute_slices']}",
        "?" if memory is None else f"{memory / MIB_PER_GIB:.2f}",
        "?" if sm is None else str(sm),
        str(row["max_instances"]),
        f"{{{','.join(map(str, row['starts']))}}}:{row['size']}",
        row["resource"].rpartition("/")[2],
    )


def _inferred(data: Mapping[str, Any]) -> Iterator[str]:
    fields = sorted({field for row in data["profiles"] for field in row["inferred"]})
    if fields:
        yield from _wrapped(
            f"* inferred, not printed by a real device: {', '.join(fields)}; see nvidia-smi mig -lgipp."
        )
        yield ""


def _census(data: Mapping[str, Any]) -> Iterator[str]:
    every, plain = data["layouts"]["all_profiles"], data["layouts"]["without_variants"]
    yield _census_line("Layouts", every)
    if every != plain:
        yield _census_line("without +me and other variants", plain)


def _census_line(label: str, census: Mapping[str, int]) -> str:
    return f"{label}: {census['legal']:,} legal, {census['maximal']:,} full, {census['patterns']:,} mixes of profiles"


def _verdict(data: Mapping[str, Any]) -> str:
    if data["status"] == "optimal":
        return "Fewer cannot hold them: proof below." if data["gpus"] else "Nothing to hold."
    return f"Not proven to be the fewest: the proof below reaches {data['lower_bound']:,}."


def _mix_verdict(data: Mapping[str, Any]) -> str:
    cost, bound = data["usd_per_hour"], data["lower_bound_usd_per_hour"]
    if cost == bound:
        return "Nothing cheaper can hold them: proof below."
    gap = f"the proof below alone shows ${_usd(bound)} ({(cost - bound) / cost:.2%} under it)"
    if data["status"] == "optimal":
        return f"The cheapest: the search excluded everything cheaper; {gap}."
    return f"Not proven to be the cheapest: {gap}."


def _pile_lines(pile: Pile, gpu: MigGpu, *, unicode: bool, owner: str = "") -> list[str]:
    """Return one way of cutting: how many GPUs, its name, the drawing and the command."""
    name = f", stock layout {pile.stock}" if pile.stock else ""
    return [f"{pile.count:,}{owner or ' ' + ('GPU' if pile.count == 1 else 'GPUs')}{name}",
            *drawing(gpu, pile.layout, unicode=unicode), f"  {command(gpu, pile.layout)}"]  # fmt: skip


def _spare_lines(case: Case) -> list[str]:
    spare: Counter[str] = Counter()
    for pile in case.packing.piles:
        for instance in pile.layout:
            spare[instance.profile] += pile.count
    for share in case.packing.shares:
        spare[share.profile] -= share.count
    named = _counted({name: count for name, count in sorted(spare.items()) if count})
    return [*_wrapped(f"To spare, beyond what was asked for: {named}."), ""] if named else []


def _proof(case: Case, data: Mapping[str, Any]) -> list[str]:
    (offer,) = case.offers
    count = layout_check.layout_count(offer.gpu)
    weights = case.packing.weights
    sums = sum((weights.get(name, Fraction(0)) * wanted for name, wanted in case.demand.items()), Fraction(0))
    return [
        *_wrapped(
            f"Proof: give each instance its weight. All {count:,} legal layouts of this GPU were added up, and none "
            "weighs more than 1; so what was asked for needs at least as many GPUs as it weighs."
        ),
        "",
        *_weight_rows(case, str),
        f"together {_decimal(sums)}, so at least {_gpus(data['lower_bound'])}",
    ]


def _mix_proof(case: Case) -> list[str]:
    weights = case.packing.weights
    if not weights:
        return []
    sums = sum((weights.get(name, Fraction(0)) * wanted for name, wanted in case.demand.items()), Fraction(0))
    return [
        *_wrapped(
            "Proof: give each instance its weight in dollars. Whatever a GPU is cut to, what it can serve weighs no "
            "more than that GPU costs (every legal layout was added up); so the demand costs at least what it weighs."
        ),
        "",
        *_weight_rows(case, lambda weight: f"${float(weight):.6g}"),
        f"together ${_usd(float(sums))} an hour",
    ]


def _weight_rows(case: Case, shown: Callable[[Fraction], str]) -> list[str]:
    rows = [("profile", "weight", "asked for", "weighs")]
    for name, wanted in case.demand.items():
        weight = case.packing.weights.get(name, Fraction(0))
        rows.append((name, shown(weight), f"{wanted:,}", _decimal(weight * wanted)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  " + "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
            for row in rows]  # fmt: skip


def _stand_ins(data: Mapping[str, Any]) -> list[str]:
    rows = [one for one in data["shares"] if one["request"] != one["profile"]]
    if not rows:
        return []
    return [
        "Served by a profile of another name (at least its SMs and memory):",
        *(f"  {row['count']:,} {row['request']} by {row['profile']} of {row['gpu']}" for row in rows),
        "",
    ]


def _counted(held: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} x {name}" for name, count in held.items())


def _decimal(value: Fraction) -> str:
    return f"{float(value):,.4f}".rstrip("0").rstrip(".")


def _usd(value: float) -> str:
    return f"{value:,.4f}" if round(value, 2) != round(value, 4) else f"{value:,.2f}"


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _text(lines: Sequence[str]) -> str:
    """Return the lines as text that ends in one newline."""
    return "\n".join(lines).rstrip("\n") + "\n"


def _gpus(count: int) -> str:
    return _many(count, "GPU")


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")
