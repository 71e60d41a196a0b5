"""The rooms of the house, and which way imports run between them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import touchstone
from touchstone.cli import VERBS

PACKAGE = Path(touchstone.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# A room imports from the floors below its own and from itself; from its own floor, nothing else.
FLOORS = (
    {"errors", "draws", "job", "processes", "reproducible", "symbols"},
    {"losses", "augmentations", "average", "batch_norm", "schedules", "networks"},
    {"terms", "selection"},
    {"data", "pages", "pictures", "sampling", "tracking", "truncation"},
    {"comparison", "metrics", "gan", "synthesis", "trained"},
    {"cost", "fitting", "graphs", "sheets", "strategies"},
    {"authenticity", "callbacks", "privacy"},
    {"cli"},
)
# Libraries, beside Python's own, of the rooms that may not have just any.
LIBRARIES = {
    "errors": set[str](),
    "job": set[str](),
    "draws": {"torch"},
    "processes": {"torch"},
    "reproducible": {"torch"},
    "symbols": {"torch"},
    "losses": {"torch"},
    "terms": {"torch"},
    "selection": {"torch"},
    "augmentations": {"torch"},
    "average": {"torch"},
    "batch_norm": {"torch"},
    "schedules": set[str](),
    "networks": {"torch"},
}


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(file: Path) -> set[str]:
    """The full names of the modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms_imported(file: Path) -> set[str]:
    names = [name.split(".") for name in imported(file)]
    return {rest[0] for package, *rest in names if package == "touchstone" and rest} & ROOMS


def libraries_imported(file: Path) -> set[str]:
    packages = {name.split(".")[0] for name in imported(file)}
    return packages - set(sys.stdlib_module_names) - {"touchstone"}


ROOMS = {room_of(file) for file in FILES} - {"__init__", "__main__"}


def test_every_room_is_on_one_floor() -> None:
    assert sorted(room for floor in FLOORS for room in floor) == sorted(ROOMS)


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_imports_run_down_the_floors(room: str) -> None:
    level = next(level for level, floor in enumerate(FLOORS) if room in floor)
    below = set[str]().union(*FLOORS[:level]) | {room}

    for file in FILES:
        if room_of(file) == room:
            assert rooms_imported(file) <= below, file


@pytest.mark.parametrize("room", LIBRARIES)
def test_the_mathematics_needs_torch_alone(room: str) -> None:
    for file in FILES:
        if room_of(file) == room:
            assert libraries_imported(file) <= LIBRARIES[room], file


def test_networks_are_imported_by_nobody_but_networks() -> None:
    for file in FILES:
        if "networks" in rooms_imported(file):
            assert room_of(file) == "networks", file


def test_hydra_stays_in_the_command_line() -> None:
    using = {room_of(file) for file in FILES if {"hydra", "omegaconf"} & libraries_imported(file)}
    assert using == {"cli"}


@pytest.mark.parametrize(
    "module", ["touchstone", "touchstone.cli", *(f"touchstone.cli.{verb}" for verb in VERBS)]
)
def test_nothing_heavy_is_imported_before_it_is_needed(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    heavy = {
        "torch",
        "pytorch_lightning",
        "lightning_fabric",
        "wandb",
        "sklearn",
        "matplotlib",
        "polars",
    }
    assert not heavy & set(done.stdout.split())


def test_load_is_there_when_it_is_asked_for() -> None:
    from touchstone.trained import load

    assert touchstone.load is load
    with pytest.raises(AttributeError, match="has no attribute 'laod'"):
        touchstone.laod  # noqa: B018
