"""The house rules that a program can check."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

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
    if path.is_file()
    and path.suffix != ".pyc"
    and not any(part.startswith(".") and part != ".ci" for part in path.relative_to(ROOT).parts[:-1])
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_check() -> None:
    assert len(PYTHON) > 20
    assert len(RUST) > 5


# A rule is one test for all files: a test a file were three thousand, which each worker of a run collects.
def test_files_are_short() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in PYTHON + RUST}
    # The stub of one module cannot be split.
    assert {name: n for name, n in lines.items() if n >= MAX_FILE_LINES and not name.endswith("/_forebay.pyi")} == {}


def test_python_functions_are_short() -> None:
    long = {
        f"{name_of(path)}: {node.name}": lines
        for path in PYTHON
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) >= MAX_FUNCTION_LINES
    }
    assert long == {}


def rust_functions(text: str) -> Iterator[tuple[str, int]]:
    """The functions of a file with their lines; rustfmt puts the closing brace of one under its first column."""
    opened: list[tuple[str, int, int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        start = re.match(r"( *)(?:pub(?:\([^)]*\))? )?(?:const |async |unsafe |extern \"C\" )*fn (\w+)", line)
        if start and not line.rstrip().endswith((";", "}")):
            opened.append((start[2], len(start[1]), number))
        elif opened and line == " " * opened[-1][1] + "}":
            name, _, first = opened.pop()
            yield name, number - first + 1


def test_rust_functions_are_short() -> None:
    long = {
        f"{name_of(path)}: {name}": lines
        for path in RUST
        for name, lines in rust_functions(path.read_text())
        if lines >= MAX_FUNCTION_LINES
    }
    assert long == {}


def test_no_path_of_a_machine() -> None:
    # In pieces, so that this file does not find itself.
    prefixes = ("/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/", "/wo" + "rk/", "/tm" + "p/")
    texts = {name_of(path): path.read_text(errors="replace") for path in PYTHON + RUST + TEXT}
    assert [(name, prefix) for name, text in texts.items() for prefix in prefixes if prefix in text] == []


def test_no_merge_was_left_half_done() -> None:
    mark = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
    assert [name_of(path) for path in TEXT + PYTHON if mark.search(path.read_text(errors="replace"))] == []
