"""Measures analytics: tracking beside FastAPI on Kafka, how old the views are, the overview, and what Redis is asked.

Usage:

    python bench/analytics.py                           everything; what cannot be had here is named and left out
    python bench/analytics.py --only age,overview
    python bench/analytics.py --list                    the names
    python bench/analytics.py --share 0.02 --rounds 1 --no-append       short and small, to see that it works

See README.md for the method.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from harness import contest, load, machine, visits
from harness.ages import RunningTotal, ages
from harness.cache import Cache, Missing
from harness.comparison import say
from harness.contest import Outcome
from harness.forebay import Forebay
from harness.load import Measurement, Shape
from harness.process import Cores, free_port
from harness.runs import Figures
from harness.sender import ANSWER_LIMIT_S, Answer, Sender
from harness.server import Launch, Server
from harness.table import Best, milliseconds
from peers.fastapi_track.peer import FastapiTrack
from services.redis import RedisServer, redis_server

#: Of tracking in a closed loop.
SINGLE = Shape(1, 128, content="track")
BATCH = Shape(500, 32)
SECONDS = 4.0
#: Of open loops: events of a request, and connections, which are more than are in use at once.
PACED_BATCH, PACED_CONNECTIONS = 50, 64
#: The part of the rate that must have been acknowledged.
KEPT_UP = 0.98

AGE_RATE, AGE_SECONDS, AGE_WARMUP_S, POLL_S = 10_000, 60.0, 3.0, 0.02
#: So long after a minute's end answers are asked for both minutes: the last events of the old one may still be missing.
BOTH_MINUTES_S = 10.0
#: So long after the last acknowledgement everything must be in the views.
CATCH_UP_LIMIT_S = 60.0

USERS, OVERVIEWS = 1_000_000, 500
FILL_CONNECTIONS = 4
#: The hour may not end while it is filled and read.
HOUR_S, HOUR_LEFT_S = 3600, 180.0
#: A view that has not changed for so long will not.
AT_REST_S = 3.0
USERS_OFF = 0.02

REDIS_RATES, REDIS_SECONDS, REDIS_WARMUP_S = (1_000, 10_000, 50_000), 20.0, 3.0

OVERVIEW_TITLE = "forebay, GET /metrics/overview, one after another"


def age_title(rate: int) -> str:
    return f"forebay, age of the views at {rate:,} events/s"


def redis_title(rate: int) -> str:
    return f"forebay, commands at Redis at {rate:,} events/s"


def track_title(who: str, shape: Shape) -> str:
    return f"{who}, {shape.label}"


#: Row, figure, the most that it may be, and its unit.
AIMS = (
    (age_title(AGE_RATE), "p99_ms", 1500.0, "ms p99"),
    (OVERVIEW_TITLE, "p99_ms", 5.0, "ms p99"),
    *((redis_title(rate), "per_second", 200.0, "commands/s") for rate in REDIS_RATES),
)


@dataclass(frozen=True)
class Bench:
    """Where it is measured, and the share of the whole time and of all users."""

    cache: Cache
    cores: Cores
    share: float


class ForebayOnRedis(Forebay):
    """Its views are also kept in Redis, which runs on the server's core."""

    name = "forebay-redis"

    def start(self, launch: Launch) -> None:
        self.redis = RedisServer(launch, free_port())
        self.redis.start()
        self.serve(launch, cache=self.redis.url)


class Views:
    """Reads views over one connection."""

    def __init__(self, launch: Launch) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", launch.port, timeout=ANSWER_LIMIT_S)

    def get(self, path: str) -> Any:
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"GET {path} was answered {answer.status}: {text[:300]!r}")
        return json.loads(text)


def single(server: Server) -> Callable[[Bench], Outcome]:
    """A turn of events one by one, sent by forebay-load."""

    def turn(bench: Bench) -> Outcome:
        binary = load.build()
        with server.running(bench.cache, bench.cores) as launch:
            return tracked(server, load.measure(binary, launch, server.path, SINGLE, seconds(bench), server.warmup_s))

    return turn


