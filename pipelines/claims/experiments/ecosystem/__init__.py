"""Try what stands around the two frameworks: one file for each library that the article names; all run in processes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

KINDS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)


@contextmanager
def deprecations(distributions: Iterable[str]) -> Iterator[list[str]]:
    """Collect, while the block runs, the deprecations that name one of these distributions' modules.

    The list is filled at the end of the block: ``distribution version: text``, each once.
    """
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield found
    places = {name: f"/{name.replace('-', '_')}/" for name in distributions}
    for one in caught:
        for name, place in places.items():
            if issubclass(one.category, KINDS) and place in str(one.filename):
                text = f"{name} {_version(name)}: {' '.join(str(one.message).split())[:300]}"
                found += [] if text in found else [text]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"
