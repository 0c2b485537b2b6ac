"""Jobs and queues over HTTP, against a real server."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from forebay.server.api.platform import job_shapes
from forebay.server.http.tokens import TokenStore
from support.harness import RunningServer, wait_for
from support.processors import check

pytestmark = pytest.mark.slow

SYSTEM = "/api/v1/platform/system"
QUEUES = f"{SYSTEM}/queues"
JOBS = f"{SYSTEM}/jobs"


def data(response: httpx.Response, shape: type[Any]) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    check(shape, response.json())
    found: dict[str, Any] = response.json()["data"]
    return found


def refused(response: httpx.Response, status: int, code: str) -> str:
    assert (response.status_code, response.json()["success"]) == (status, False)
    assert response.json()["error"]["code"] == code
    message: str = response.json()["error"]["message"]
    return message


def enqueue(client: httpx.Client, queue: str, payload: object = None, **keywords: Any) -> dict[str, Any]:
    body = {"payload": payload, **keywords}
    return data(client.post(f"{QUEUES}/{queue}/jobs", json=body), job_shapes.EnqueuedAnswer)


def lease(client: httpx.Client, queue: str, **keywords: Any) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = data(client.post(f"{QUEUES}/{queue}/lease", json=keywords), job_shapes.LeaseAnswer)[
        "jobs"
    ]
    return jobs


def queue_named(client: httpx.Client, name: str) -> dict[str, Any]:
    queues = data(client.get(QUEUES), job_shapes.QueuesAnswer)["queues"]
    return next(queue for queue in queues if queue["name"] == name)


def test_a_job_from_the_queue_to_its_end(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        made = enqueue(client, "email-sending", {"campaign_id": "cmp_abc", "n": 1.0}, priority="high")
        assert made["queue"] == "queue:email-sending:high"
        assert re.fullmatch("job_[0-9a-f]{32}", made["job_id"])
        [held] = lease(client, "email-sending", lease_ms=60_000)
        assert (held["id"], held["payload"]) == (made["job_id"], {"campaign_id": "cmp_abc", "n": 1.0})
        at = f"{JOBS}/{held['id']}"
        beat = data(
            client.post(f"{at}/heartbeat", json={"lease": held["lease"], "progress": {"sent": 7}}),
            job_shapes.BeatAnswer,
        )
        assert beat["cancel"] is False
        done = {"lease": held["lease"], "result": [1]}
        assert data(client.post(f"{at}/complete", json=done), job_shapes.JobStateAnswer)["status"] == "completed"
        assert "not counted" in refused(client.post(f"{at}/complete", json=done), 409, "lease_lost")
        queue = queue_named(client, "queue:email-sending:high")
        assert (queue["priority"], queue["completed_last_hour"], queue["status"]) == ("high", 1, "healthy")
        for written in ("queue:email-sending:high", "queue%3Aemail-sending%3Ahigh"):
            page = data(client.get(f"{QUEUES}/{written}/jobs"), job_shapes.JobsAnswer)
            assert page["pagination"] == {"total": 1, "limit": 50, "offset": 0}
            assert (page["jobs"][0]["result"], page["jobs"][0]["progress"]) == ([1], {"sent": 7})


def test_a_failed_job_is_listed_retried_and_deleted(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        job = enqueue(client, "failing", {}, retries=0)["job_id"]
        [held] = lease(client, "failing")
        refused(client.delete(f"{JOBS}/{job}"), 409, "job_conflict")
        refused(client.post(f"{JOBS}/{job}/retry"), 409, "job_conflict")
        error = {"message": "SMTP connection timeout", "stack_trace": "..."}
        failed = client.post(f"{JOBS}/{job}/fail", json={"lease": held["lease"], "error": error})
        assert data(failed, job_shapes.JobStateAnswer)["status"] == "failed"
        page = data(client.get(f"{QUEUES}/failing/jobs?status=failed"), job_shapes.JobsAnswer)
        assert [(row["id"], row["error"], row["attempts"]) for row in page["jobs"]] == [(job, error, 1)]
        assert data(client.get(f"{QUEUES}/failing/jobs?status=active"), job_shapes.JobsAnswer)["jobs"] == []
        retried = data(client.post(f"{JOBS}/{job}/retry"), job_shapes.RetriedAnswer)
        assert retried == {"job_id": job, "status": "queued", "attempts_reset": True}
        gone = data(client.delete(f"{JOBS}/{job}"), job_shapes.DeletedAnswer)
        assert gone == {"job_id": job, "status": "deleted"}
        refused(client.delete(f"{JOBS}/{job}"), 404, "job_not_found")


def test_pause_outlives_a_restart(server: Callable[..., RunningServer]) -> None:
    running = server()
    with running.client() as client:
        job = enqueue(client, "q")["job_id"]
        paused = data(client.post(f"{QUEUES}/queue:q/pause"), job_shapes.QueueStateAnswer)
        assert (paused["queue"], paused["status"]) == ("queue:q", "paused")
        assert lease(client, "q") == []
    running.kill()
    running = server()
    with running.client() as client:
        assert lease(client, "q") == []
        assert queue_named(client, "queue:q")["paused"]
        assert data(client.post(f"{QUEUES}/queue:q/resume"), job_shapes.QueueStateAnswer)["status"] == "active"
        assert [held["id"] for held in lease(client, "q")] == [job]


def test_thresholds_are_those_of_the_list(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        for _ in range(99):
            enqueue(client, "many", delay_ms=60_000)
        assert queue_named(client, "queue:many")["status"] == "healthy"
        enqueue(client, "many")
        assert queue_named(client, "queue:many")["status"] == "warning"
        page = data(client.get(f"{QUEUES}/many/jobs?limit=100&offset=98"), job_shapes.JobsAnswer)
        assert (len(page["jobs"]), page["pagination"]["total"]) == (2, 100)
        for number in range(11):
            job = enqueue(client, "bad", number)["job_id"]
            client.post(f"{JOBS}/{job}/cancel").raise_for_status()
            assert queue_named(client, "queue:bad")["status"] == ("healthy" if number < 10 else "critical")


def test_cancelling_and_unique_keys(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        first = enqueue(client, "unique", unique_key="k")
        again = enqueue(client, "unique", unique_key="k", priority="low")
        assert again == {**first, "created": False}
        [held] = lease(client, "unique")
        told = data(client.post(f"{JOBS}/{held['id']}/cancel"), job_shapes.JobStateAnswer)
        assert (told["status"], told["cancel_requested"]) == ("active", True)
        beat = client.post(f"{JOBS}/{held['id']}/heartbeat", json={"lease": held["lease"]})
        assert data(beat, job_shapes.BeatAnswer)["cancel"] is True


def test_what_is_wrong_is_named(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        refused(client.get(f"{QUEUES}/nothing/jobs"), 404, "queue_not_found")
        refused(client.post(f"{QUEUES}/nothing/pause"), 404, "queue_not_found")
        refused(client.post(f"{JOBS}/job_1/retry"), 404, "job_not_found")
        assert "a-z" in refused(client.post(f"{QUEUES}/Q/jobs", json={"payload": 1}), 400, "invalid_request")
        assert "retries" in refused(
            client.post(f"{QUEUES}/q/jobs", json={"payload": 1, "retries": -1}), 400, "invalid_request"
        )
        large = {"payload": "x" * (64 << 10)}
        assert "payload" in refused(client.post(f"{QUEUES}/q/jobs", json=large), 413, "payload_too_large")
        # A whole number may be written with a fraction.
        body = b'{"payload":{"a":[1.5]},"delay_ms":1.0}'
        data(client.post(f"{QUEUES}/written/jobs", content=body), job_shapes.EnqueuedAnswer)


def test_workers_have_a_role_of_their_own(authenticated_server: RunningServer) -> None:
    store = TokenStore(authenticated_server.data_dir)
    secrets = {role: store.create(f"jobs-{role}", [role]) for role in ("ingest", "read", "ops", "work")}
    secrets["limited"] = store.create("jobs-limited", ["ingest", "ops", "work"], ["mine"])
    with authenticated_server.client() as client:

        def status(role: str, method: str, path: str, body: object = None) -> int:
            headers = {"authorization": secrets[role]}
            return client.request(method, path, json=body, headers=headers).status_code

        wait_for("the tokens", lambda: status("limited", "GET", "/nothing") == 404)
        enqueued = {role: status(role, "POST", f"{QUEUES}/roles/jobs", {"payload": 1}) for role in secrets}
        assert enqueued == {"ingest": 200, "read": 403, "ops": 200, "work": 403, "limited": 403}
        leased = {role: status(role, "POST", f"{QUEUES}/roles/lease", {}) for role in secrets}
        assert leased == {"ingest": 403, "read": 403, "ops": 403, "work": 200, "limited": 403}
        shown = {role: status(role, "GET", QUEUES) for role in secrets}
        assert shown == {"ingest": 403, "read": 403, "ops": 200, "work": 403, "limited": 403}
