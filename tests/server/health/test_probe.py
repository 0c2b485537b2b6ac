"""A check off the loop: its time, its silence, its failure."""

from __future__ import annotations

import asyncio
import threading
import time

from forebay.server.health.check_result import CheckResult, Level
from forebay.server.health.probe import Probe


def passes() -> CheckResult:
    return CheckResult(messages=["fine"], metadata={"figure": 1})


def test_it_says_what_was_found_and_how_long_it_took() -> None:
    def slow() -> CheckResult:
        time.sleep(0.02)
        return passes()

    outcome = asyncio.run(Probe("slow", slow, 5).run())
    assert (outcome.result.level, outcome.result.message, outcome.result.metadata) == (
        Level.PASS,
        "fine",
        {"figure": 1},
    )
    assert 20 <= outcome.duration < 5000
    assert abs(outcome.timestamp - time.time() * 1000) < 5000


def test_a_blocked_check_blocks_neither_the_loop_nor_a_second_thread() -> None:
    release = threading.Event()
    entered: list[int] = []

    def stuck() -> CheckResult:
        entered.append(1)
        release.wait(30)
        return passes()

    async def main() -> None:
        probe = Probe("stuck", stuck, 0.1)
        turns = 0
        waiting = asyncio.ensure_future(probe.run())
        while not waiting.done():
            turns += 1
            await asyncio.sleep(0.005)
        assert turns > 5, "the loop stood still"
        assert waiting.result().result.level is Level.CRITICAL
        assert waiting.result().result.message == "no answer within 100 ms"
        for _ in range(3):
            again = await probe.run()
            assert again.result.message.startswith("no answer for 0.")
        assert len(entered) == 1, "probes piled up"
        release.set()
        for _ in range(2000):
            answered = await probe.run()
            if answered.result.level is Level.PASS:
                break
            await asyncio.sleep(0.005)
        assert answered.result.message == "fine"

    asyncio.run(main())


def test_a_check_that_fails_is_critical_and_can_run_again() -> None:
    def fails() -> CheckResult:
        raise ZeroDivisionError("nothing left")

    async def main() -> None:
        probe = Probe("fails", fails, 5)
        for _ in range(2):
            found = (await probe.run()).result
            assert (found.level, found.message) == (Level.CRITICAL, "the check itself failed: nothing left")

    asyncio.run(main())
