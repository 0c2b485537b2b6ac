from __future__ import annotations

from swarm.ledger import Ledger, Progress
from swarm.readback import compared, group_finding


def test_what_is_missing_and_what_is_there_twice_is_counted_and_named() -> None:
    ledger = Ledger()
    writer = ledger.writer("logs")
    for size in (2, 3, 4):
        writer.acknowledge(writer.take(size))
    writer.take(5)  # whose answer never came: there or not, it is no difference
    assert writer.acknowledged == [[0, 9]]
    assert compared("logs", [writer], {0: bytearray([1] * 12)}).wrong == []
    counts = {0: bytearray([1, 1, 0, 1, 2, 1, 1])}
    missing, doubled = compared("logs", [writer], counts).wrong
    run = ledger.run
    assert missing == f"3 MISSING ({run}.0.2, {run}.0.7, {run}.0.8, …)"
    assert doubled == f"1 STORED TWICE ({run}.0.4, …)"


def test_a_group_skips_nothing_and_its_commits_stand() -> None:
    progress = Progress("g")
    for offset in (0, 1, 3):
        progress.hand(0, offset)
    progress.commit(0, 2)
    assert group_finding(progress, {0: 2}).wrong == []
    progress.commit(0, 4)
    lost, skipped = group_finding(progress, {0: 2}).wrong
    assert lost == "partition 0 is committed to 2, acknowledged was 4: LOST"
    assert skipped.startswith("1 records of partition 0 SKIPPED")
