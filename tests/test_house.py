"""The house: imports run in one direction, lazy ones included, and no two folders import each other in a circle."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {"models": {"models"}, "serving": {"serving"}, "pipelines": {"pipelines", "models", "serving"}}
MOST_ROOMS = 14


@cache
def imports_of(file: Path) -> tuple[str, ...]:
    """The dotted names of a file's imports, wherever they stand: a submodule where one is named."""
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def modules(package: str) -> dict[str, Path]:
    """Dotted name -> file of every module below a package."""
    found = {}
    for file in (ROOT / package).rglob("*.py"):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def arrows(package: str) -> set[tuple[str, str]]:
    """(importing module, imported module) within a package."""
    known = modules(package)
    found = set()
    for name, file in known.items():
        for target in imports_of(file):
            while target and target not in known:
                target = target.rpartition(".")[0]
            if target and target != name:
                found.add((name, target))
    return found


def rooms(folder: str, pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows between the rooms of a folder: its files and its sub-folders."""

    def room(module: str) -> str | None:
        rest = module.removeprefix(f"{folder}.")
        return rest.partition(".")[0] if rest != module else None

    between = {(room(one), room(other)) for one, other in pairs}
    return {(one, other) for one, other in between if one and other and one != other}


def circle(pairs: set[tuple[str, str]]) -> list[str]:
    """Rooms that are left when those that import nothing are taken away, again and again."""
    left = set(pairs)
    while removable := {other for _, other in left} - {one for one, _ in left}:
        left = {(one, other) for one, other in left if other not in removable}
    return sorted({one for one, _ in left})


def test_packages_import_in_one_direction() -> None:
    wrong = [
        f"{name} imports {target}"
        for package, allowed in ALLOWED.items()
        for name, file in modules(package).items()
        for target in imports_of(file)
        if target.partition(".")[0] in ALLOWED and target.partition(".")[0] not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "folder",
    sorted(
        {
            ".".join(file.parent.relative_to(ROOT).parts)
            for package in ALLOWED
            for file in (ROOT / package).rglob("*.py")
        }
    ),
)
def test_no_rooms_of_a_folder_import_each_other_in_a_circle(folder: str) -> None:
    assert circle(rooms(folder, arrows(folder.partition(".")[0]))) == []


def test_a_circle_is_found() -> None:
    assert circle({("a", "b"), ("b", "c")}) == []
    assert circle({("a", "b"), ("b", "a"), ("b", "c")}) == ["a", "b"]


def test_folders_have_few_rooms() -> None:
    """One file per path, command, face or claim: these folders may grow; all others have at most MOST_ROOMS."""
    growing = {"pipelines.paths", "pipelines.commands", "pipelines.report", "pipelines.claims", "serving.conformance"}
    crowded = {}
    for package in ALLOWED:
        for folder in {file.parent for file in (ROOT / package).rglob("*.py")}:
            name = ".".join(folder.relative_to(ROOT).parts)
            here = [one for one in folder.iterdir() if one.suffix == ".py" or any(one.rglob("*.py"))]
            count = len([one for one in here if one.name not in ("__init__.py", "__main__.py")])
            if count > MOST_ROOMS and name not in growing:
                crowded[name] = count
    assert crowded == {}


def test_a_run_does_not_import_the_load_tester_of_other_servers() -> None:
    """No module outside the commands and the faces of that load tester imports it, either."""
    alone = {f"pipelines.commands.{name}" for name in ("loadtest_url", "calibrate")}
    alone |= {"pipelines.report.load_text", "pipelines.report.load_page"}
    found = {
        one
        for one, other in arrows("pipelines")
        if other.startswith("pipelines.loadtest.standalone")
        and not one.startswith("pipelines.loadtest.standalone")
        and one not in alone
    }
    assert found == set()


def test_a_class_name_means_one_thing() -> None:
    """TorchServe's handler ships alone, in an archive, and scripts are read alone: their names are their own."""
    alone = ("serving.torchserve.handler", "pipelines.claims.experiments.scripts")
    where: dict[str, list[str]] = {}
    for package in ALLOWED:
        for name, file in modules(package).items():
            if not file.name.endswith("_pb2.py") and not name.startswith(alone):
                for node in ast.parse(file.read_text()).body:
                    if isinstance(node, ast.ClassDef):
                        where.setdefault(node.name, []).append(name)
    assert {name: places for name, places in where.items() if len(places) > 1} == {}
