import io
import json

import pytest

from forebay.cli.send import Batch, Line, Reader, Rejection
from forebay.cli.send.batches import BATCH_BYTES, BATCH_EVENTS, LINE_BYTES
from support.harness import event


def texts(found: Batch) -> list[bytes]:
    return [line.text for line in found.lines]


class Text(io.BytesIO):
    @property
    def position(self) -> int:
        return self.tell()


def read(text: bytes) -> list[Batch | Rejection]:
    return list(Reader(Text(text)))


def test_batches_are_full_by_number_or_by_bytes() -> None:
    small = json.dumps(event()).encode()
    found = [batch for batch in read((small + b"\n") * (2 * BATCH_EVENTS + 1)) if isinstance(batch, Batch)]
    assert [len(batch.lines) for batch in found] == [BATCH_EVENTS, BATCH_EVENTS, 1]
    assert len({batch.key for batch in found}) == 3
    assert all(json.loads(batch.body())["events"] for batch in found)
    large = json.dumps(event("m" * (BATCH_BYTES // 3))).encode()
    huge = json.dumps(event("m" * (2 * BATCH_BYTES))).encode()
    found = [batch for batch in read(b"\n".join([large] * 5 + [huge, large])) if isinstance(batch, Batch)]
    assert [len(batch.lines) for batch in found] == [2, 2, 1, 1, 1]


def test_positions_and_numbers_count_every_line() -> None:
    one = json.dumps(event()).encode()
    (batch,) = read(one + b"\r\n\n" + one)
    assert isinstance(batch, Batch)
    assert batch.lines == [Line(1, one, len(one) + 2), Line(3, one, 2 * len(one) + 3)]


@pytest.mark.parametrize(
    "text", [b"{", b"7", b"null", b"[]", b"{}", b'{"events":[]}', b"\xff", b"[" * 100_000, b'{"project_id":null}']
)
def test_what_cannot_be_an_event_is_named(text: bytes) -> None:
    (found,) = read(text)
    assert isinstance(found, Rejection)
    assert (found.line.text, bool(found.reason)) == (text, True)


def test_what_an_event_lacks_is_told_as_the_server_tells_it() -> None:
    (found,) = read(b"{}")
    assert isinstance(found, Rejection)
    assert found.reason == "project_id: missing"


def test_two_values_on_a_line_do_not_break_out_of_the_array() -> None:
    one = json.dumps(event()).encode()
    assert all(isinstance(found, Rejection) for found in read(one + b"]} " + one))
    assert all(isinstance(found, Rejection) for found in read(one + b"," + one))


def test_a_line_without_an_end_is_not_held() -> None:
    one = json.dumps(event()).encode()
    rejection, batch = read(b"x" * (LINE_BYTES + 5) + b"\n" + one)
    assert isinstance(rejection, Rejection)
    assert len(rejection.line.text) < 2000
    assert isinstance(batch, Batch)
    assert (texts(batch), batch.lines[0].number) == ([one], 2)


def test_a_place_in_the_body_is_of_a_line() -> None:
    batch = Batch([Line(number, b"%d" % number * 3, number) for number in range(3)])
    body = batch.body()
    assert [batch.index_at(body.index(line.text) + at) for line in batch.lines for at in (0, 2)] == [0, 0, 1, 1, 2, 2]
    assert batch.index_at(len(body)) is None


def test_a_reader_goes_on_counting_where_another_ended() -> None:
    one = json.dumps(event()).encode()
    source = Text(b"x" * 100 + b"\n{\n" + one + b"\n\n")
    source.seek(100)
    reader = Reader(source, 10)
    rejection, batch = reader
    assert isinstance(rejection, Rejection)
    assert isinstance(batch, Batch)
    assert (rejection.line.number, rejection.line.end) == (12, 103)
    assert (batch.lines[0].number, batch.lines[0].end, reader.last) == (13, 104 + len(one), 14)
