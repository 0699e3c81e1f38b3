"""Formats figures as every table has them."""

from __future__ import annotations

from typing import Any


def number(value: float | None, digits: int = 3) -> str:
    """Formats a figure with this many significant digits; a dash if it was not measured."""
    if value is None:
        return "–"
    if value >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def how_often(results: dict[str, Any]) -> str:
    """Says of how many runs the figures are."""
    return "One run" if results["runs"] == 1 else f"Medians of {results['runs']} runs"


def about(results: dict[str, Any]) -> str:
    """Describes where and how the figures were measured."""
    machine, versions = results["machine"], results["versions"]
    shown = ", ".join(f"{name} {versions[name]}" for name in ("torch", "tensorflow", "onnxruntime") if name in versions)
    return (
        f"{how_often(results)} by `{results['command']}` on {results['measured'][:10]}: "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system'].split()[0]}, Python {machine['python']}, "
        f"{shown}. `server` offers {results['rate_per_s']:g} requests/s; one compute thread everywhere; server and "
        "load generator share the cores."
    )


def median_of(value: dict[str, float] | None, digits: int = 3) -> str:
    return number(value["median"] if value else None, digits)


def spread_of(value: dict[str, float] | None) -> str:
    """Formats the median of a difference, and its extremes."""
    if value is None:
        return "–"
    # No figure was measured as finely as a microsecond.
    shown = [number(one, 2) if abs(one) >= 1e-3 else "0.000" for one in (value[k] for k in ("median", "min", "max"))]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


def one_line(text: str) -> str:
    """Makes a sentence fit a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
