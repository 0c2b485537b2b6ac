"""Exports of an engine in this process: what stands in the files, and what becomes of them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import forebay
from forebay.embedded.conditions import Conditions, Reading
from forebay.errors import NotFound, Saturated
from forebay.server.config import Settings
from forebay.server.exports import exports as service
from forebay.server.exports import files, worker
from forebay.server.exports.exports import Exports
from forebay.server.exports.files import ExportFiles
from forebay.server.exports.formats import Format
from forebay.server.exports.line_file import LineFile
from forebay.server.exports.order import Finished, Order, Progress, new_id
from forebay.server.exports.register import Register
from support.export_jobs import MemoryJobs
from support.harness import event, wait_for
from support.small_disk import fill, small_disk

EVENTS = 400
OWNER = "ab" * 32


class Place:
    """A log with events, and its exports, which a test closes and opens again as if the server had ended."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.directory = directory
        self.log = forebay.open(directory, **options)
        self.jobs = MemoryJobs()
        self.time = 1_700_000_000.0
        self.settings = Settings(data_dir=str(directory))
        self.exports = self.opened()

    def opened(self) -> Exports:
        return Exports(self.log._engine, self.jobs, self.settings, Register(lambda: self.time))

    def start(self, **settings: Any) -> Exports:
        """Starts anew, with these settings."""
        self.exports.close()
        self.settings = msgspec.structs.replace(self.settings, **settings)
        self.jobs.end_leases()
        self.exports = self.opened()
        self.exports.start()
        return self.exports

    def order(self, form: Format = "json", query: str = "", owner: str = OWNER) -> Order:
        stream, begin = self.log._engine.position("logs", True)
        end = self.log._engine.position("logs", False)[1]
        return Order(
            new_id(), form, Conditions(query), Reading(stream, begin, end), owner, "test", int(self.time * 1e6)
        )

    def ordered(self, form: Format = "json", query: str = "") -> Order:
        order = self.order(form, query)
        self.exports.create(order)
        return order

    def forced(self, status: str) -> Order:
        """One that began while there was still room, and has ended."""
        order = self.order()
        self.jobs.add(order)
        self.exports._worker.wake()
        wait_for("it to be begun", lambda: self.exports.find(order.export_id) is not None)
        return self.ended(order, status)

    def status(self, order: Order) -> str:
        known = self.exports.find(order.export_id)
        return "missing" if known is None else known.status(self.time)

    def ended(self, order: Order, status: str = "completed") -> Order:
        wait_for(f"the export to be {status}", lambda: self.status(order) != "processing")
        known = self.exports.find(order.export_id)
        assert self.status(order) == status, known
        return order

    def content(self, order: Order) -> bytes:
        known = self.exports.find(order.export_id)
        assert known is not None
        with io.FileIO(self.exports.open(known)) as file:
            return file.read()

    def names(self) -> set[str]:
        return {path.name for path in (self.directory / "exports").iterdir()}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    opened = Place(tmp_path / "data")
    opened.log.append(
        "logs",
        [
            event(f"number {number}", f"p{number % 3}", metadata={"n": number, "user_id": number % 7, "deep": [1.50]})
            for number in range(EVENTS)
        ],
    )
    opened.exports.start()
    yield opened
    opened.exports.close()
    opened.log.close()


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """An export of many steps, each of which is stored."""
    monkeypatch.setattr("forebay.server.exports.line_file.STEP_BYTES", 512)
    monkeypatch.setattr(worker, "KEEP_SECONDS", 0.0)


def numbers(lines: bytes) -> list[int]:
    return sorted(msgspec.json.decode(line)["value"]["metadata"]["n"] for line in lines.splitlines())


def test_json_has_a_line_for_each_event_as_consumers_get_it(place: Place) -> None:
    lines = place.content(place.ended(place.ordered()))
    assert numbers(lines) == list(range(EVENTS))
    first = msgspec.json.decode(lines.splitlines()[0])
    assert set(first) == {"eventId", "partition", "offset", "timestamp", "key", "value"}


def test_csv_has_a_head_and_a_row_for_each_event(place: Place) -> None:
    text = place.content(place.ended(place.ordered("csv", "number"))).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == EVENTS
    by_message = {row["message"]: row for row in rows}
    row = by_message["number 8"]
    assert row.pop("event_id").startswith("evt_")
    assert row == {
        "timestamp": "2024-05-31T15:30:45.000000Z",
        "level": "info",
        "service": "api-gateway",
        "project_id": "p2",
        "message": "number 8",
        "request_id": "",
        "user_id": "1",
        "metadata": '{"n":8,"user_id":1,"deep":[1.5]}',
    }


