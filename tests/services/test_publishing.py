"""One server that publishes to one Redis: what is there, and what becomes of it when Redis fails."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import structlog

from forebay.cache.cache import Health, Kind
from forebay.cache.redis import publisher
from forebay.cache.redis.connection import Connection
from forebay.cache.redis.layout import Layout
from forebay.cache.redis.publisher import Role
from forebay.cache.redis.redis_cache import RedisCache
from forebay.cache.redis.shared_cache import SharedCache
from forebay.cache.shapes import HOUR_MS, MINUTE_MS
from forebay.cache.times import rfc3339
from forebay.cache.views import Views
from support.redis import RedisServer, free_port
from support.views import DAY_MS, agree, eventually, fill, now_ms, publishing, put_event, this_minute

pytestmark = pytest.mark.slow

MOST_COMMANDS = 200
"""A second, whatever the rate of events."""

TEST_COMMANDS = {"info", "config|get", "config|set", "ping", "hello", "client|setname", "client|setinfo"}


def published_calls(redis_server: RedisServer) -> int:
    """The commands since the start, without those of the test and of new connections."""
    return sum(calls for name, calls in redis_server.calls().items() if name not in TEST_COMMANDS)


async def reading(redis_server: RedisServer) -> RedisCache:
    return RedisCache(Connection(redis_server.url), Layout())


async def test_what_is_published_is_read_elsewhere(redis_server: RedisServer) -> None:
    views = Views(DAY_MS)
    fill(views, this_minute(), 90, 7)
    reader = await reading(redis_server)
    async with publishing(views, redis_server.url):
        await agree(views, reader)
        put_event(views, this_minute(), 8)
        views.count(1000, rfc3339(this_minute()))
        await agree(views, reader)
        assert await reader.health() is Health.REACHABLE
        assert reader.updated_seconds == pytest.approx(time.time(), abs=60)
    await reader.close()


async def test_keys_are_as_documented_and_expire(redis_server: RedisServer) -> None:
    views = Views(DAY_MS)
    minute = this_minute()
    fill(views, minute, 1, 7)
    hour, day = rfc3339(minute)[:13], rfc3339(minute)[:10]
    data = {
        f"{{forebay}}:analytics:events:{hour}:00Z": rfc3339(minute),
        f"{{forebay}}:analytics:performance:{hour}:00Z": rfc3339(minute),
        f"{{forebay}}:analytics:hours:{day}": f"{hour}:00:00.000Z",
    }
    reader = await reading(redis_server)
    async with publishing(views, redis_server.url):
        await agree(views, reader)
        with redis_server.client() as client:
            ending = {"totals", "index", "lease"}
            named = {f"{{forebay}}:analytics:{name}" for name in ending}
            assert set(client.keys("*")) == {*data, *named, "{forebay}:analytics:fence"}
            for key, field in data.items():
                assert list(client.hgetall(key)) == [field]
                span = DAY_MS if ":hours:" in key else HOUR_MS
                start = minute // span * span
                assert client.execute_command("PEXPIRETIME", key) == start + span + DAY_MS
            assert set(client.zrange("{forebay}:analytics:index", 0, -1)) == set(data)
            for key in named:
                assert client.ttl(key) > 0, key
            totals = client.hgetall("{forebay}:analytics:totals")
            assert msgspec.json.decode(totals["totals"])["totalEvents"] == 7
            lease = client.get("{forebay}:analytics:lease")
            assert lease == f"{totals['fence']}:{totals['writer']}"
    assert redis_server.ask("EXISTS", "{forebay}:analytics:lease") == 0, "a clean stop gives the lease back"
    await reader.close()


async def test_another_prefix_is_another_world(redis_server: RedisServer) -> None:
    ours, theirs = Views(DAY_MS), Views(DAY_MS)
    fill(ours, this_minute(), 3, 1)
    fill(theirs, this_minute(), 3, 2)
    async with publishing(ours, redis_server.url) as one, publishing(theirs, redis_server.url, "b") as other:
        await agree(ours, one.reader)
        await agree(theirs, other.reader)
        assert (one.state.role, other.state.role) == (Role.HOLDER, Role.HOLDER)


async def test_what_changed_before_a_stop_is_published(redis_server: RedisServer) -> None:
    views = Views(DAY_MS)
    reader = await reading(redis_server)
    async with publishing(views, redis_server.url) as cache:
        await eventually("it has the lease", lambda: cache.state.written_seconds_ago is not None)
        fill(views, this_minute(), 90, 3)
    await agree(views, reader)
    await reader.close()


@pytest.mark.parametrize("saved", [False, True], ids=["empty", "with an old file"])
async def test_a_killed_redis_gets_everything_again(redis_server: RedisServer, saved: bool) -> None:
    views = Views(DAY_MS)
    fill(views, this_minute(), 300, 1)
    reader = await reading(redis_server)
    async with publishing(views, redis_server.url) as cache:
        await agree(views, reader)
        if saved:
            redis_server.ask("SAVE")
        # Changes that the file does not have, some of them in no hour that changes later.
        fill(views, this_minute(), 200, 2)
        await agree(views, reader)
        redis_server.kill()
        fill(views, this_minute(), 100, 3)
        assert await cache.windows(Kind.EVENTS, this_minute() - HOUR_MS, this_minute()), (
            "its own are answered meanwhile"
        )
        await eventually("it is known to be away", lambda: cache.state.reason)
        assert await cache.health() is Health.AWAY
        assert "start Redis" in (cache.state.reason or "")
        redis_server.start()
        await agree(views, reader)
        put_event(views, this_minute(), 99)
        await agree(views, reader)
        assert await cache.health() is Health.REACHABLE
    await reader.close()


async def test_a_restart_within_the_lease_is_noticed(redis_server: RedisServer) -> None:
    """The lease is in the file and still holds, so that only the sequence tells that writes are lost."""
    views = Views(DAY_MS)
    fill(views, this_minute(), 120, 1)
    async with publishing(views, redis_server.url) as cache:
        await agree(views, cache.reader)
        with structlog.testing.capture_logs() as logs:
            redis_server.ask("SAVE")
            fill(views, this_minute() - HOUR_MS, 60, 2)
            await agree(views, cache.reader)
            redis_server.kill()
            redis_server.start()
            redis_server.ask("PERSIST", "{forebay}:analytics:lease")
            await agree(views, cache.reader)
        assert any("has lost views" in line["event"] for line in logs)


@pytest.mark.parametrize("command", ["FLUSHALL", "DEL {forebay}:analytics:totals", "DEL {forebay}:analytics:lease"])
async def test_what_was_deleted_comes_back(redis_server: RedisServer, command: str) -> None:
    views = Views(DAY_MS)
    fill(views, this_minute(), 300, 1)
    async with publishing(views, redis_server.url) as cache:
        await agree(views, cache.reader)
        redis_server.ask(*command.split())
        await agree(views, cache.reader)
        assert cache.state.role is Role.HOLDER


async def test_an_evicted_key_comes_back(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "AUDIT_SECONDS", 0.5)
    views = Views(DAY_MS)
    fill(views, this_minute(), 300, 1)
    async with publishing(views, redis_server.url) as cache:
        await agree(views, cache.reader)
        redis_server.ask("DEL", Layout().windows(Kind.PERFORMANCE, this_minute() - 2 * HOUR_MS))
        await agree(views, cache.reader)
        writes = cache.state.windows
        await asyncio.sleep(1.2)
        assert cache.state.windows == writes, "an audit that finds everything writes nothing"


async def test_slow_answers_hold_nobody_up(redis_server: RedisServer) -> None:
    views = Views(DAY_MS)
    fill(views, this_minute(), 60, 1)
    async with publishing(views, redis_server.url) as cache:
        await agree(views, cache.reader)
        redis_server.signal(signal.SIGSTOP)
        put_event(views, this_minute(), 5)
        await eventually("it is known to be slow", lambda: cache.state.reason)
        assert "SLOWLOG" in (cache.state.reason or "")
        began = time.monotonic()
        assert await cache.windows(Kind.EVENTS, this_minute() - HOUR_MS, this_minute())
        assert await cache.health() is Health.AWAY
        assert time.monotonic() - began < 10, "what this process has is answered without Redis"
        redis_server.signal(signal.SIGCONT)
        await agree(views, cache.reader)
        await eventually("it is well again", lambda: not cache.state.reason)


async def refused_then_taken(
    redis_server: RedisServer, views: Views, cache: SharedCache, todo: str, mend: Callable[[], object]
) -> None:
    """Redis refuses writes now, and takes them after `mend`."""
    with structlog.testing.capture_logs() as logs:
        fill(views, this_minute(), 30, 2)
        await eventually("it is refused", lambda: todo in (cache.state.reason or ""))
        failures = cache.state.failures
        await eventually("it is tried again", lambda: cache.state.failures > failures + 2)
        assert cache.state.role is Role.HOLDER, "nobody else has the lease"
        assert await cache.health() is Health.AWAY
        assert (await cache.totals()).total_events == 60
        said = [line for line in logs if line["log_level"] == "warning" and todo in line.get("todo", "")]
        assert len(said) == 1, "once for each state"
    mend()
    await agree(views, cache.reader)
    await eventually("it is well again", lambda: not cache.state.reason)


async def test_full_memory(redis_server: RedisServer) -> None:
    views = Views(DAY_MS)
    fill(views, this_minute(), 300, 1)
    async with publishing(views, redis_server.url) as cache:
        await agree(views, cache.reader)
        redis_server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
        redis_server.ask("CONFIG", "SET", "maxmemory", "1mb")
        await refused_then_taken(
            redis_server, views, cache, "raise maxmemory", lambda: redis_server.ask("CONFIG", "SET", "maxmemory", "0")
        )


async def test_a_replica_takes_no_writes(redis_server: RedisServer, new_redis: Callable[..., RedisServer]) -> None:
    views = Views(DAY_MS)
    primary = new_redis("primary")
    fill(views, this_minute(), 30, 1)
    async with publishing(views, redis_server.url) as cache:
        await agree(views, cache.reader)
        redis_server.ask("REPLICAOF", "127.0.0.1", primary.port)
        await refused_then_taken(
            redis_server, views, cache, "name the primary", lambda: redis_server.ask("REPLICAOF", "NO", "ONE")
        )


async def test_a_redis_that_cannot_save(redis_server: RedisServer) -> None:
    views = Views(DAY_MS)
    fill(views, this_minute(), 30, 1)
    async with publishing(views, redis_server.url) as cache:
        await agree(views, cache.reader)
        # A directory where the file should be: renaming onto it fails, also for root.
        redis_server.file.mkdir()
        (redis_server.file / "full").touch()
        redis_server.ask("CONFIG", "SET", "save", "1 1")
        await refused_then_taken(
            redis_server, views, cache, "cannot save", lambda: redis_server.ask("CONFIG", "SET", "save", "")
        )


async def test_another_programs_key_is_replaced(redis_server: RedisServer) -> None:
    views = Views(DAY_MS)
    fill(views, this_minute(), 30, 1)
    async with publishing(views, redis_server.url) as cache:
        await agree(views, cache.reader)
        for key in (Layout().windows(Kind.EVENTS, this_minute()), Layout().totals, Layout().index):
            redis_server.ask("SET", key, "something else")
            put_event(views, this_minute(), 77)
            await agree(views, cache.reader)


async def test_a_wrong_password(new_redis: Callable[..., RedisServer]) -> None:
    secret = "correct-horse"
    server = new_redis("guarded", requirepass=secret)
    views = Views(DAY_MS)
    fill(views, this_minute(), 3, 1)
    with structlog.testing.capture_logs() as logs:
        async with publishing(views, server.url.replace(secret, "wrong-battery")) as cache:
            await eventually("it is refused", lambda: "password" in (cache.state.reason or ""))
            assert await cache.windows(Kind.EVENTS, this_minute() - HOUR_MS, this_minute())
            server.settings.pop("requirepass")
            text = f"{cache.state} {logs}"
    assert "wrong-battery" not in text
    assert "***@127.0.0.1" in text


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of this machine that nobody has signed but itself, with its key beside it."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("there is no openssl to make a certificate with")
    certificate = tmp_path / "certificate.pem"
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(certificate)]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([program, *request, *names, *files], check=True, capture_output=True, timeout=60)
    return certificate


async def test_tls(new_redis: Callable[..., RedisServer], certificate: Path) -> None:
    key = certificate.with_name("key.pem")
    port = str(free_port())
    new_redis("tls", tls_port=port, tls_cert_file=str(certificate), tls_key_file=str(key), tls_auth_clients="no")
    views = Views(DAY_MS)
    fill(views, this_minute(), 3, 1)
    async with publishing(views, f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}") as cache:
        await agree(views, cache.reader)
    async with publishing(views, f"rediss://127.0.0.1:{port}/0") as untrusting:
        await eventually("it is refused", lambda: "ssl_ca_certs" in (untrusting.state.reason or ""))


async def test_commands_a_second_do_not_follow_the_events(redis_server: RedisServer) -> None:
    views = Views(DAY_MS)
    async with publishing(views, redis_server.url) as cache:
        await eventually("it has the lease", lambda: cache.state.role is Role.HOLDER)
        for total in range(1, 4):
            # Every window of a day changes, again and again.
            before, began = published_calls(redis_server), time.monotonic()
            while time.monotonic() - began < 1.0:
                fill(views, this_minute(), 1440, total)
                await asyncio.sleep(0.05)
            seconds = time.monotonic() - began
            calls = published_calls(redis_server) - before
            assert calls < MOST_COMMANDS * max(1.0, seconds)
        await agree(views, cache.reader)


async def test_a_republish_of_a_day_is_paced(redis_server: RedisServer) -> None:
    views = Views(DAY_MS)
    fill(views, this_minute(), 1440, 1)
    reader = await reading(redis_server)
    async with publishing(views, redis_server.url) as cache:
        await agree(views, reader)
        redis_server.ask("FLUSHALL")
        await eventually("it is noticed", lambda: cache.state.waiting)
        spans: list[tuple[float, int]] = []
        while cache.state.waiting:
            spans.append((time.monotonic(), published_calls(redis_server)))
            await asyncio.sleep(0.05)
        for at, calls in spans:
            later = [(other, more) for other, more in spans if at < other <= at + 1.0]
            assert all(more - calls < MOST_COMMANDS for _, more in later)
        await agree(views, reader)
        assert cache.state.commands < 2000
    await reader.close()


async def test_windows_older_than_the_retention_are_not_published(redis_server: RedisServer) -> None:
    views = Views(2 * HOUR_MS)
    fill(views, this_minute(), 300, 1)
    async with publishing(views, redis_server.url) as cache:
        await agree(views, cache.reader)
        old = this_minute() - 290 * MINUTE_MS
        assert await cache.reader.windows(Kind.EVENTS, old, old) == {}
        assert (
            views.windows(Kind.EVENTS, old, now_ms()).keys()
            == (await cache.reader.windows(Kind.EVENTS, old, now_ms())).keys()
        )


async def test_a_cluster_has_all_keys_in_one_slot(new_redis: Callable[..., RedisServer]) -> None:
    # Without it nodes talk on a port 10,000 above the other, which there may not be.
    node = new_redis("node", cluster_enabled="yes", cluster_port=str(free_port()))
    node.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    await eventually("it has a state", lambda: "cluster_state:ok" in str(node.ask("CLUSTER", "INFO")))
    views = Views(DAY_MS)
    fill(views, this_minute(), 1440, 1)
    async with publishing(views, node.url) as cache:
        await agree(views, cache.reader)
        with node.client() as client:
            assert len({client.cluster("KEYSLOT", key) for key in client.keys("*")}) == 1
        assert not cache.state.failures
