"""The errors of slipway: one small tree."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SlipwayError(Exception):
    """An error that slipway reports in one line; exit code 1."""

    exit_code = 1


class UserError(SlipwayError):
    """A mistake of the user: what is wrong, what was received, what to do; exit code 2."""

    exit_code = 2


class MissingExtra(SlipwayError):
    """A path cannot run here because libraries or tools are missing: the row is skipped."""


class NotPossible(SlipwayError):
    """A path cannot run on this machine or take this model, whatever is installed: the row is skipped."""


NEAR = 0.5
"""From this likeness on (``difflib``'s ratio, 0 to 1) a name is suggested; below it, all known names are listed."""
NEARLY = 0.8
"""A name is suggested beside the nearest one if it is so much as near."""


def unknown(kind: str, received: str, known: Iterable[str]) -> UserError:
    """Return a UserError for an unknown name that suggests the closest known ones."""
    names = list(known)
    near = difflib.get_close_matches(received.lower(), names, n=3, cutoff=NEAR)
    likeness = [difflib.SequenceMatcher(None, received.lower(), name).ratio() for name in near]
    near = [name for name, ratio in zip(near, likeness, strict=True) if ratio >= NEARLY * likeness[0]]
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names)}."
    return UserError(f"unknown {kind}: {received!r}. {hint}")