def batched(server: Server) -> Callable[[Bench], Outcome]:
    """A turn of batches, sent from here."""

    def turn(bench: Bench) -> Outcome:
        requests = visits.batches(BATCH.batch)
        with server.running(bench.cache, bench.cores) as launch:
            with Sender(launch.port, BATCH.connections) as sender:
                os.sync()
                before = launch.cpu_seconds()
                warm = sender.send(requests, server.warmup_s)
                began, own, used = time.monotonic(), time.thread_time(), launch.cpu_seconds()
                answers = sender.send(requests, seconds(bench))
                used = launch.cpu_seconds() - used
            elapsed, own = answers[-1].at - began, time.thread_time() - own
            settled = load.settle(launch) - before
        say(f"  the client used {own / elapsed:.0%} of its core")
        taken = milliseconds([one.at - one.due for one in answers])
        events, all_events = (count * BATCH.batch for count in (len(answers), len(warm) + len(answers)))
        one = Measurement(
            events_per_second=events / elapsed,
            p50_ms=taken["p50_ms"],
            p99_ms=taken["p99_ms"],
            cpu_s_per_million=used / events * 1e6,
            settled_cpu_s_per_million=settled / all_events * 1e6,
            failures=0,
            queued=0,
            send_lag_p99_ms=0.0,
        )
        return tracked(server, one)

    return turn


def seconds(bench: Bench) -> float:
    return max(SECONDS * bench.share, 1.0)


def tracked(server: Server, one: Measurement) -> Outcome:
    figures = Best.of([one]).figures()
    failures = figures.pop("failures", 0.0)
    return Outcome(figures, server.ack, f"{contest.WRONG}: {failures:.0f} failed" if failures else "")


def send_paced(sender: Sender, requests: Iterator[bytes], rate: int, lasting: float) -> list[Answer]:
    """An open loop. Raises RuntimeError when the rate was not kept."""
    answers = sender.send(requests, lasting, rate / PACED_BATCH)
    reached = len(answers) * PACED_BATCH / max(answers[-1].at - answers[0].due, lasting)
    if reached < rate * KEPT_UP:
        raise RuntimeError(f"of {rate:,} events/s only {reached:,.0f} were acknowledged")
    return answers


def polled(views: Views, sent: Future[list[Answer]]) -> list[tuple[float, int]]:
    """When each answer was there, and the total until then, until all that was acknowledged is in it."""
    total, found, deadline = RunningTotal(), [(time.monotonic(), 0)], float("inf")
    for turn in itertools.count():
        if sent.done():
            events = len(sent.result()) * PACED_BATCH
            if found[-1][1] >= events:
                return found
            deadline = min(deadline, time.monotonic() + CATCH_UP_LIMIT_S)
            if time.monotonic() > deadline:
                raise RuntimeError(f"views count {found[-1][1]:,} of {events:,} events, {CATCH_UP_LIMIT_S:.0f} s later")
        both = sent.done() or time.time() % 60 < BOTH_MINUTES_S
        windows = views.get("/metrics/event/windows?limit=2") if both else [views.get("/metrics/event/latest")]
        found.append((time.monotonic(), total.after(windows)))
        due = found[0][0] + (turn + 1) * POLL_S
        time.sleep(max(0.0, due - time.monotonic()))
    raise AssertionError


