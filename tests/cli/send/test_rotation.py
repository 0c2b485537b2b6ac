import os
from pathlib import Path

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


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_files_that_were_rotated_away_are_told_by_their_names_and_times(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for name, second in TIMES.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, ns=(second, second))
    assert names(rotated(path)) == ["log.1", "log-20240531", "log.2024-05-30"]
    found = [later(path, since) for since in (0, 20, 30, 40)]
    assert [other and other.name for other in found] == ["log.2024-05-30", "log-20240531", "log.1", None]
    assert later(path, 30, 40) is None
    inode = (tmp_path / "log-20240531").stat().st_ino
    assert later(path, 20, known={inode}) == tmp_path / "log.1"
    assert names(compressed(path, 0)) == ["log-20240530.zst", "log.2.gz"]
    assert names(compressed(path, 25)) == ["log.2.gz"]
    assert names(compressed(path, 0, 35)) == ["log-20240530.zst"]
