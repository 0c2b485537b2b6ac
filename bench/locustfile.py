"""Users of every kind, for locust. See README.md, "locust".

    locust -f bench/locustfile.py --headless -u 50 -r 10 -t 30s --host http://127.0.0.1:8080
    locust -f bench/locustfile.py --host http://127.0.0.1:8080           # the web UI, on port 8089
    LOCUST_SHAPE=saturation locust -f bench/locustfile.py --headless --host http://127.0.0.1:8080

$FOREBAY_TOKEN is the token, with the roles ingest and read, and ops for the producers' stream. Names of users on the
command line choose among them: `… Drains Tracks`. After each run everything that was acknowledged is read back; a
difference is said, and the exit status is then 1.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

import gevent
from forebay.client.encoding import Encoder
from forebay.client.endpoint import endpoint_of
from locust import FastHttpUser, between, constant, events, task
from locust.env import Environment
from locust.exception import StopTest
from locust.runners import STATE_RUNNING, STATE_SPAWNING, MasterRunner

from swarm.api import Api, Refused, authorization
from swarm.ledger import Ledger
from swarm.readback import Finding, read_back
from swarm.saturation import REFUSED

SATURATES = os.environ.get("LOCUST_SHAPE") == "saturation"
if SATURATES:
    from swarm.saturation import Saturation  # noqa: F401  # locust runs with the shape that it finds here

DRAIN_EVENTS = 100
SDK_EVENTS = 500
"""The SDK's own default."""
PRODUCED_EVENTS = 100
FETCHED_EVENTS = 1000
POLL_MS = 1000
PARTITIONS = 4

SDK_TRIES = 5
"""Attempts for one batch, under one key, when the outcome is unknown; refusals with 429 do not count."""

LONGEST_WAIT_SECONDS = 60.0
"""A `Retry-After` beyond this is cut: the run ends sooner."""


class Sender(FastHttpUser):
    """Sends one request at a time, and notes what is acknowledged."""

    abstract = True
    stream = ""
    wait_time = constant(0) if SATURATES else between(0, 0.1)  # type: ignore[no-untyped-call]
    network_timeout = 40.0
    connection_timeout = 10.0

    def on_start(self) -> None:
        self.ledger: Ledger = self.environment.ledger
        self.headers = authorization()
        self.writer = self.ledger.writer(self.stream or self.ledger.stream)

    def send(self, name: str, path: str, body: bytes, numbers: range, key: str = "", **headers: str) -> None:
        """Posts until it is acknowledged or refused for good. With a key also after an unknown outcome."""
        failures = 0
        while True:
            status, wait = self._post(f"{name} x {len(numbers)}", path, body, headers)
            if 200 <= status < 300:
                self.writer.acknowledge(numbers)
                return
            if status == 429 and wait > 0:
                self.ledger.waited(wait)
                gevent.sleep(wait)
                continue
            failures += 1
            if not key or failures >= SDK_TRIES or 400 <= status < 500:
                return
            gevent.sleep(0.1 * 2**failures)

    def _post(self, name: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, float]:
        """The status, 0 for no answer, and the seconds to wait that a 429 asks for. Such a one is counted under a name
        of its own, and is no failure: it is what the server is to do when it is full."""
        with self.client.post(
            path, data=body, headers=self.headers | headers, name=name, catch_response=True
        ) as response:
            status = response.status_code
            if status == 429:
                wait = _seconds(response.headers.get("retry-after"))
                if wait <= 0:
                    response.failure("429 without a Retry-After in seconds")
                else:
                    response.request_meta["name"] = name + REFUSED
                    response.success()
                return status, min(wait, LONGEST_WAIT_SECONDS)
        return status, 0.0


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isdecimal() else 0.0


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Drains(Sender):
    """A log shipper: batches of 100 log events."""

    weight = 3
    stream = "logs"

    @task
    def drain(self) -> None:
        numbers = self.writer.take(DRAIN_EVENTS)
        head = (
            f'{{"project_id":"locust-{self.writer.number % 8}","timestamp":"{_now()}","level":"info",'
            '"service":"checkout","message":"order was shipped after two tries","metadata":{"region":"eu-central-1",'
            '"duration_ms":12.5,"mark":"'
        )
        rows = ",".join([f'{head}{mark}"}}}}' for mark in self.writer.marks(numbers)])
        self.send("drain", "/v1/drain", f'{{"events":[{rows}]}}'.encode(), numbers)


