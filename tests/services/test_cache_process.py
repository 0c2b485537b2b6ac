"""`forebay cache` as a process: every route, with Redis there, away and back."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from forebay.cache import answers
from forebay.cache.cache import Cache, Kind
from forebay.cache.embedded import EmbeddedCache
from forebay.cache.redis.layout import Layout
from forebay.cache.shapes import HOUR_MS, MINUTE_MS, HourWindow, LoadTime, Overview, TopEvent
from forebay.cache.times import rfc3339
from forebay.cache.views import Views
from forebay.server.http.tokens import TokenStore
from support.exposition import scrape
from support.harness import START_SECONDS, RunningServer, wait_for
from support.redis import RedisServer
from support.views import DAY_MS, agree, fill, now_ms, publishing, this_minute

pytestmark = pytest.mark.slow

VIEWS = (
    "/metrics/overview",
    "/metrics/event/latest",
    "/metrics/event/windows",
    "/metrics/performance/windows",
)

AT_ONCE_SECONDS = 5.0
"""No answer waits for a Redis that is away for longer; its calls end after two."""


class CacheProcess(RunningServer):
    """`forebay cache` on a free port. With `auth` it asks for tokens, which the test gives along."""

    def start(self) -> CacheProcess:
        self.spawn()
        self.await_serving(START_SECONDS)
        return self

    def figures(self) -> dict[str, float]:
        """The series of `/metrics` without labels."""
        found = (sample for family in scrape(self).values() for sample in family.samples)
        return {sample.name: sample.value for sample in found if not sample.labels}

    def command(self) -> list[str]:
        command = super().command()
        program, flags = command[: command.index("serve")], command[command.index("--port") :]
        return [*program, "cache", *flags]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., CacheProcess]]:
    """Starts processes: `process(url, "--flag")`."""
    started: list[CacheProcess] = []

    def start(url: str, *flags: str, auth: bool = False) -> CacheProcess:
        running = CacheProcess(tmp_path / f"cache-{len(started)}", *flags, auth=auth, cache=url)
        started.append(running)
        return running.start()

    yield start
    for running in started:
        running.stop()


def filled() -> Views:
    views = Views(DAY_MS)
    fill(views, this_minute(), 40, 3)
    hour = HourWindow(120, 4, 5, [TopEvent("page_view", 120)], load_time=LoadTime(1.5, 2.5, 3.5))
    views.put(Kind.HOURS, this_minute() // HOUR_MS * HOUR_MS, msgspec.json.encode(hour), now_ms())
    return views


async def publish(views: Views, url: str, prefix: str = "forebay") -> None:
    async with publishing(views, url, prefix) as cache:
        await agree(views, cache.reader)


async def test_answers_are_those_of_the_server(redis_server: RedisServer, process: Callable[..., CacheProcess]) -> None:
    views = filled()
    await publish(views, redis_server.url)
    cache: Cache = EmbeddedCache(views)
    with process(redis_server.url).client() as client:
        for path, ask in (
            ("/metrics/event/windows", answers.event_windows),
            ("/metrics/performance/windows", answers.performance_windows),
        ):
            for query, limit in (("", 20), ("?limit=1", 1), ("?limit=1440", 1440)):
                # In the same minute, or the answers differ by a window.
                before = this_minute()
                found = client.get(path + query)
                if this_minute() == before:
                    assert found.status_code == 200
                    assert found.json() == msgspec.json.decode(msgspec.json.encode(await ask(cache, limit, before)))
        before = this_minute() // HOUR_MS
        overview = client.get("/metrics/overview").json()
        expected = msgspec.to_builtins(await answers.overview(cache, now_ms()))
        if this_minute() // HOUR_MS == before:
            # The rate is by the clock.
            assert overview | {"eventsPerMinute": 0} == expected | {"eventsPerMinute": 0}
        assert msgspec.convert(overview, Overview).total_events == 120
        latest = client.get("/metrics/event/latest").json()
        assert set(latest) == {"windowStart", "windowEnd", "total", "byType", "uniqueUsers", "uniqueSessions"}
        assert client.get("/healthz").json() == {"status": "ok", "redis": True}
        assert client.get("/readyz").json() == {"status": "ready"}
        assert client.get("/health").json() == client.get("/v1/healthz").json() == {"status": "ok"}


async def test_views_of_nothing_are_told_from_no_views(
    redis_server: RedisServer, process: Callable[..., CacheProcess]
) -> None:
    with process(redis_server.url).client() as client:
        for path in VIEWS:
            refused = client.get(path)
            assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
            assert "nobody has published views" in refused.json()["error"]
        assert "{forebay}" in client.get("/readyz").json()["reason"]
        assert client.get("/healthz").status_code == 200
        await publish(Views(DAY_MS), redis_server.url)
        assert client.get("/readyz").status_code == 200
        assert client.get("/metrics/event/windows").json() == []
        assert client.get("/metrics/performance/windows").json() == []
        assert client.get("/metrics/event/latest").json()["total"] == 0
        assert client.get("/metrics/overview").json() == {
            "totalEvents": 0,
            "eventsPerMinute": 0,
            "activeUsers": 0,
            "activeSessions": 0,
            "topEvents": [],
            "topPages": [],
            "loadTime": {"p50": 0, "p95": 0, "p99": 0},
            "since": None,
        }


async def test_where_nobody_publishes_any_more_answers_are_of_when_somebody_did(
    redis_server: RedisServer, process: Callable[..., CacheProcess]
) -> None:
    await publish(filled(), redis_server.url)
    with process(redis_server.url).client() as client:
        assert client.get("/readyz").status_code == 200
        last = this_minute() - 5 * MINUTE_MS
        redis_server.ask("HSET", Layout().totals, "updatedAt", rfc3339(last + 1_000))
        unready = client.get("/readyz")
        assert (unready.status_code, rfc3339(last + 1_000) in unready.json()["reason"]) == (503, True)
        shown = client.get("/metrics/event/windows?limit=3")
        assert shown.headers["forebay-as-of"] == rfc3339(last + 1_000)
        assert shown.json()[0]["windowStart"] == rfc3339(last)
        assert shown.json()[0]["total"] > 0
        assert client.get("/metrics/event/latest").json() == shown.json()[0]


async def test_wrong_requests_are_refused(redis_server: RedisServer, process: Callable[..., CacheProcess]) -> None:
    await publish(filled(), redis_server.url)
    with process(redis_server.url).client() as client:
        for query in ("limit=0", "limit=1441", "limit=x", "limit=", "other=1", "limit=1&limit=2"):
            refused = client.get(f"/metrics/event/windows?{query}")
            assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request"), query
        assert "1 to 1440" in client.get("/metrics/event/windows?limit=0").json()["error"]
        assert client.get("/metrics/nothing").status_code == 404
        refused = client.post("/metrics/overview", content=b"{}")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        assert client.head("/metrics/overview").status_code == 200
        upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
        assert client.get("/healthz", headers=upgrade | {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}).is_error


async def test_redis_away_and_back(redis_server: RedisServer, process: Callable[..., CacheProcess]) -> None:
    views = filled()
    await publish(views, redis_server.url)
    running = process(redis_server.url)
    with running.client() as client:
        assert client.get("/healthz").status_code == 200
        redis_server.kill()
        began = time.monotonic()
        found = client.get("/healthz")
        assert (found.status_code, found.json()) == (503, {"status": "error", "redis": False})
        assert client.get("/readyz").status_code == 503
        assert client.get("/health").status_code == 200
        for path in VIEWS:
            refused = client.get(path)
            assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
            assert "start Redis" in refused.json()["error"]
            assert int(refused.headers["retry-after"]) >= 1
        assert time.monotonic() - began < 10 * AT_ONCE_SECONDS
        redis_server.start()
        assert client.get("/healthz").status_code == 200, "the first question after it is back"
        await publish(views, redis_server.url)
        assert len(client.get("/metrics/event/windows").json()) == 20
    said = [line["event"] for line in running.log_lines()]
    assert said.count("Redis does not answer with views") == said.count("Redis answers again") == 1


async def test_a_redis_that_does_not_answer(redis_server: RedisServer, process: Callable[..., CacheProcess]) -> None:
    await publish(filled(), redis_server.url)
    running = process(redis_server.url)
    with running.client() as client:
        assert client.get("/healthz").status_code == 200
        redis_server.signal(signal.SIGSTOP)
        assert client.get("/healthz").status_code == 503
        refused = client.get("/metrics/overview")
        assert refused.status_code == 503
        assert "SLOWLOG" in refused.json()["error"]
        assert client.get("/health").status_code == 200
        redis_server.signal(signal.SIGCONT)
        wait_for("Redis is reached", lambda: client.get("/healthz").status_code == 200)
        assert client.get("/metrics/overview").status_code == 200
        redis_server.signal(signal.SIGSTOP)
        began = time.monotonic()
        assert running.terminate() == 0, "a stop does not wait for Redis"
        assert time.monotonic() - began < 60


def test_it_starts_without_redis(redis_server: RedisServer, process: Callable[..., CacheProcess]) -> None:
    redis_server.kill()
    running = process(redis_server.url)
    with running.client() as client:
        assert client.get("/healthz").status_code == 503
        redis_server.start()
        wait_for("Redis is reached", lambda: client.get("/healthz").status_code == 200)
    assert running.terminate() == 0


async def test_a_redis_that_cannot_save_can_be_read(
    redis_server: RedisServer, process: Callable[..., CacheProcess]
) -> None:
    await publish(filled(), redis_server.url)
    redis_server.file.mkdir()
    (redis_server.file / "full").touch()
    redis_server.ask("CONFIG", "SET", "save", "1 1")
    with process(redis_server.url).client() as client, redis_server.client() as redis:
        wait_for("it cannot save", lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err")
        assert client.get("/healthz").status_code == 200
        assert client.get("/metrics/event/windows").status_code == 200


async def test_it_reads_a_replica(new_redis: Callable[..., RedisServer], process: Callable[..., CacheProcess]) -> None:
    primary, replica = new_redis("primary"), new_redis("replica")
    replica.ask("REPLICAOF", "127.0.0.1", primary.port)
    await publish(filled(), primary.url)
    with process(replica.url).client() as client:
        wait_for("it is replicated", lambda: len(client.get("/metrics/event/windows").json()) == 20)


async def test_tokens(redis_server: RedisServer, process: Callable[..., CacheProcess], tmp_path: Path) -> None:
    await publish(filled(), redis_server.url)
    directory = tmp_path / "tokens"
    directory.mkdir()
    store = TokenStore(directory)
    reads = store.create("reads", ["read"])
    operates = store.create("operates", ["ops", "ingest"])
    limited = store.create("limited", ["read"], projects=["org-xyz"])
    running = process(redis_server.url, "--tokens", str(directory), auth=True)

    def status(path: str, token: str | None) -> int:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return httpx.get(f"{running.url}{path}", headers=headers, timeout=60, trust_env=False).status_code

    for path in ("/health", "/healthz", "/readyz", "/v1/healthz"):
        assert status(path, None) == 200
    for path in (*VIEWS, "/metrics"):
        assert status(path, None) == 401
        assert status(path, "fby_unknown") == 401
        assert status(path, operates) == 403
        assert status(path, reads) == 200
    for path in VIEWS:
        assert status(path, limited) == 403, "views are of all projects"
    assert status("/nothing", None) == 401
    assert status("/nothing", reads) == 404
    store.revoke("reads")
    wait_for("the revoked token is refused", lambda: status("/metrics/overview", reads) == 401)
    assert sorted(path.name for path in directory.iterdir()) == ["tokens.json"], "it makes no token of its own"


def test_its_own_figures(redis_server: RedisServer, process: Callable[..., CacheProcess]) -> None:
    running = process(redis_server.url)
    with running.client() as client:
        client.get("/metrics/overview")
        figures = running.figures()
        assert figures["forebay_cache_reachable"] == 1
        assert figures["forebay_cache_calls_total"] >= 2
        assert figures["forebay_cache_failures_total"] == 0
        assert figures["process_resident_memory_bytes"] > 0
        assert "forebay_cache_updated_timestamp_seconds" not in figures, "nobody has published yet"
        redis_server.kill()
        client.get("/metrics/overview")
        figures = running.figures()
        assert figures["forebay_cache_reachable"] == 0
        assert figures["forebay_cache_failures_total"] >= 1
        accept = {"accept": "application/openmetrics-text; version=1.0.0"}
        assert client.get("/metrics", headers=accept).text.endswith("# EOF\n")


async def test_the_password_is_shown_nowhere(
    new_redis: Callable[..., RedisServer], process: Callable[..., CacheProcess]
) -> None:
    secret = "correct-horse-battery"
    guarded = new_redis("guarded", requirepass=secret)
    await publish(filled(), guarded.url, "other")
    running = process(guarded.url, "--cache-prefix", "other")
    wrong = process(guarded.url.replace(secret, "wrong-battery"))
    with running.client() as client, wrong.client() as refused:
        assert len(client.get("/metrics/event/windows").json()) == 20
        answer = refused.get("/metrics/overview")
        assert answer.status_code == 503
        assert "password" in answer.json()["error"]
        assert refused.get("/healthz").status_code == 503
        text = answer.text + client.get("/metrics").text
    for shown in (text, running.log_text(), wrong.log_text()):
        assert secret not in shown
        assert "wrong-battery" not in shown


async def test_what_other_programs_wrote_is_not_shown(
    redis_server: RedisServer, process: Callable[..., CacheProcess]
) -> None:
    await publish(filled(), redis_server.url)
    minute = this_minute()
    key, field = Layout().windows(Kind.EVENTS, minute), rfc3339(minute)
    with process(redis_server.url).client() as client:
        for body in ("{", "\udcff", '{"windowStart": 1}', '"x"'):
            redis_server.ask("HSET", key, field, body.encode("utf-8", "surrogateescape"))
            refused = client.get("/metrics/event/windows?limit=5")
            assert refused.status_code == 503
            assert key in refused.json()["error"]
        redis_server.ask("SET", key, "a text")
        refused = client.get("/metrics/event/windows?limit=5")
        assert refused.status_code == 503
        assert "WRONGTYPE" in refused.json()["error"]


def test_a_unix_socket(
    new_redis: Callable[..., RedisServer], process: Callable[..., CacheProcess], tmp_path: Path
) -> None:
    socket = tmp_path / "r.sock"
    new_redis("local", unixsocket=str(socket))
    with process(f"unix://{socket}").client() as client:
        assert client.get("/healthz").status_code == 200