def test_txt_has_a_line_for_each_event(place: Place) -> None:
    lines = place.content(place.ended(place.ordered("txt", "8"))).decode().splitlines()
    assert "2024-05-31T15:30:45.000000Z info api-gateway number 8" in lines


def test_what_comes_after_it_was_asked_for_is_not_in_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    order = place.order()
    place.log.append("logs", [event("late", metadata={"n": -1})])
    place.exports.create(order)
    assert numbers(place.content(place.ended(order))) == list(range(EVENTS))


def test_nothing_found_is_a_file_with_nothing_in_it(place: Place) -> None:
    assert place.content(place.ended(place.ordered(query="nowhere"))) == b""
    assert place.content(place.ended(place.ordered("csv", "nowhere"))).count(b"\r\n") == 1


@pytest.mark.usefixtures("small_steps")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("form", ["json", "csv", "txt"])
def test_it_goes_on_where_it_was_synced(place: Place, form: Format) -> None:
    """The server ends right after a progress was stored, with more in the file than that says."""
    whole = place.content(place.ended(place.ordered(form)))
    stored: list[Progress] = []

    def keep(progress: Progress | None) -> None:
        assert progress is not None
        stored.append(progress)
        if len(stored) == 5:
            raise SystemExit

    place.jobs.on_keep = keep
    order = place.ordered(form)
    wait_for("the thread to die", lambda: not place.exports._worker._thread.is_alive())
    part = place.exports._files.part(order)
    assert part.stat().st_size >= stored[-1].bytes
    with part.open("ab") as file:
        # More than is still to come, so that it would stand behind that.
        file.write(b"half a li" * 100_000)
    place.jobs.on_keep = lambda progress: stored.append(progress) if progress else None
    place.start()
    assert place.content(place.ended(order)) == whole
    assert stored[5].bytes > stored[4].bytes, "it went on instead of beginning anew"
    assert order.file_name in place.names()
    assert part.name not in place.names()


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("lost", ["all", "some"])
def test_a_part_that_lost_what_was_synced_is_begun_anew(place: Place, lost: str) -> None:
    whole = place.content(place.ended(place.ordered()))
    order = place.order()
    job = place.jobs.add(order)
    place.jobs.jobs[job].progress = Progress(5_000, 20, 0, 0, list(order.begin.next))
    if lost == "some":
        place.exports._files.part(order).write_bytes(b"x" * 100)
    place.exports._worker.wake()
    wait_for("the job", lambda: place.jobs.jobs[job].status == "completed")
    assert place.exports._files.path(order).read_bytes() == whole


@pytest.mark.usefixtures("small_steps")
def test_a_stop_stores_how_far_it_is(place: Place) -> None:
    place.jobs.on_keep = lambda _progress: place.exports._worker._closing.set()
    order = place.ordered()
    wait_for("the thread to end", lambda: not place.exports._worker._thread.is_alive())
    [job] = place.jobs.jobs.values()
    assert job.status == "waiting", "the next start has not to wait for the end of a lease"
    assert job.progress is not None
    assert job.progress.bytes == place.exports._files.part(order).stat().st_size
    place.jobs.on_keep = lambda _progress: None
    place.start()
    assert numbers(place.content(place.ended(order))) == list(range(EVENTS))


def test_an_end_between_the_name_and_the_description_makes_no_half_export(place: Place) -> None:
    """The file has its name already, but nothing says that it is whole."""
    whole = place.content(place.ended(place.ordered()))
    place.exports.close()
    order = place.order()
    place.jobs.add(order)
    place.exports._files.path(order).write_bytes(whole[:1000])
    place.start()
    assert place.content(place.ended(order)) == whole


def test_an_end_before_the_job_was_done_changes_nothing(place: Place) -> None:
    order = place.ended(place.ordered())
    before = place.content(order)
    [job] = place.jobs.jobs.values()
    wait_for("the job", lambda: job.status == "completed")
    job.status, job.lease = "waiting", ""
    place.start()
    wait_for("the job", lambda: job.status == "completed")
    assert place.content(order) == before


