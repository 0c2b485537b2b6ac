import os
from collections.abc import Sequence
from pathlib import Path

from forebay.cli.send.checkpoint import LastWrite
from forebay.cli.send.rotation import compressed, later, rotated

TIMES = {
    "log": 50,
    "log.1": 40,
    "log-20240531": 30,
    "log.2024-05-30": 20,
    "log.forebay": 60,
    "log.2.gz": 35,
    "log-20240530.zst": 25,
    "log.x.gz": 35,
    "logs": 1,
}


def names(paths: Sequence[Path | None]) -> list[str]:
    return [path.name if path is not None else "" for path in paths]


def test_files_of_one_tick_of_the_clock_are_each_read_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for name in ("log", "log.1", "log.2", "log.3"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, ns=(7, 7))
    done, found = LastWrite(), []
    while (other := later(path, done, path.stat().st_mtime_ns)) is not None:
        found.append(other)
        done = done.and_of(other.stat().st_ino, other.stat().st_mtime_ns)
    assert sorted(names(found)) == ["log.1", "log.2", "log.3"]
    assert done == done.and_of(found[0].stat().st_ino, 7) == done.and_of(1, 6)


def test_files_that_were_rotated_away_are_told_by_their_names_and_times(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for name, second in TIMES.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, ns=(second, second))
    assert names(rotated(path)) == ["log.1", "log-20240531", "log.2024-05-30"]
    inode = {name: (tmp_path / name).stat().st_ino for name in TIMES}
    done = LastWrite()
    found = []
    for name in ("log.2024-05-30", "log-20240531", "log.1"):
        found.append(later(path, done))
        done = done.and_of(inode[name], TIMES[name])
    assert names(found) == ["log.2024-05-30", "log-20240531", "log.1"]
    assert later(path, done) is None
    done = LastWrite(30, (inode["log-20240531"],))
    assert later(path, done, 39) is None
    assert later(path, LastWrite(21), known={inode["log-20240531"]}) == tmp_path / "log.1"
    assert names(compressed(path, 0)) == ["log-20240530.zst", "log.2.gz"]
    assert names(compressed(path, 25)) == ["log.2.gz"]
    assert names(compressed(path, 0, 35)) == ["log-20240530.zst"]
