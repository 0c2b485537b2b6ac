"""Imports go one way: cli → server → embedded → the engine, and inside of its core; the client stands alone."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "python" / "forebay"

MAY_IMPORT = {
    # The ground, which every wing but the client stands on.
    "_forebay": {"reports"},
    "errors": {"_forebay"},
    "reports": set(),
    "finite": set(),
    # The client is of use where the engine is not, and is copied into other programs.
    "client": set(),
    "processors": {"errors", "finite"},
    "embedded": {"_forebay", "errors", "finite", "processors"},
    "cache": {"_forebay", "errors", "embedded"},
    "server": {"_forebay", "errors", "reports", "processors", "embedded", "cache"},
    "cli": {"_forebay", "errors", "reports", "processors", "embedded", "cache", "server", "client"},
    # The doors: what a program imports, pytest loads and `python -m` runs.
    "__init__": {"_forebay", "errors", "processors", "embedded"},
    "testing": {"errors", "embedded", "server"},
    "__main__": {"cli"},
}
"""The imports that each module or package of the first level may have beside itself, also for type checkers alone."""

SERVER_FLOORS = [
    {"config", "telemetry", "load_test", "processors"},
    {"configuration", "logs", "open_files", "process"},
    {"http"},
    {"broadcast"},
    {"exports", "health", "searches"},
    {"infrastructure"},
    {"services"},
    {"console"},
    {"api"},
    {"app"},
    {"cache_server", "server"},
]
"""The modules and folders of the server, from the ground up. Each imports itself and what is below."""

FILES = sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")])


def wing(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".pyi").removesuffix(".py")


def imported(path: Path) -> Iterator[list[str]]:
    """The modules that a file imports, each in its parts below `forebay`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            first, *rest = module.split(".")
            # `forebay.__version__` and the like are the package's own names.
            if first == "forebay" and rest and not rest[0].startswith("__"):
                yield rest


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    name = wing(path.relative_to(PACKAGE).parts)
    assert {module[0] for module in imported(path)} - {name} <= MAY_IMPORT[name]


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "server").rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_the_server_imports_what_is_below(path: Path) -> None:
    floors = {name: floor for floor, names in enumerate(SERVER_FLOORS) for name in names}
    name = wing(path.relative_to(PACKAGE / "server").parts)
    if name == "__init__":
        return
    used = {module[1] for module in imported(path) if module[0] == "server" and len(module) > 1}
    for other in used - {name}:
        assert floors[other] < floors[name], f"{name} imports {other}"


CORE = PACKAGE.parent.parent / "rust" / "forebay-core" / "src"

STOREYS = [
    "engine",
    "load_test",
    "ingest",
    "processor",
    "job",
    "consumer",
    "search",
    "output",
    "log",
    "options",
    "stream",
    "history",
    "admission",
    "load",
    "telemetry",
    "clock",
    # The ground.
    "storage",
    "function",
    "thread",
    "status",
    "window",
    "predicate",
    "record",
    "time",
    "table",
    "json",
    "error",
    "ids",
    "duration",
    "random",
    "bytes",
]
"""The core's folders and single files, from the top: none imports one that stands above it."""


def storey(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".rs")


def used_by(path: Path) -> set[str]:
    """Returns the parts of the crate that a file of the core names. Comments and tests, which may drive the engine, do
    not count."""
    code = "\n".join(line.partition("//")[0] for line in path.read_text().splitlines())
    code = re.split(r"#\[cfg\(test\)\]\n(?:#.*\n)*mod \w+ \{", code)[0]
    assert "crate::{" not in code, f"{path}: one line for each folder"
    return set(re.findall(r"\bcrate::(\w+)", code))


def core_imports() -> set[tuple[str, str]]:
    files = [path for path in sorted(CORE.rglob("*.rs")) if path.name not in ("lib.rs", "tests.rs")]
    return {(storey(path), used) for path in files for used in used_by(path) if used != storey(path)}


def test_every_folder_of_the_core_has_its_storey() -> None:
    assert sorted(STOREYS) == sorted({path.name.removesuffix(".rs") for path in CORE.iterdir()} - {"lib"})
    # A name of the crate's root would hide the folder that it comes from.
    assert {used for _, used in core_imports()} <= set(STOREYS)


def test_the_core_imports_only_what_stands_below() -> None:
    assert not {(user, used) for user, used in core_imports() if STOREYS.index(used) < STOREYS.index(user)}