class SdkBatches(Sender):
    """The Python SDK's own batches, not encoded: 500 log events under a key, sent again under it until it is known what
    became of them."""

    weight = 3
    stream = "logs"

    def on_start(self) -> None:
        super().on_start()
        self.endpoint = endpoint_of("drain")
        self.encoder = Encoder(f"locust-{self.writer.number % 8}", "checkout")

    @task
    def batch(self) -> None:
        numbers = self.writer.take(SDK_EVENTS)
        key = f"{self.writer.run}-{self.writer.number}-{numbers.start}"
        message = "order was shipped after two tries"
        rows = [
            self.encoder.row({"message": message, "metadata": {"region": "eu-central-1", "mark": mark}})
            for mark in self.writer.marks(numbers)
        ]
        headers = dict(line.split(": ", 1) for line in self.endpoint.headers(key).splitlines())
        self.send("sdk batch", self.endpoint.path, self.endpoint.body(rows), numbers, key, **headers)


class SingleEvents(Sender):
    """An application without a client: one event a request."""

    weight = 2
    stream = "events"

    @task
    def event(self) -> None:
        numbers = self.writer.take(1)
        (mark,) = self.writer.marks(numbers)
        body = {"type": "user_action", "source": "web_app", "data": {"action": "click", "mark": mark}}
        self.send("event", "/api/events", json.dumps(body).encode(), numbers)


class Tracks(Sender):
    """A page that tells of its visitors."""

    weight = 2
    stream = "analytics"

    @task
    def track(self) -> None:
        numbers = self.writer.take(1)
        (mark,) = self.writer.marks(numbers)
        body = {
            "event": {"type": "page_view"},
            "user": {"id": f"user-{self.writer.number}"},
            "context": {"url": "https://example.com/home", "mark": mark},
            "metrics": {"load_time": 250},
        }
        self.send("track", "/v1/analytics/track", json.dumps(body).encode(), numbers)


class Producers(Sender):
    """Batches of 100 records onto the run's own stream, for the consumers."""

    weight = 2

    @task
    def produce(self) -> None:
        numbers = self.writer.take(PRODUCED_EVENTS)
        rows = ",".join(
            [
                f'{{"key":"user-{n % 64}","value":{{"amount":{n},"mark":"{mark}"}}}}'
                for n, mark in zip(numbers, self.writer.marks(numbers), strict=True)
            ]
        )
        path = f"/api/v1/streams/{self.ledger.stream}/events/batch"
        self.send("produce", path, f'{{"events":[{rows}]}}'.encode(), numbers)


