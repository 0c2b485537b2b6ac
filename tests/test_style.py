"""The house rules that a program can check."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_FILE_LINES = 700
MAX_FUNCTION_LINES = 70

PYTHON = sorted([*ROOT.glob("python/**/*.py"), *ROOT.glob("python/**/*.pyi"), *ROOT.glob("tests/**/*.py")])
RUST = sorted(path for path in ROOT.glob("rust/**/*.rs") if "target" not in path.parts)
TEXT = sorted(
    path
    for pattern in ("*.md", "*.toml", "Makefile", ".ci/*", "docs/**/*.md", "bench/**/*", "deploy/**/*")
    for path in ROOT.glob(pattern)
    # Tools and the bench keep files of their own in directories with a dot.
    if path.is_file() and not any(part.startswith(".") and part != ".ci" for part in path.relative_to(ROOT).parts[:-1])
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_check() -> None:
    assert len(PYTHON) > 20
    assert len(RUST) > 5


@pytest.mark.parametrize("path", PYTHON + RUST, ids=name_of)
def test_files_are_short(path: Path) -> None:
    if path.name == "_forebay.pyi":
        pytest.skip("the stub of one module cannot be split")
    lines = len(path.read_text().splitlines())
    assert lines < MAX_FILE_LINES, f"{name_of(path)} has {lines} lines"


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_python_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines < MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", RUST, ids=name_of)
def test_rust_functions_are_short(path: Path) -> None:
    text = path.read_text()
    # rustfmt puts the closing brace of a function under its first column.
    opened: list[tuple[str, int, int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        start = re.match(r"( *)(?:pub(?:\([^)]*\))? )?(?:const |async |unsafe |extern \"C\" )*fn (\w+)", line)
        if start and not line.rstrip().endswith((";", "}")):
            opened.append((start[2], len(start[1]), number))
        elif opened and line == " " * opened[-1][1] + "}":
            name, _, first = opened.pop()
            assert number - first + 1 < MAX_FUNCTION_LINES, f"{name} has {number - first + 1} lines"


@pytest.mark.parametrize("path", PYTHON + RUST + TEXT, ids=name_of)
def test_no_path_of_a_machine(path: Path) -> None:
    # In pieces, so that this file does not find itself.
    for prefix in ("/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/", "/wo" + "rk/", "/tm" + "p/"):
        assert prefix not in path.read_text(errors="replace"), f"{name_of(path)} names {prefix}"


@pytest.mark.parametrize("path", TEXT + PYTHON, ids=name_of)
def test_no_merge_was_left_half_done(path: Path) -> None:
    assert not re.search(r"^(<{7}|>{7}) ", path.read_text(errors="replace"), re.MULTILINE)
