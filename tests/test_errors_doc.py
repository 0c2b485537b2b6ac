"""docs/errors.md says what the error table says, and every name that a client can be shown stands there."""

from pathlib import Path

import pytest

from forebay import errors
from forebay._forebay import error_table
from forebay.server.http.error_envelopes import Family, error_name

DOCUMENT = Path(__file__).parent.parent / "docs" / "errors.md"
COLUMNS = 8


def rows() -> list[list[str]]:
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| 1")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_row_stands_there_in_order() -> None:
    written = [(int(row[0]), row[1].strip("`"), int(row[4]), row[5] == "yes") for row in rows()]
    assert written == error_table()


def test_every_row_says_when_and_what_to_do() -> None:
    for row in rows():
        assert len(row) == COLUMNS, row
        assert row[5] in ("yes", "no"), row
        assert all(len(cell) > 3 for cell in row[6:]), row


@pytest.mark.parametrize("family", Family)
def test_every_name_that_a_family_shows_stands_in_its_row(family: Family) -> None:
    for row in rows():
        kind = errors.classes()[int(row[0])]
        # The streams API has the number before the name.
        name = error_name(family, kind).split()[-1]
        if name == "publish_failed":
            assert (family, kind) == (Family.ANALYTICS, errors.StorageUnavailable)
            assert "`publish_failed` is analytics' own name\nfor 1014" in DOCUMENT.read_text()
        else:
            assert name == row[2 if family is Family.STREAMS else 1].strip("`")


def test_every_exception_stands_in_its_row() -> None:
    assert {int(row[0]): row[3].strip("`") for row in rows()} == {
        number: kind.__name__ for number, kind in errors.classes().items()
    }
