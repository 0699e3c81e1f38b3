"""Format numbers and foreign text for people. Pure functions of one value."""

from __future__ import annotations

import math
import re

from pipelines.results import Certificate, Holds

DASH = "—"

# CSI and OSC sequences, then any other escape (ECMA-48): servers colour their logs.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]?")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def figures(value: float, digits: int = 3) -> str:
    """Format with ``digits`` significant figures, no exponent, and commas at thousands: 0.0123, 12.3, 1,234."""
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    rounded = round(value, places)
    # 9.999 rounds to 10.00: the magnitude has changed.
    places = max(0, digits - 1 - math.floor(math.log10(abs(rounded)))) if rounded else places
    return f"{rounded:,.{places}f}"


def megabytes(value: float) -> str:
    """Format bytes as megabytes (1e6), without the unit."""
    return figures(value / 1e6)


def percent(value: float) -> str:
    """Format a share (0 to 1) as a percentage, rounded *down* to two decimals, so that only 1 gives 100."""
    return "100" if value == 1 else f"{math.floor(value * 1e4 + 1e-6) / 100:.2f}"


def whole_percent(value: float) -> str:
    """Format a share as a percentage with about two figures, for ratios that need no precision."""
    return f"{value * 100:.0f}" if value >= 0.1 else figures(value * 100, 2)


def scientific(value: float) -> str:
    """Format with two significant figures and an exponent, as for tolerances: 8.6e-06."""
    return "0" if value == 0 else f"{value:.1e}"


def nearness(proof: Certificate) -> str:
    """Say in a few words how near an artifact is to the reference, and by which limit it was judged."""
    ratio = "no difference" if proof.sqnr_db is None else f"SQNR {proof.sqnr_db:.1f} dB"
    floor = "" if proof.min_sqnr_db is None else f" (at least {proof.min_sqnr_db:g})"
    limit = "" if proof.atol is None else f" (at most {proof.atol:g}, {proof.tolerance_source})"
    return f"{ratio}{floor}, max abs difference {scientific(proof.max_abs)}{limit}"


def contents(holds: Holds) -> str:
    """Say in a few words what an artifact holds: int8 97 %, float32 3 %; 100 % delegated; opset 20."""
    total = sum(holds.weights.values())
    sizes = sorted(holds.weights.items(), key=lambda one: (-one[1], one[0]))
    types = [f"{name} {whole_percent(size / total)} %" for name, size in sizes if size]
    delegated = [] if holds.delegated is None else [f"{percent(holds.delegated)} % delegated"]
    custom = [f"custom: {', '.join(holds.custom)}"] if holds.custom else []
    facts = [f"{name} {value}" for name, value in holds.facts.items()]
    return "; ".join([", ".join(types) or "no weights", *delegated, *custom, *facts])


def count(value: float) -> str:
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Format a duration for people: 8.4 s, 3 min 20 s, 1 h 2 min."""
    if seconds < 60:
        return f"{figures(seconds, 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def plain(text: str) -> str:
    """Remove from foreign text all that controls a terminal, changes the reading direction or breaks UTF-8."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _ESCAPES.sub("", text)).encode("utf-8", "replace").decode()


def shortened(text: str, chars: int) -> str:
    """Cut a name in the middle to at most ``chars`` characters: both ends tell names apart."""
    if len(text) <= chars:
        return text
    tail = (chars - 1) // 2
    return f"{text[: chars - 1 - tail]}…{text[len(text) - tail :]}"


def sentence_and_log(reason: str | None) -> tuple[str, str]:
    """Split a reason into its first line and the rest (the end of a log); either may be empty."""
    sentence, _, log = plain(reason or "").strip().partition("\n")
    return sentence.strip(), log.strip("\n")
