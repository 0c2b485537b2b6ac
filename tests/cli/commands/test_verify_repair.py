"""`forebay verify` and `forebay repair` on directories that a real server left."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.harness import RunningServer, batch, event, run

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]

PAGE = 4096
MESSAGE = "m" * 5000


@pytest.fixture
def directory(server: Start) -> Path:
    """20 commits of one event each, stopped in order."""
    running = server(logs_partitions=1)
    for number in range(20):
        assert running.drain(batch(event(f"{number} {MESSAGE}"))).status_code == 202
    assert running.terminate() == 0
    return running.data_dir


def journal(directory: Path) -> Path:
    """The file that has the commits."""
    return next(path for path in (directory / "journal").glob("*.journal") if MESSAGE.encode() in path.read_bytes())


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def damage_a_commit(directory: Path) -> None:
    """In the middle of the sixth event."""
    path = journal(directory)
    content = path.read_bytes()
    flip(path, content.index(b"5 " + MESSAGE.encode()) + 100)


def report(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("verify", "--data-dir", directory, "--json").stdout)
    return found


def test_a_clean_directory(directory: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    ended = run("verify", "--data-dir", directory)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "20 records in 9 partitions of 3 streams" in ended.stdout
    assert "clean: nothing is damaged" in ended.stdout
    assert report(directory)["records"] == 20
    repaired = run("repair", "--data-dir", directory)
    assert (repaired.returncode, "nothing to do" in repaired.stdout) == (0, True)
    assert before == {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}


def test_damage_is_named_repaired_and_known(directory: Path, server: Start) -> None:
    damage_a_commit(directory)
    ended = run("verify", "--data-dir", directory)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "a commit's checksum does not match, though it was synced" in ended.stdout
    assert "stream logs, partition 0: offset 5\n" in ended.stdout
    found = report(directory)
    assert not found["clean"]
    assert found["findings"][0]["offsets"] == [{"stream": "logs", "partition": 0, "start": 5, "end": 6}]

    damaged = journal(directory)
    content = damaged.read_bytes()
    planned = run("repair", "--data-dir", directory, "--dry-run")
    assert (planned.returncode, damaged.read_bytes() == content) == (1, True)
    assert "sealed: 19 sound records of the journal" in planned.stdout
    assert not (directory / "quarantine").exists()

    done = run("repair", "--data-dir", directory, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "repaired: 1 offset lost, 0 offsets never to be used, " in done.stdout
    manifest = json.loads(next((directory / "quarantine").glob("*.json")).read_text())
    assert [row["start"] for row in manifest["lost"]] == [5]
    assert any((directory / item["to"]).read_bytes() == content for item in manifest["items"])

    clean = run("verify", "--data-dir", directory)
    assert (clean.returncode, "offsets without a record since an earlier repair" in clean.stdout) == (0, True)
    running = server()
    with running.client() as client:
        assert client.get("/readyz").status_code == 200
    assert running.drain(batch(event("after"))).status_code == 202
    offsets = {row["offset"]: row["value"]["message"] for row in running.records()}
    assert sorted(offsets) == [*range(5), *range(6, 21)]
    assert offsets[20] == "after"
    assert all(offsets[n].startswith(f"{n} ") for n in offsets if n < 20)


def test_a_question_comes_before_a_repair(directory: Path) -> None:
    damage_a_commit(directory)
    refused = run("repair", "--data-dir", directory, text="n\n")
    assert refused.returncode == 130
    assert not (directory / "quarantine").exists()
    unanswered = run("repair", "--data-dir", directory, text="")
    assert (unanswered.returncode, "no answer, nothing was changed; use --yes" in unanswered.stderr) == (130, True)
    agreed = run("repair", "--data-dir", directory, text="y\n")
    assert (agreed.returncode, run("verify", "--data-dir", directory).returncode) == (0, 0)


def test_what_cannot_be_checked_is_not_called_damaged(tmp_path: Path, server: Start) -> None:
    missing = run("verify", "--data-dir", tmp_path / "missing")
    assert (missing.returncode, "there is no data directory" in missing.stderr) == (2, True)
    assert not (tmp_path / "missing").exists()
    (tmp_path / "empty").mkdir()
    empty = run("verify", "--data-dir", tmp_path / "empty")
    assert (empty.returncode, "not a whole data directory" in empty.stderr) == (2, True)
    running = server()
    for command, status in (("verify", 2), ("repair", 1)):
        live = run(command, "--data-dir", running.data_dir)
        assert (live.returncode, "directory_locked" in live.stderr) == (status, True), live


def test_a_directory_on_a_file_system_that_is_mounted_read_only_is_read(directory: Path) -> None:
    mounted = subprocess.run(["mount", "--bind", directory, directory], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a mount is not allowed here: {mounted.stderr.decode().strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", directory], check=True)
        ended = run("verify", "--data-dir", directory)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert run("read", "logs", "--data-dir", directory).stdout.count("\n") == 20
        refused = run("repair", "--yes", "--data-dir", directory)
        assert (refused.returncode, "Read-only file system" in refused.stderr) == (1, True)
    finally:
        subprocess.run(["umount", directory], check=True)