class Consumers(FastHttpUser):
    """Members of one group: they wait for records, and commit them."""

    weight = 1
    wait_time = constant(0)  # type: ignore[no-untyped-call]
    network_timeout = 40.0

    def on_start(self) -> None:
        self.ledger: Ledger = self.environment.ledger
        self.headers = authorization()
        self.member = f"{self.ledger.run}-{os.urandom(4).hex()}"

    @task
    def consume(self) -> None:
        progress, stream = self.ledger.progress, self.ledger.stream
        where = f"consumerGroup={progress.group}&memberId={self.member}&limit={FETCHED_EVENTS}&timeout={POLL_MS}"
        with self.client.get(
            f"/api/v1/streams/{stream}/events?{where}", headers=self.headers, name="consume", catch_response=True
        ) as response:
            if response.status_code != 200:
                self._rest(response)
                return
            found = response.json()
            if not found["events"]:
                response.request_meta["name"] = "consume (nothing yet)"
                response.success()
        for event in found["events"]:
            progress.hand(event["partition"], event["offset"])
        following = {int(partition): offset for partition, offset in found["metadata"]["nextOffsets"].items()}
        if found["events"]:
            self._commit(following)

    def _commit(self, following: dict[int, int]) -> None:
        progress, stream = self.ledger.progress, self.ledger.stream
        offsets = [{"stream": stream, "partition": p, "offset": offset} for p, offset in following.items()]
        body = json.dumps({"memberId": self.member, "offsets": offsets})
        path = f"/api/v1/consumers/{progress.group}/commit"
        with self.client.post(path, data=body, headers=self.headers, name="commit", catch_response=True) as response:
            if response.status_code == 200:
                for partition, offset in following.items():
                    progress.commit(partition, offset)
            elif response.status_code == 409:
                # A member came or went: another one has the partition now, and reads the same records.
                response.request_meta["name"] = "commit (409, the partition has moved)"
                response.success()

    def _rest(self, response: Any) -> None:
        """A refused poll is not asked again at once."""
        wait = _seconds(response.headers.get("retry-after"))
        if response.status_code == 429 and wait > 0:
            response.request_meta["name"] = "consume" + REFUSED
            response.success()
            self.ledger.waited(wait)
        gevent.sleep(min(max(wait, 0.1), LONGEST_WAIT_SECONDS))


def _checks(listener: Callable[[Environment, Ledger, Api], None]) -> Callable[..., None]:
    """For each process that has users; the one that only leads others has none."""

    def called(environment: Environment, **_: Any) -> None:
        if not isinstance(environment.runner, MasterRunner):
            listener(environment, environment.ledger, Api(environment.host or ""))

    return called


def begin(environment: Environment, ledger: Ledger, api: Api) -> None:
    try:
        for stream in ("logs", "events", "analytics"):
            ledger.starts[stream] = [end for _, end in api.partitions(stream)]
        if {Producers, Consumers} & set(environment.user_classes):
            api.call("POST", "/api/v1/streams", {"name": ledger.stream, "partitions": PARTITIONS})
    except Refused as refused:
        print(f"locust cannot begin: {refused}", flush=True)
        if refused.status == 403:
            print("the token needs the roles ingest and read, and ops for Producers and Consumers", flush=True)
        environment.process_exit_code = 1
        raise StopTest(str(refused)) from None


def end(environment: Environment, ledger: Ledger, api: Api) -> None:
    print(ledger.cost(), flush=True)
    findings = read_back(api, ledger)
    for finding in findings:
        print(f"read back {finding.line}", flush=True)
        _count(environment, finding)
    print(
        f"429: {ledger.refusals:,} answers, obeyed for {ledger.waited_seconds:.0f} s together, "
        f"at most {ledger.longest_wait_seconds:.0f} s",
        flush=True,
    )
    if any(finding.wrong for finding in findings):
        environment.process_exit_code = 1
    elif any(writer.stream == ledger.stream for writer in ledger.writers):
        # It was the run's own. After a difference it is kept, to be looked at.
        try:
            api.call("DELETE", f"/api/v1/streams/{ledger.stream}")
        except Refused as refused:
            print(f"the run's stream stays: {refused}", flush=True)


def _count(environment: Environment, finding: Finding) -> None:
    """Among the statistics, so that the web UI shows it too."""
    environment.events.request.fire(
        request_type="CHECK",
        name=f"read back {finding.what}",
        response_time=0,
        response_length=0,
        exception=AssertionError("; ".join(finding.wrong)) if finding.wrong else None,
        context={},
    )


@events.test_start.add_listener
def _begin(environment: Environment, **_: Any) -> None:
    environment.ledger = Ledger()
    _checks(begin)(environment)


events.test_stop.add_listener(_checks(end))


@events.quitting.add_listener
def _quit(environment: Environment, **_: Any) -> None:
    """When it is interrupted locust decides on its exit status before it ends the run, and with it the check: so the
    run ends here."""
    runner = environment.runner
    if runner is not None and not isinstance(runner, MasterRunner) and runner.state in (STATE_RUNNING, STATE_SPAWNING):
        runner.stop()
