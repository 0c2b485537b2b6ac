"""Quotas of tokens, over HTTP."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from forebay.server.http.tokens import Quota, Rate, TokenStore
from support.harness import RunningServer, batch, event, serving, wait_for

NAMES = ("forebay_token_events", "forebay_token_bytes", "forebay_token_refusals")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("quota") / "data", auth=True) as running:
        yield running


@pytest.fixture
def sender(server: RunningServer, request: pytest.FixtureRequest) -> Iterator[Callable[[Quota | None], httpx.Client]]:
    """Makes a token with a quota and a client that sends with it, once the server knows the token."""
    name = request.node.name.replace("[", "-").replace("]", "")[:60]
    opened: list[httpx.Client] = []

    def make(quota: Quota | None) -> httpx.Client:
        secret = TokenStore(server.data_dir).create(name, ["ingest"], None, quota)
        client = httpx.Client(base_url=server.url, headers={"authorization": secret}, timeout=20.0)
        opened.append(client)
        wait_for("the token to be known", lambda: client.get("/nothing").status_code == 404)
        return client

    yield make
    for client in opened:
        client.close()
    TokenStore(server.data_dir).revoke(name)


def usage(server: RunningServer, token: str) -> tuple[float, ...]:
    with server.client() as client:
        families = {f.name: f for f in text_string_to_metric_families(client.get("/metrics").text)}
    return tuple(next((s.value for s in families[name].samples if s.labels == {"token": token}), 0.0) for name in NAMES)


def stored(server: RunningServer) -> int:
    with server.client() as client:
        return int(client.get("/api/v1/streams/logs").json()["totalMessages"])


@pytest.mark.slow
def test_a_request_beyond_the_quota_fits_when_it_is_told_to(
    server: RunningServer, sender: Callable[[Quota | None], httpx.Client], request: pytest.FixtureRequest
) -> None:
    client = sender(Quota(events=Rate(per_second=4, burst=10)))
    before = stored(server)
    full = batch(*[event()] * 10)
    began = time.monotonic()
    assert client.post("/v1/drain", content=full).status_code == 202
    refused = client.post("/v1/drain", content=full)
    assert refused.status_code == 429
    assert refused.json()["code"] == "backpressure_triggered"
    assert "may take 4 events a second and 10 at once" in refused.json()["error"]
    told = int(refused.headers["retry-after"])
    # Ten events at four a second.
    assert told == math.ceil(10 / 4)
    assert stored(server) == before + 10
    assert usage(server, request.node.name) == (10, len(full), 1)
    wait_for("the time that was told", lambda: time.monotonic() >= began + told + 0.1)
    assert client.post("/v1/drain", content=full).status_code == 202
    assert stored(server) == before + 20


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_request_that_never_fits_is_too_large(
    server: RunningServer, sender: Callable[[Quota | None], httpx.Client], size: str
) -> None:
    """Small bodies are parsed where they come in, large ones on a worker."""
    client = sender(Quota(events=Rate(per_second=1000, burst=5)))
    message = "x" * (10 if size == "small" else 20_000)
    before = stored(server)
    refused = client.post("/v1/drain", content=batch(*[event(message)] * 6))
    assert refused.status_code == 413
    assert "the request has 6 events, more than the burst of 5" in refused.json()["error"]
    assert "retry-after" not in refused.headers
    assert stored(server) == before


def test_bytes_are_counted_decompressed_and_invalid_events_count(
    server: RunningServer, sender: Callable[[Quota | None], httpx.Client], request: pytest.FixtureRequest
) -> None:
    import gzip

    client = sender(Quota(bytes=Rate(per_second=1, burst=5_000)))
    body = batch(event("x" * 4_000), {"project_id": "p"})
    headers = {"content-encoding": "gzip", "forebay-on-invalid": "quarantine"}
    assert client.post("/v1/drain", content=gzip.compress(body), headers=headers).status_code == 202
    assert usage(server, request.node.name) == (2, len(body), 0)
    refused = client.post("/v1/drain", content=gzip.compress(body), headers=headers)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 3_000


def test_refusals_for_other_reasons_and_repeats_are_free(
    server: RunningServer, sender: Callable[[Quota | None], httpx.Client], request: pytest.FixtureRequest
) -> None:
    client = sender(Quota(events=Rate(per_second=1, burst=3)))
    body = batch(event(), event(), event())
    for _ in range(3):
        assert client.post("/v1/drain", content=b'{"events":[{}]}').status_code == 400
    for _ in range(3):
        assert client.post("/v1/drain", content=body, headers={"idempotency-key": "k"}).status_code == 202
    assert usage(server, request.node.name) == (3, len(body), 0)
    assert client.post("/v1/drain", content=batch(event(), event(), event())).status_code == 429


def test_tokens_without_a_quota_are_counted_too(
    server: RunningServer, sender: Callable[[Quota | None], httpx.Client], request: pytest.FixtureRequest
) -> None:
    client = sender(None)
    assert client.post("/v1/drain", content=batch(*[event()] * 100)).status_code == 202
    assert usage(server, request.node.name)[0] == 100


def test_reading_the_tokens_anew_fills_no_quota(
    server: RunningServer, sender: Callable[[Quota | None], httpx.Client]
) -> None:
    client = sender(Quota(events=Rate(per_second=1, burst=100)))
    assert client.post("/v1/drain", content=batch(*[event()] * 100)).status_code == 202
    store = TokenStore(server.data_dir)
    other = store.create("other", ["read"])
    try:
        wait_for(
            "the new token to be known",
            lambda: httpx.get(f"{server.url}/metrics", headers={"authorization": other}).status_code == 200,
        )
        assert client.post("/v1/drain", content=batch(*[event()] * 100)).status_code == 429
    finally:
        store.revoke("other")


@pytest.mark.slow
def test_a_stream_s_quota_holds_for_all_its_senders_and_over_a_restart(tmp_path: Path) -> None:
    quota = {"events": {"perSecond": 1, "burst": 5}}
    events = {"events": [{"value": number} for number in range(5)]}
    with serving(tmp_path / "data") as running, running.client() as client:
        made = client.post("/api/v1/streams", json={"name": "orders", "config": {"quota": quota}})
        assert (made.status_code, made.json()["config"]["quota"]) == (201, quota)
        path = "/api/v1/streams/orders"
        assert client.post(f"{path}/events/batch", json=events).status_code == 200
        refused = client.post(f"{path}/events/batch", json=events)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, 1005)
        assert 4 <= int(refused.headers["retry-after"]) <= 5
        larger = client.post(f"{path}/events/batch", json={"events": events["events"] * 2})
        assert (larger.status_code, larger.json()["error"]["code"]) == (413, 1011)
        assert "the burst of 5 that the stream" in larger.json()["error"]["detail"]
    with serving(tmp_path / "data") as running, running.client() as client:
        assert client.get(path).json()["config"]["quota"] == quota
        kept = client.patch(path, json={"config": {"retentionMs": 60000}}).raise_for_status()
        assert kept.json()["config"]["quota"] == quota
        assert client.post(f"{path}/events/batch", json={"events": events["events"] * 2}).status_code == 413
        lifted = client.patch(path, json={"config": {"quota": {}}}).raise_for_status()
        assert "quota" not in lifted.json()["config"]
        assert client.post(f"{path}/events/batch", json={"events": events["events"] * 2}).status_code == 200
