"""`log.jobs`."""

from __future__ import annotations

from pathlib import Path

import pytest

import forebay
from forebay import errors


def test_a_job_from_enqueue_to_its_end(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "data") as log:
        made = log.jobs.enqueue("email", {"to": "ann"}, priority="high", unique_key="ann", timeout=5)
        assert (made.queue, made.status, made.created) == ("queue:email:high", "waiting", True)
        assert not log.jobs.enqueue("email", unique_key="ann").created
        [job] = log.jobs.lease("email", limit=2, seconds=60)
        assert (job.id, job.payload, job.attempts, job.timeout_ms) == (made.id, {"to": "ann"}, 1, 5000)
        assert log.jobs.heartbeat(job, progress={"sent": 1}) is False
        log.jobs.cancel(job.id)
        assert log.jobs.heartbeat(job) is True
        log.jobs.complete(job, ["done"])
        with pytest.raises(errors.LeaseLost, match="the job is completed"):
            log.jobs.fail(job, "too late")
    with forebay.open(tmp_path / "data") as log:
        found = log.jobs.get(made.id)
        assert (found.status, found.result, found.progress) == ("completed", ["done"], {"sent": 1})
        [queue] = log.jobs.queues()
        assert (queue.completed_last_hour, queue.completed_jobs, queue.paused) == (1, 1, False)
    with pytest.raises(errors.Closed):
        log.jobs.queues()


def test_failing_retrying_pausing_and_deleting(tmp_path: Path) -> None:
    with forebay.open(tmp_path / "data") as log:
        made = log.jobs.enqueue("q", retries=0)
        [job] = log.jobs.lease("q")
        log.jobs.fail(job, "no", stack_trace="at x")
        page = log.jobs.list("q", "failed")
        assert (page.total, page.jobs[0].error) == (1, {"message": "no", "stack_trace": "at x"})
        log.jobs.retry(made.id)
        log.jobs.pause("q")
        assert log.jobs.lease("q") == []
        log.jobs.resume("q")
        [again] = log.jobs.lease("q")
        with pytest.raises(errors.JobConflict):
            log.jobs.delete(made.id)
        log.jobs.fail(again, "never", retry=False)
        log.jobs.delete(made.id)
        with pytest.raises(errors.JobNotFound):
            log.jobs.get(made.id)
        assert log.jobs.enqueue("q", delay=60).status == "waiting"
        assert log.jobs.lease("q") == []


@pytest.mark.parametrize("value", [float("nan"), object()])
def test_what_is_no_json_is_refused(tmp_path: Path, value: object) -> None:
    with forebay.open(tmp_path / "data") as log:
        with pytest.raises(errors.InvalidRequest, match="the payload cannot be written as JSON"):
            log.jobs.enqueue("q", value)
        with pytest.raises(errors.InvalidRequest, match="delay is -1"):
            log.jobs.enqueue("q", delay=-1)
        with pytest.raises(errors.QueueNotFound):
            log.jobs.list("q")