def age(bench: Bench) -> Outcome:
    """A turn of steady events beside a reader of the views."""
    lasting = max(AGE_SECONDS * bench.share, 1.0)
    with Forebay().running(bench.cache, bench.cores) as launch, ThreadPoolExecutor(1) as pool:
        requests = visits.batches(PACED_BATCH)
        with Sender(launch.port, PACED_CONNECTIONS) as sender:
            sent = pool.submit(send_paced, sender, requests, AGE_RATE, AGE_WARMUP_S + lasting)
            answers = polled(Views(launch), sent)
        acknowledged = sent.result()
        # What is counted twice shows after what is missing.
        time.sleep(AT_REST_S)
        counted = Views(launch).get("/metrics/overview")["totalEvents"]
    found = ages([(one.at, PACED_BATCH) for one in acknowledged], answers)
    measured_from = acknowledged[0].due + AGE_WARMUP_S
    warm = sum(PACED_BATCH for one in acknowledged if one.at < measured_from)
    events = len(acknowledged) * PACED_BATCH
    verdict = "right" if counted == events else f"{contest.WRONG}: views count {counted:,} of {events:,}"
    return Outcome(milliseconds(found[warm:]), f"{AGE_RATE * lasting:,.0f} events", verdict)


def filled_hour(launch: Launch, users: int) -> None:
    """Sends an event of each user in the running hour. Waits for the next one when too little of this one is left."""
    left = HOUR_S - time.time() % HOUR_S
    if left < HOUR_LEFT_S:
        say(f"  waits {left:.0f} s for the next hour")
        time.sleep(left + 1)
    now = time.time()
    begin_ms, end_ms = int(now - now % HOUR_S) * 1000, int(now * 1000)
    with Sender(launch.port, FILL_CONNECTIONS) as sender:
        sender.send(visits.of_all_users(users, BATCH.batch, begin_ms, end_ms), HOUR_LEFT_S)


def at_rest(views: Views, events: int) -> None:
    """Waits until the overview counts all events and changes no more."""
    deadline = time.monotonic() + CATCH_UP_LIMIT_S
    last, since = (0, 0), time.monotonic()
    while last[0] < events or time.monotonic() < since + AT_REST_S:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the overview counts {last[0]:,} of {events:,} events")
        time.sleep(POLL_S)
        found = views.get("/metrics/overview")
        now = (found["totalEvents"], found["activeUsers"])
        if now != last:
            last, since = now, time.monotonic()


def overview(bench: Bench) -> Outcome:
    """A turn of requests for the overview of an hour with so many users."""
    users = max(int(USERS * bench.share), BATCH.batch)
    taken = []
    with Forebay().running(bench.cache, bench.cores) as launch:
        filled_hour(launch, users)
        views = Views(launch)
        at_rest(views, users)
        hour = time.time() // HOUR_S
        for _ in range(OVERVIEWS):
            began = time.perf_counter()
            found = views.get("/metrics/overview")
            taken.append(time.perf_counter() - began)
        if time.time() // HOUR_S != hour:
            raise RuntimeError("the hour ended while its overview was read")
    active, total = found["activeUsers"], found["totalEvents"]
    verdict = f"activeUsers {active:,}"
    if abs(active - users) > users * USERS_OFF or total != users:
        verdict = f"{contest.WRONG}: {verdict}, totalEvents {total:,}"
    return Outcome(milliseconds(taken), f"{users:,} users in the hour", verdict)


def redis_commands(rate: int) -> Callable[[Bench], Outcome]:
    """A turn of steady events into a server whose views are in Redis."""

    def turn(bench: Bench) -> Outcome:
        lasting = max(REDIS_SECONDS * bench.share, 2.0)
        server, requests = ForebayOnRedis(), visits.batches(PACED_BATCH)
        with server.running(bench.cache, bench.cores) as launch, Sender(launch.port, PACED_CONNECTIONS) as sender:
            send_paced(sender, requests, rate, REDIS_WARMUP_S)
            before, began = server.redis.commands(), time.monotonic()
            answers = send_paced(sender, requests, rate, lasting)
            # One of them is the question before.
            commands, elapsed = server.redis.commands() - before - 1, time.monotonic() - began
            if not server.redis.holds_anything():
                raise RuntimeError("the views are not in Redis: it is empty")
        return Outcome({"per_second": commands / elapsed}, f"{len(answers) * PACED_BATCH:,} events")

    return turn


def installed(bench: Bench) -> None:
    Forebay().prepare(bench.cache)


