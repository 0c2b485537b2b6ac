"""One process owns a data directory; a second is told so and disturbs nothing."""

import threading
from pathlib import Path

import pytest

import forebay
from forebay.cli.torture import Victim
from forebay.errors import DirectoryLocked
from support.harness import run
from support.torment import Torment

pytestmark = pytest.mark.slow


def contents(directory: Path) -> set[str]:
    """Names that do not change while a server is idle."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_a_second_server_fails_with_status_1_while_the_first_takes_load(tmp_path: Path) -> None:
    with Torment(tmp_path) as tormented:
        tormented.start()
        load = tormented.load(5)
        for _attempt in range(3):
            second = run("serve", "--data-dir", str(tormented.victim.data_dir), "--port", "0", "--no-auth")
            assert second.returncode == 1
            assert "directory_locked" in second.stderr
            assert str(tormented.victim.data_dir) in second.stderr
            assert "Traceback" not in second.stderr
        assert not load.findings
        tormented.end(load)
        tormented.check(stopped=True)


def test_of_many_that_start_at_once_one_serves(tmp_path: Path) -> None:
    with Torment(tmp_path) as tormented:
        rivals = [Victim(tmp_path / f"rival{number}", {}) for number in range(4)]
        for rival in rivals:
            rival.data_dir.parent.mkdir()
            rival.data_dir = tormented.victim.data_dir
        outcomes: list[str] = []

        def start(rival: Victim) -> None:
            rival.spawn()
            try:
                rival.await_serving(20)
                outcomes.append("serves")
            except forebay.ForebayError:
                raise
            except Exception as error:
                outcomes.append("locked" if "directory_locked" in str(error) else str(error))

        threads = [threading.Thread(target=start, args=(rival,)) for rival in rivals]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(outcomes) == ["locked", "locked", "locked", "serves"]
        finally:
            for rival in rivals:
                rival.kill()


def test_nothing_opens_or_changes_a_live_directory(tmp_path: Path) -> None:
    with Torment(tmp_path) as tormented:
        tormented.start()
        data = tormented.victim.data_dir
        for arguments in (("read", "logs"), ("inspect",)):
            refused = run(*arguments, "--data-dir", str(data))
            assert refused.returncode == 1
            assert refused.stdout == ""
            assert "--url" in refused.stderr
            assert "Traceback" not in refused.stderr
        for read_only in (False, True):
            with pytest.raises(DirectoryLocked, match=str(data)):
                forebay.open(data, read_only=read_only)
        tormented.end(tormented.load(5))
        tormented.check(stopped=True)


def test_a_killed_server_leaves_no_lock(tmp_path: Path) -> None:
    with Torment(tmp_path) as tormented:
        tormented.start()
        tormented.victim.kill()
        tormented.start()
        # Readers of a stopped directory do not exclude each other, nor change it.
        tormented.end(tormented.load(5))
        before = contents(tormented.victim.data_dir)
        with forebay.open(tormented.victim.data_dir, read_only=True) as first:
            assert first.stats()
        assert contents(tormented.victim.data_dir) == before
        tormented.check(stopped=True)
