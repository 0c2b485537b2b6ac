"""`forebay jobs`."""

from __future__ import annotations

import json

import pytest

from support.harness import RunningServer, run

pytestmark = pytest.mark.slow

QUEUES = "/api/v1/platform/system/queues"


def test_a_failed_job_is_found_retried_and_deleted(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        job = client.post(f"{QUEUES}/mail/jobs", json={"payload": 1, "retries": 0}).json()["data"]["job_id"]
        [held] = client.post(f"{QUEUES}/mail/lease", json={}).json()["data"]["jobs"]
        failed = {"lease": held["lease"], "error": {"message": "no\nroute"}}
        client.post(f"/api/v1/platform/system/jobs/{job}/fail", json=failed).raise_for_status()

    def asked(*words: str) -> str:
        done = run("jobs", *words, "--url", shared_server.url)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert "queue:mail: healthy; 0 waiting, 0 active, 1 failed, 0 completed in the last hour\n" in asked("list")
    shown = asked("list", "mail", "--status", "failed")
    assert shown.startswith(f"1 of 1 job\n{job}: failed; 1 attempt, enqueued ")
    assert shown.endswith('; "no\\nroute"\n')
    assert asked("retry", job) == f"{job} waits\n"
    assert json.loads(asked("list", "queue:mail", "--json"))["data"]["jobs"][0]["status"] == "waiting"
    assert asked("pause", "queue:mail") == "paused queue:mail\n"
    assert "healthy, paused; 1 waiting" in asked("list")
    assert asked("resume", "mail") == "resumed mail\n"
    assert asked("delete", job) == f"deleted {job}\n"
    refused = run("jobs", "delete", job, "--url", shared_server.url)
    assert refused.returncode == 1
    assert "job_not_found" in refused.stderr
