"""`forebay torture`."""

import importlib
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from forebay.cli.main import forebay
from forebay.cli.torture import Plan, run
from support import harness

pytestmark = pytest.mark.slow


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return harness.run("torture", *arguments, FOREBAY_DATA_DIR="/nowhere")


def test_a_disk_that_passes(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "torture"
    ended = command("--cycles", 2, "--dir", directory, "--seed", 5)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 kills" in ended.stdout
    assert "seed 5" in ended.stdout
    assert "PASSED" in ended.stdout
    # It says that it has not tried a power failure.
    assert "power is cut" in ended.stdout
    assert list(directory.iterdir()) == []


def test_a_directory_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "data"
    kept.write_text("mine")
    ended = command("--dir", tmp_path)
    assert (ended.returncode, "not empty" in ended.stderr) == (2, True)
    assert kept.read_text() == "mine"
    assert command("--dir", kept).returncode == 2
    assert command().returncode == 2


def test_a_server_that_does_not_start_is_a_finding(tmp_path: Path) -> None:
    report = run(Plan(tmp_path, 1, 1, settings={"ring_bytes": 1}))
    assert not report.passed
    assert "ended with status 2" in report.findings[0]
    assert "FAILED: 1 finding" in report.lines()


def test_a_finding_is_exit_status_1_and_leaves_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The package's name `run` is the function.
    loop = importlib.import_module("forebay.cli.torture.run")
    monkeypatch.setattr(loop, "DISK_BYTES", 0)
    monkeypatch.setattr(loop, "REST_SECONDS", 0.1)
    ended = CliRunner().invoke(forebay, ["torture", "--cycles", "1", "--dir", str(tmp_path)])
    assert ended.exit_code == 1
    assert "it leaks" in ended.output
    assert "FAILED: 1 finding" in ended.output
    assert (tmp_path / "data").is_dir()
