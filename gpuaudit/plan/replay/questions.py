"""Seconds and slots as people write them."""

from decimal import Decimal, InvalidOperation
from fractions import Fraction

from gpuaudit.errors import UserError
from gpuaudit.plan.replay.arrivals import SECOND, UNITS

MOST_SECONDS = 10**9  # 31 years
MOST_POLICIES = 100
MOST_SLOTS = 10**6


def keep_alives(text: str) -> tuple[int, ...]:
    """Read `0,60,300`: keep-alives in seconds, returned in nanoseconds and in that order."""
    words = text.split(",")
    if len(words) > MOST_POLICIES:
        raise UserError(f"{len(words)} keep-alives are too many", hint=f"up to {MOST_POLICIES} are replayed at once")
    return tuple(nanoseconds(word, "--keep-alive") for word in words)


def nanoseconds(text: str, option: str) -> int:
    """Read a number of seconds, down to the nanosecond."""
    seconds = _number(text)
    if seconds is None or not 0 <= seconds <= MOST_SECONDS:
        raise UserError(f"{option} {text!r} is not a number of seconds", hint=f"write it as {_example(option)}")
    return round(seconds * SECOND)


def price(text: str) -> Decimal:
    """Read dollars per GPU-hour."""
    usd = _number(text.removeprefix("$"))
    if usd is None or not 0 <= usd <= MOST_SECONDS:
        raise UserError(f"--usd-per-gpu-hour {text!r} is no price", hint="write it as --usd-per-gpu-hour 3.43")
    return usd


def scale(text: str) -> Fraction:
    """Read the seconds that one unit of duration stands for."""
    seconds = _number(text)
    if seconds is None or not 0 < seconds <= MOST_SECONDS or abs(seconds.adjusted()) > len(str(MOST_SECONDS)) + 3:
        raise UserError(
            f"--duration-scale {text!r} is no number above 0", hint="milliseconds are --duration-scale 0.001"
        )
    return Fraction(seconds)


def unit(text: str) -> str:
    """Check the unit of numeric timestamps."""
    if text not in UNITS:
        raise UserError(f"--time-unit {text!r} is not known", hint=f"it is one of: {', '.join(UNITS)}")
    return text


def slots(count: int | None) -> int | None:
    """Check the requests that one instance serves at once; None = any number."""
    if count is not None and not 1 <= count <= MOST_SLOTS:
        raise UserError(f"--slots {count} is not possible", hint=f"1 to {MOST_SLOTS:,}, or leave it out for any number")
    return count


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip()) if "_" not in text else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def _example(option: str) -> str:
    return f"{option} 0,60,300" if option == "--keep-alive" else f"{option} 30"
