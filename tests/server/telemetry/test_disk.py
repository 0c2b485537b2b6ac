"""The room on the disk."""

import os
from pathlib import Path

from forebay.server.telemetry import DiskCollector


def test_free_and_size_are_those_of_the_filesystem(tmp_path: Path) -> None:
    free, size = (family.samples[0].value for family in DiskCollector(str(tmp_path)).collect())
    stats = os.statvfs(tmp_path)
    assert size == stats.f_blocks * stats.f_frsize
    assert 0 < free <= stats.f_bfree * stats.f_frsize


def test_a_directory_that_is_not_there_has_no_figures(tmp_path: Path) -> None:
    assert [family.samples for family in DiskCollector(str(tmp_path / "gone")).collect()] == [[], []]
