"""Standard output that is full, closed, or read no further."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import forebay
from forebay.server.process import clean_environment

SECONDS = 60.0


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("output") / "data"
    with forebay.open(path) as log:
        log.create_stream("orders")
        for number in range(3):
            log.append("orders", forebay.Record({"n": number}))
    return path


def shell(redirection: str, *arguments: object, unbuffered: str = "") -> tuple[int, str]:
    """Returns the status of a command whose output goes elsewhere, and what it says on standard error."""
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "forebay", *map(str, arguments)]
    environment = clean_environment() | {"PYTHONUNBUFFERED": unbuffered}
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=SECONDS, env=environment, check=False)
    return ended.returncode, ended.stderr


FULL = "forebay: cannot write standard output: No space left on device\n"


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_no_damage(directory: Path) -> None:
    place = ("--data-dir", directory)
    for arguments in (("read", "orders", *place), ("inspect", *place), ("--help",)):
        assert shell(">/dev/full", *arguments) == (1, FULL), arguments
    # Of much at once nothing is held that would tell that it is the output which failed.
    assert shell(">/dev/full", "inspect", *place, "--json") in ((1, FULL), (1, "forebay: No space left on device\n"))
    for more in ((), ("--json",)):
        assert shell(">/dev/full", "verify", *place, *more) == (2, FULL)
    assert shell(">/dev/full", "verify", *place, unbuffered="1") == (2, FULL)
    status, errors = shell(">/dev/full", "read", "orders", *place, unbuffered="1")
    assert (status, errors) == (1, "forebay: No space left on device\n")


def test_a_run_that_cannot_tell_its_sums_tells_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"bad\n")
    status, errors = shell(">/dev/full", "send", path, "--url", "http://127.0.0.1:1")
    assert (status, "Traceback" in errors) == (1, False), errors
    assert "forebay: not stored: lines 1, and " in errors
    assert errors.endswith(FULL)


@pytest.mark.slow
def test_damage_is_damage_whatever_becomes_of_the_report(directory: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    subprocess.run(["cp", "-r", str(directory), str(damaged)], check=True)
    journal = next(path for path in damaged.glob("journal/*.journal") if b'"n":1' in path.read_bytes())
    text = bytearray(journal.read_bytes())
    text[text.index(b'"n":1')] ^= 1
    journal.write_bytes(text)
    assert shell(">/dev/null", "verify", "--data-dir", damaged) == (1, "")
    assert shell(">/dev/full", "verify", "--data-dir", damaged) == (1, FULL)


@pytest.mark.slow
def test_a_closed_output_is_one_line_too(directory: Path) -> None:
    assert shell(">&-", "read", "orders", "--data-dir", directory) == (1, "forebay: standard output is closed\n")
    assert shell(">&-", "inspect", "--data-dir", directory) == (0, "")
    assert shell(">&-", "verify", "--data-dir", directory) == (0, "")


@pytest.mark.slow
def test_without_standard_error_the_status_is_left(directory: Path) -> None:
    assert shell("2>/dev/full", "read", "orders", "--max", "x")[0] == 2
    assert shell("2>/dev/full", "read", "nothing", "--data-dir", directory)[0] == 1


def test_no_file_gets_the_number_of_a_closed_descriptor(tmp_path: Path) -> None:
    code = "import os; from forebay.cli.output import occupy_closed_descriptors as o; o(); print(os.dup(0) > 2)"
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&- <&-', "sh", sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.stdout == "True\n"
