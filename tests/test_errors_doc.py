"""docs/errors.md says what the error table says."""

from pathlib import Path

from forebay._forebay import error_table

DOCUMENT = Path(__file__).parent.parent / "docs" / "errors.md"
COLUMNS = 6


def rows() -> list[list[str]]:
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| 1")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_row_stands_there_in_order() -> None:
    written = [(int(row[0]), row[1].strip("`"), int(row[2]), row[3] == "yes") for row in rows()]
    assert written == error_table()


def test_every_row_says_when_and_what_to_do() -> None:
    for row in rows():
        assert len(row) == COLUMNS, row
        assert row[3] in ("yes", "no"), row
        assert all(len(cell) > 3 for cell in row[4:]), row
