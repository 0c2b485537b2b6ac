"""The jobs of exports in a real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import forebay
from forebay._forebay import Engine
from forebay.embedded.conditions import Conditions, Reading
from forebay.server.exports import engine_jobs
from forebay.server.exports.engine_jobs import EngineJobs
from forebay.server.exports.jobs import QUEUE, Leased, LeaseLost
from forebay.server.exports.order import Order, Progress, new_id
from support.harness import wait_for


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with forebay.open(tmp_path / "data") as log:
        yield log._engine


@pytest.fixture
def jobs(engine: Engine) -> EngineJobs:
    return EngineJobs(engine)


def order(owner: str = "ab" * 32) -> Order:
    return Order(new_id(), "csv", Conditions("a", metadata=()), Reading(1, [0, 1], [5, 6]), owner, "test", 1)


def taken(jobs: EngineJobs) -> Leased:
    leased = jobs.take()
    assert leased is not None
    return leased


def test_one_is_taken_kept_and_done(engine: Engine, jobs: EngineJobs) -> None:
    assert (jobs.take(), jobs.unfinished()) == (None, [])
    first, second = order(), order()
    ids = [jobs.add(first), jobs.add(second)]
    assert [(job.id, job.order, job.error) for job in jobs.unfinished()] == [
        (ids[0], first, None),
        (ids[1], second, None),
    ]
    leased = taken(jobs)
    assert (leased.id, leased.order, leased.progress) == (ids[0], first, None)
    progress = Progress(10, 2, 0, 1, [3, 4])
    assert jobs.keep(leased, progress)
    assert jobs.keep(leased, None)
    assert {job.id: job.progress for job in jobs.unfinished()} == {ids[0]: progress, ids[1]: None}
    jobs.done(leased, progress)
    assert [job.id for job in jobs.unfinished()] == [ids[1]]
    assert json.loads(engine.job_get(ids[0]))["status"] == "completed"


def test_what_is_kept_is_there_for_the_next(jobs: EngineJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_jobs, "LEASE_MS", 50)
    jobs.add(order())
    first = taken(jobs)
    progress = Progress(10, 2, 0, 1, [3, 4])
    jobs.keep(first, progress)
    found: list[Leased] = []

    def is_taken() -> bool:
        found.extend(filter(None, [jobs.take()]))
        return bool(found)

    wait_for("the lease to end", is_taken)
    assert found[0].progress == progress
    for call in (lambda: jobs.keep(first, None), lambda: jobs.done(first, progress), lambda: jobs.failed(first, "x")):
        with pytest.raises(LeaseLost):
            call()


def test_one_that_is_given_back_is_taken_at_once(jobs: EngineJobs) -> None:
    jobs.add(order())
    leased = taken(jobs)
    jobs.keep(leased, Progress(1, 1, 0, 0, [1, 1]))
    jobs.release(leased)
    wait_for("it to be taken again", lambda: jobs.take() is not None, 10)


def test_one_that_failed_says_why(engine: Engine, jobs: EngineJobs) -> None:
    job_id = jobs.add(order())
    jobs.failed(taken(jobs), "the disk is full")
    [listed] = jobs.unfinished()
    assert (listed.id, listed.error) == (job_id, "the disk is full")
    assert jobs.take() is None
    engine.job_retry(job_id)
    assert taken(jobs).id == job_id
    [listed] = jobs.unfinished()
    assert listed.error is None


def test_one_is_deleted_whatever_it_is(jobs: EngineJobs) -> None:
    waiting = jobs.add(order())
    jobs.delete(waiting)
    assert not jobs.exists(waiting)
    active = jobs.add(order())
    leased = taken(jobs)
    jobs.delete(active)
    assert jobs.exists(active), "its thread is told, and discards it"
    assert jobs.unfinished() == [], "nobody is shown it any more"
    assert not jobs.keep(leased, None)
    jobs.discard(leased)
    assert not jobs.exists(active)
    jobs.delete(active)
    jobs.delete("no id")


def test_what_is_no_export_fails(engine: Engine, jobs: EngineJobs) -> None:
    made = json.loads(engine.job_enqueue(QUEUE, b'{"campaign_id":"x"}'))["job_id"]
    assert jobs.take() is None
    assert jobs.take() is None
    found = json.loads(engine.job_get(made))
    assert found["status"] == "failed"
    assert found["error"]["message"].startswith("its payload is no export: ")
    assert jobs.unfinished() == []


def test_more_than_a_page_is_listed(jobs: EngineJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_jobs, "PAGE", 3)
    made = [jobs.add(order()) for _ in range(7)]
    assert [job.id for job in jobs.unfinished()] == made