@pytest.mark.usefixtures("small_steps")
def test_one_that_is_deleted_under_way_leaves_nothing(place: Place) -> None:
    order = place.order()
    place.jobs.on_keep = lambda _progress: place.exports.delete(known(place, order))
    place.exports.create(order)
    wait_for("its end", lambda: not place.jobs.jobs)
    wait_for("its files", lambda: place.names() == set())
    assert place.status(order) == "missing"


def test_one_that_is_deleted_while_it_waits_leaves_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the server ends right after the answer."""
    monkeypatch.setattr(worker, "SWEEP_SECONDS", 0.0)
    monkeypatch.setattr(place.jobs, "take", lambda: None)
    first, second = place.ordered(), place.ordered()
    place.exports._files.part(first).write_bytes(b"x")
    place.exports.delete(known(place, first))
    assert place.status(first) == "missing"
    assert [job.order for job in place.jobs.jobs.values()] == [second], "the job is gone at once"
    wait_for("its files", lambda: place.names() == set())
    monkeypatch.undo()
    place.start()
    place.ended(second)
    assert place.status(first) == "missing"


def known(place: Place, order: Order) -> Any:
    return place.exports.find(order.export_id) or place.exports._register.find(order.export_id)


def test_one_that_is_deleted_takes_its_file_and_its_readers_read_on(place: Place) -> None:
    order = place.ended(place.ordered())
    descriptor = place.exports.open(known(place, order))
    place.exports.delete(known(place, order))
    assert place.names() == set()
    assert place.status(order) == "missing"
    with io.FileIO(descriptor) as file:
        assert numbers(file.read()) == list(range(EVENTS))


def test_a_job_that_was_deleted_is_no_export_any_more(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SWEEP_SECONDS", 0.0)
    monkeypatch.setattr(place.jobs, "take", lambda: None)
    order = place.ordered()
    assert place.status(order) == "processing"
    place.jobs.jobs.clear()
    wait_for("nobody to know it", lambda: place.status(order) == "missing")


def test_it_expires_and_is_forgotten_later(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SWEEP_SECONDS", 0.0)
    place.start(export_hours=2.0)
    order = place.ended(place.ordered())
    place.time += 2 * 3600 - 1
    assert place.status(order) == "completed"
    place.time += 2
    assert place.status(order) == "expired", "whether its file has gone yet or not"
    with pytest.raises(NotFound, match="its status is expired"):
        place.exports.open(known(place, order))
    place.exports._worker.wake()
    wait_for("its file", lambda: order.file_name not in place.names())
    place.start()
    assert place.status(order) == "expired"
    place.time += 7 * 24 * 3600
    place.exports._worker.wake()
    wait_for("nobody to know it", lambda: place.status(order) == "missing")
    wait_for("nothing to be left", lambda: place.names() == set())


def test_the_oldest_make_room_and_one_that_does_not_fit_fails(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "GRANTED_BYTES", 0)
    first = place.ended(place.ordered())
    size = len(place.content(first))
    place.start(export_bytes=2 * size + 20_000)
    place.time += 1
    second = place.ended(place.ordered())
    place.time += 1
    third = place.ended(place.ordered())
    assert [place.status(order) for order in (first, second, third)] == ["expired", "completed", "completed"]
    assert place.exports._files.used() <= 2 * size + 20_000
    place.start(export_bytes=size // 2)
    failed = place.ended(place.ordered(), "failed")
    assert "(export_bytes)" in known(place, failed).error
    assert not [name for name in place.names() if failed.export_id in name], "it gives its room back"
    assert place.status(third) == "expired"
    place.start(export_bytes=2 * size)
    assert place.status(failed) == "failed", "a restart forgets nothing"


def test_a_disk_that_is_full_fails_it_and_its_file_goes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "RESERVED_BYTES", 1 << 62)
    with pytest.raises(Saturated, match="there is no room for an export: the disk is full: it has "):
        place.ordered()
    failed = place.forced("failed")
    assert known(place, failed).error.startswith("the disk is full: it has ")
    assert place.names() == set()


def test_a_write_that_fails_fails_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(file: LineFile, content: bytes) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(LineFile, "_write", write)
    failed = place.ended(place.ordered("csv"), "failed")
    assert known(place, failed).error == "the disk is full; make room, or ask for less"
    assert place.names() == set()


@pytest.mark.slow
@pytest.mark.usefixtures("small_steps")
def test_a_disk_that_gets_full_under_way_fails_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real one, of which nothing is kept for the log."""
    monkeypatch.setattr(files, "RESERVED_BYTES", 0)
    with small_disk() as disk:
        place.start(data_dir=str(disk))
        ballast: list[Path] = []

        def keep(progress: Progress | None) -> None:
            # In the middle of the file, and after the last look at the room.
            if not ballast and progress is not None and progress.records > EVENTS // 4:
                monkeypatch.setattr(ExportFiles, "check_room", lambda *_: None)
                ballast.append(fill(disk))

        place.jobs.on_keep = keep
        order = place.ended(place.ordered(), "failed")
        assert ballast
        assert known(place, order).error == "the disk is full; make room, or ask for less"
        assert list((disk / "exports").iterdir()) == []
        [job] = place.jobs.jobs.values()
        wait_for("the job", lambda: job.status == "failed")
        place.exports.close()


