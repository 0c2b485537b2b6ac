"""Imports go one way: cli → server → embedded → the engine; the client stands alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "python" / "forebay"

MAY_IMPORT = {
    # The ground, which every wing but the client stands on.
    "_forebay": {"reports"},
    "errors": {"_forebay"},
    "reports": set(),
    # The client is of use where the engine is not, and is copied into other programs.
    "client": set(),
    "embedded": {"_forebay", "errors"},
    "server": {"_forebay", "errors", "reports", "embedded"},
    "cli": {"_forebay", "errors", "reports", "embedded", "server", "client"},
    # The doors: what a program imports, pytest loads and `python -m` runs.
    "__init__": {"_forebay", "errors", "embedded"},
    "testing": {"errors", "embedded", "server"},
    "__main__": {"cli"},
}
"""What each module or package of the first level may import beside itself, also for type checkers alone."""

FILES = sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")])


def wing(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".pyi").removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """The wings that a file imports."""
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
                yield rest[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    name = wing(path.relative_to(PACKAGE).parts)
    assert set(imported(path)) - {name} <= MAY_IMPORT[name]
