import pytest

from forebay.errors import InvalidRequest
from forebay.server.broadcast.position import Position, parse, written


@pytest.mark.parametrize("position", [(1, [0]), (4294967295, [0, 9223372036854775807, 7])])
def test_an_id_is_read_as_it_was_written(position: Position) -> None:
    assert parse(written(position), "position") == position
    assert parse(f" {written(position)} ", "position") == position


@pytest.mark.parametrize(
    "text",
    [
        "1:9223372036854775808",
        "1:" + "1." * 20_000 + "1",
        "12345678901:1",
        "",
        ":",
        "1",
        "1:",
        ":1",
        "1:1.",
        "1:.1",
        "1:1,2",
        "1:-1",
        "1:+1",
        "a:1",
        "1:1 1",
        "4294967296:1",
        "1:\u0661",
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="position is"):
        parse(text, "position")