def singles_of(server: Server) -> Callable[[Bench], None]:
    def prepare(bench: Bench) -> None:
        server.prepare(bench.cache)
        load.build()

    return prepare


def batches_of(server: Server) -> Callable[[Bench], None]:
    return lambda bench: server.prepare(bench.cache)


def redis_installed(bench: Bench) -> None:
    installed(bench)
    redis_server()
    python = Forebay().command.with_name("python")
    if python.exists() and subprocess.run([python, "-c", "import redis"], capture_output=True, check=False).returncode:
        raise Missing("the package redis is not beside forebay; pip install 'forebay[redis]' brings it")


class ForebayTrack(Forebay):
    path = "/v1/analytics/track"


TRACKED: tuple[Server, ...] = (ForebayTrack(), FastapiTrack())
NAMES = ("forebay", FastapiTrack.name)


def tracking() -> Iterator[contest.Contestant[Bench]]:
    titles = (Forebay.name, FastapiTrack.title)
    for shape, turn, prepare in ((SINGLE, single, singles_of), (BATCH, batched, batches_of)):
        for name, title, server in zip(NAMES, titles, TRACKED, strict=True):
            yield contest.Contestant(name, track_title(title, shape), turn(server), prepare(server))


CONTESTANTS: tuple[contest.Contestant[Bench], ...] = (
    *tracking(),
    contest.Contestant("age", age_title(AGE_RATE), age, installed),
    contest.Contestant("overview", OVERVIEW_TITLE, overview, installed),
    *(contest.Contestant("redis", redis_title(rate), redis_commands(rate), redis_installed) for rate in REDIS_RATES),
)


def ratios(rounds: contest.Rounds) -> Iterator[str]:
    """forebay's rate and CPU time beside those of the peer in this run."""
    for shape in (SINGLE, BATCH):
        ours, theirs = (track_title(who, shape) for who in (Forebay.name, FastapiTrack.title))
        if ours in rounds.outcomes and theirs in rounds.outcomes:
            mine, other = rounds.best(ours), rounds.best(theirs)
            rate, cpu = mine["per_second"] / other["per_second"], other["cpu"] / mine["cpu"]
            yield f"{ours}: {rate:.1f} times the rate of {FastapiTrack.title}, {cpu:.1f} times less CPU"


def aims(rounds: contest.Rounds) -> Iterator[str]:
    """What was aimed at, beside what was reached."""
    for title, name, aim, unit in AIMS:
        if title in rounds.outcomes:
            found: Figures = rounds.best(title)
            verdict = "reached" if found[name] < aim else "MISSED"
            yield f"{title}: {found[name]:,.2f} {unit}, aimed at under {aim:,.0f}: {verdict}"


def arguments() -> tuple[argparse.Namespace, Sequence[contest.Contestant[Bench]]]:
    parser = contest.parser(__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the time and the users, below 1 with --no-append")
    options = parser.parse_args()
    if not 0 < options.share <= 1:
        parser.error("--share is above 0 and at most 1")
    if options.share < 1 and not options.no_append:
        parser.error("figures of less than everything are not kept: --share goes with --no-append")
    return options, contest.selected(parser, options, CONTESTANTS)


def main() -> int:
    options, chosen = arguments()
    if options.list:
        print(*dict.fromkeys(one.name for one in CONTESTANTS), sep="\n")
        return 0
    began = time.monotonic()
    bench = Bench(Cache.default(), Cores.available(), options.share)
    ready = contest.prepared(bench, chosen)
    if not ready:
        return 1
    os.sched_setaffinity(0, bench.cores.load)
    place = f"{machine.summary(bench.cache.data)}; {bench.cores}"
    rounds = contest.hold("analytics", bench, place, ready, options)
    print(*ratios(rounds), *aims(rounds), sep="\n")
    say(f"{time.monotonic() - began:.0f} s")
    return 1 if rounds.wrong() or len(rounds.outcomes) < len(ready) else 0


if __name__ == "__main__":
    sys.exit(main())
