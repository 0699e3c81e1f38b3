"""Numbers and foreign text as people read them. Pure functions of one value."""

from __future__ import annotations

import math
import re

DASH = "—"

# CSI and OSC sequences, then any other escape (ECMA-48): servers colour their logs.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]?")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def figures(value: float, digits: int = 3) -> str:
    """``digits`` significant figures, never in scientific notation, thousands apart: 0.0123, 12.3, 1,234."""
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    rounded = round(value, places)
    # 9.999 rounds to 10.00: the magnitude has to be read again.
    places = max(0, digits - 1 - math.floor(math.log10(abs(rounded)))) if rounded else places
    return f"{rounded:,.{places}f}"


def megabytes(value: float) -> str:
    """Bytes as megabytes (1e6), the unit left to the header."""
    return figures(value / 1e6)


def percent(value: float) -> str:
    """A share (0 to 1) as a percentage, rounded *down* to two decimals: 100 is said of the whole alone."""
    return "100" if value == 1 else f"{math.floor(value * 1e4 + 1e-6) / 100:.2f}"


def whole_percent(value: float) -> str:
    """A share as a percentage of about two figures, for ratios that are not a promise."""
    return f"{value * 100:.0f}" if value >= 0.1 else figures(value * 100, 2)


def scientific(value: float) -> str:
    """Two significant figures with an exponent, as tolerances are written: 8.6e-06."""
    return "0" if value == 0 else f"{value:.1e}"


def count(value: float) -> str:
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: 8.4 s, 3 min 20 s, 1 h 2 min."""
    if seconds < 60:
        return f"{figures(seconds, 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def plain(text: str) -> str:
    """Foreign text without what would steer a terminal, turn the reading direction or break UTF-8."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _ESCAPES.sub("", text)).encode("utf-8", "replace").decode()


def sentence_and_log(reason: str | None) -> tuple[str, str]:
    """A reason's first line, and what follows it (a log's tail), either may be empty."""
    sentence, _, log = plain(reason or "").strip().partition("\n")
    return sentence.strip(), log.strip("\n")