def test_one_that_failed_may_be_tried_again_as_a_job(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "RESERVED_BYTES", 1 << 62)
    order = place.forced("failed")
    monkeypatch.undo()
    [job] = place.jobs.jobs.values()
    wait_for("the job", lambda: job.status == "failed")
    job.status = "waiting"
    place.exports._worker.wake()
    wait_for("its end", lambda: place.status(order) == "completed")


def test_what_belongs_to_no_export_is_removed_at_the_start(place: Place) -> None:
    order = place.ended(place.ordered())
    kept = place.names()
    for name in ("export_logs_0.csv.part", "export_logs_1.csv", "export_logs_2.part"):
        (place.directory / "exports" / name).write_bytes(b"x")
    (place.directory / "exports" / "notes.txt").write_bytes(b"of an operator")
    place.start()
    assert place.names() == kept | {"notes.txt"}
    assert place.status(order) == "completed"


def test_a_file_that_is_not_as_long_as_it_was_is_not_given(place: Place) -> None:
    order = place.ended(place.ordered())
    path = place.exports._files.path(order)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(NotFound, match="is damaged"):
        place.exports.open(known(place, order))
    place.start()
    assert place.status(order) == "expired"


def test_how_much_of_the_log_was_read(place: Place) -> None:
    order = place.order()
    assert (order.fraction(order.begin.next), order.fraction(order.begin.end)) == (0.0, 1.0)
    empty = msgspec.structs.replace(order, begin=Reading(1, [7], [7]))
    assert empty.fraction([7]) == 1.0


def test_events_that_retention_took_meanwhile_are_counted(tmp_path: Path) -> None:
    """Retention deletes whole segments while the export waits for its turn."""
    place = Place(tmp_path / "data", ring_bytes=8 << 20, journal_file_bytes=1 << 20, logs_retention_bytes=1)
    try:
        count = 0
        place.log.append("logs", [event("x" * 1000) for _ in range(250)])
        order = place.order()
        while place.log._engine.position("logs", True)[1] == order.begin.next:
            place.log.append("logs", [event("x" * 1000) for _ in range(250)])
            count += 250
            assert count < 200_000, "nothing was deleted"
        place.exports.start()
        place.exports.create(order)
        place.ended(order)
        finished = known(place, order).finished
        assert finished.expired > 0
        assert finished.records + finished.expired == 250
        assert len(place.content(order).splitlines()) == finished.records
    finally:
        place.exports.close()
        place.log.close()


def test_as_many_wait_as_may(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place.jobs, "take", lambda: None)
    for _ in range(service.MAX_UNFINISHED_OF_ONE):
        place.ordered()
    with pytest.raises(Saturated, match="of this token"):
        place.ordered()
    for number in range(service.MAX_UNFINISHED - service.MAX_UNFINISHED_OF_ONE):
        place.exports.create(place.order(owner=f"{number:064}"))
    with pytest.raises(Saturated, match="32 exports wait"):
        place.exports.create(place.order(owner="f" * 64))


def test_a_description_is_read_as_it_was_written() -> None:
    order = Order(new_id(), "csv", Conditions("a"), Reading(1, [0], [5]), OWNER, "test", 1)
    finished = Finished(order, "job_1", 10, 2, 0, 0, 5, 6)
    assert msgspec.json.decode(msgspec.json.encode(finished), type=Finished) == finished
