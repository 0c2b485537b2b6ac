"""`GET …/logs`, `…/logs/stats` and `…/logs/follow`, against a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from forebay.server.api.platform.logs import FoundLogs, LogsAnswer
from forebay.server.http.tokens import TokenStore
from support.harness import RunningServer, answer, batch, event, wait_for

PATH = "/api/v1/platform/system/logs"
BEGIN = datetime(2025, 12, 4, 12, 0, tzinfo=UTC)

METADATA = b'{"n":9007199254740993,"one":1.0,"large":1e400,"user_id":123,"request_id":"req_abc123","ok":true}'
"""Numbers that Python or float64 would change."""


def at(seconds: float) -> str:
    return (BEGIN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def logged(seconds: float, message: str, **more: Any) -> dict[str, object]:
    return event(message, more.pop("project", "shop"), **{"timestamp": at(seconds), **more})


EVENTS = [
    logged(0, "Started worker", service="jobs", level="INFO", metadata={"pid": 17}),
    logged(
        1, "Payment processing failed", level="error", service="api", metadata={"status": 502, "user": {"plan": "free"}}
    ),
    logged(2, "Payment accepted", service="api", metadata={"status": 200, "ms": 12.5, "user": {"plan": "pro"}}),
    logged(
        3, "Slow query on db-pool", level="warn", service="db", project="other", metadata={"ms": 1800, "user_id": "123"}
    ),
    logged(4, "Slow query on replica", level="Warning", service="db", metadata={"ms": 950, "path": "/a=b&c"}),
]
RAW = (
    b'{"events":[{"project_id":"shop","timestamp":"' + at(5).encode() + b'","level":"debug","service":"api",'
    b'"message":"exact","metadata":' + METADATA + b"}]}"
)


@pytest.fixture(scope="module")
def running(authenticated_server: RunningServer) -> RunningServer:
    authenticated_server.drain(batch(*EVENTS)).raise_for_status()
    authenticated_server.drain(RAW).raise_for_status()
    return authenticated_server


@pytest.fixture(scope="module")
def client(running: RunningServer) -> Iterator[httpx.Client]:
    with running.client() as opened:
        yield opened


def found(client: httpx.Client, query: str = "") -> dict[str, Any]:
    answered = client.get(f"{PATH}?{query}" if query else PATH)
    assert answered.status_code == 200, answered.text
    body: dict[str, Any] = answered.json()
    assert body["success"] is True
    data: dict[str, Any] = body["data"]
    return data


def refusal(client: httpx.Client, query: str, path: str = PATH) -> str:
    answered = client.get(f"{path}?{query}")
    assert answered.status_code == 400, answered.text
    body = answered.json()
    assert (body["success"], body["error"]["code"]) == (False, "invalid_request")
    message: str = body["error"]["message"]
    return message


def test_the_shape_of_the_specification(client: httpx.Client) -> None:
    data = found(client, "query=payment+failed")
    [log] = data["logs"]
    assert log.pop("id").startswith("evt_")
    assert log == {
        "timestamp": "2025-12-04T12:00:01.000Z",
        "level": "error",
        "service": "api",
        "message": "Payment processing failed",
        "request_id": None,
        "user_id": None,
        "project_id": "shop",
        "metadata": {"status": 502, "user": {"plan": "free"}},
    }
    assert data["pagination"] == {
        "total": 1,
        "total_is_exact": True,
        "limit": 50,
        "offset": 0,
        "next_cursor": None,
    }
    assert data["scanned"]["records"] == len(EVENTS) + 1
    assert data["scanned"]["bytes"] > 0
    assert set(data["scanned"]) == {"records", "bytes", "seconds", "records_lost"}


def test_the_id_is_the_one_that_consumers_see(client: httpx.Client) -> None:
    events = client.get("/api/v1/streams/logs/events", params={"consumerGroup": "ids", "limit": 100}).json()["events"]
    ids = {each["eventId"]: each["value"]["message"] for each in events}
    assert {each["id"]: each["message"] for each in found(client)["logs"]} == ids


def test_metadata_is_as_it_was_sent(client: httpx.Client) -> None:
    answered = client.get(PATH, params={"query": "exact"})
    assert METADATA in answered.content
    [log] = msgspec.json.decode(answered.content, type=LogsAnswer).data.logs
    assert (log.request_id, log.user_id) == ("req_abc123", "123")


FILTERS = [
    ("", [5, 4, 3, 2, 1, 0]),
    ("query=payment", [2, 1]),
    ("query=PAYMENT+-failed", [2]),
    ("query=%22slow+query%22", [4, 3]),
    ("query=repl*", [4]),
    ("query=/pay%5Cw%2B+(proc|acc)/", [2, 1]),
    ("query=pro", [2]),
    ("query=db-pool", [3]),
    ("query=nothing-like-it", []),
    ("level=error", [1]),
    ("level=warning", [4, 3]),
    ("level=WARN", [4, 3]),
    ("level=info", [2, 0]),
    ("service=db", [4, 3]),
    ("service=d", []),
    ("project_id=other", [3]),
    ("request_id=req_abc123", [5]),
    ("user_id=123", [5, 3]),
    (f"start_time={at(3)}", [5, 4, 3]),
    (f"end_time={at(1)}", [1, 0]),
    (f"start_time={quote(at(1))}&end_time={quote('2025-12-04T14:00:03+02:00')}", [3, 2, 1]),
    (f"start_time={round((BEGIN + timedelta(seconds=4)).timestamp() * 1000)}", [5, 4]),
    ("end_time=2025-12-03", []),
    ("metadata.status=502", [1]),
    ("metadata.status>=500", [1]),
    ("metadata.status%3E=500", [1]),
    ("metadata.status%3E%3D=500", [1]),
    ("metadata.status>200", [1]),
    ("metadata.status%3E200", [1]),
    ("metadata.status%3E200=", [1]),
    ("metadata.status<=502&metadata.status>199", [2, 1]),
    ("metadata.ms<12.6", [2]),
    ("metadata.ms<951&metadata.ms>=950", [4]),
    ("metadata.user.plan=free", [1]),
    ("metadata.path=/a%3Db%26c", [4]),
    ("metadata.ok=true", [5]),
    ("metadata.n>=9007199254740993", [5]),
    ("metadata.n>9007199254740993", []),
    ("level=warn&query=slow&service=db&project_id=shop&metadata.ms<1000", [4]),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS, ids=[query for query, _ in FILTERS])
def test_each_filter(client: httpx.Client, query: str, expected: list[int]) -> None:
    every = [*(str(each["message"]) for each in EVENTS), "exact"]
    data = found(client, query)
    assert [each["message"] for each in data["logs"]] == [every[number] for number in expected]
    assert data["pagination"]["total"] == len(expected)
    levels = client.get(f"{PATH}/stats?{'&'.join(filter(None, ('by=level', query)))}").raise_for_status().json()["data"]
    assert levels["total"] == sum(group["count"] for group in levels["groups"]) == len(expected)


def test_conditions_as_a_client_library_encodes_them(client: httpx.Client) -> None:
    for name, value, message in (
        ("metadata.status>=", "500", "Payment processing failed"),
        ("metadata.status>501", "", "Payment processing failed"),
        ("metadata.status<", "=200", "Payment accepted"),
    ):
        logs = client.get(PATH, params={name: value}).raise_for_status().json()["data"]["logs"]
        assert [each["message"] for each in logs] == [message], name


REFUSALS = [
    ("limit=0", "a whole number from 1 to 100"),
    ("limit=101", "a whole number from 1 to 100"),
    ("offset=-1", "a whole number from 0 to 9900"),
    ("offset=9901", "a whole number from 0 to 9900"),
    ("start_time=yesterday", "a time like"),
    ("start_time=2025-02-30", "a time like"),
    ("end_time=2025-12-04T25:00:00Z", "a time like"),
    (f"start_time={at(5)}&end_time={at(4)}", "start is after its end"),
    ("cursor=x", "is none that a page gave"),
    ("nothing=1", "unknown query parameter 'nothing'; known here: "),
    ("metadata=1", "unknown query parameter 'metadata'"),
    ("metadata.=1", "no condition on metadata"),
    ("metadata.x=", "must have 1 to 1024 bytes"),
    ("metadata.x>y", "is no number"),
    ("metadata.x>", "must have 1 to 1024 bytes"),
    ("metadata.a..b=1", "names with a dot between"),
    ("metadata.a=1&metadata.a=2", "is given twice"),
    ("query=%22open", "the phrase does not end"),
    ("query=/(/", "regex parse error"),
    ("query=/(a{1000}){1000}/", "larger than"),
    (f"query={quote('é' * 4097)}", "a text of 0 to 4096 characters"),
    ("&".join(f"metadata.a{number}=1" for number in range(17)), "at most 16 are allowed"),
    ("count=maybe", "true or false"),
    ("level=", "a text of 1 to 1024 characters"),
    ("query=a&query=b", "is given twice"),
    ("query=%FF", "not a list of name=value pairs in UTF-8"),
]


@pytest.mark.parametrize(("query", "why"), REFUSALS, ids=[query[:40] for query, _ in REFUSALS])
def test_what_cannot_be_searched_for_is_refused(client: httpx.Client, query: str, why: str) -> None:
    assert why in refusal(client, query)


def test_hostile_queries_are_answered_at_once(client: httpx.Client) -> None:
    """Each would take other engines of regular expressions for ever, or other parsers to their knees."""
    hostile = [
        "/^(a+)+$/",
        "/(a*)*b/",
        "/(.*a){12}b/",
        "a " * 64,
        "-" * 4096,
        "*",
        "/",
        "//",
        '"',
        "-",
        "\x00",
        "\\",
        "é",
    ]
    for query in hostile:
        answered = client.get(PATH, params={"query": query})
        assert answered.status_code in (200, 400), query
        assert answered.elapsed < timedelta(seconds=30)


def test_stats(client: httpx.Client) -> None:
    def counts(**parameters: Any) -> Any:
        answered = client.get(f"{PATH}/stats", params=parameters).raise_for_status().json()
        assert answered["success"] is True
        return answered["data"]

    levels = counts(by="level")
    assert levels["groups"] == [
        {"value": "info", "count": 2},
        {"value": "warn", "count": 2},
        {"value": "debug", "count": 1},
        {"value": "error", "count": 1},
    ]
    assert (levels["by"], levels["total"], levels["other"]) == ("level", 6, 0)
    assert counts(by="service", query="payment")["groups"] == [{"value": "api", "count": 2}]
    assert counts(by="project_id")["groups"] == [{"value": "shop", "count": 5}, {"value": "other", "count": 1}]
    times = counts(by="time", start_time=at(0), end_time=at(5), interval="2s")
    assert times["interval_seconds"] == 2
    assert times["intervals"] == [{"start": at(seconds), "count": 2} for seconds in (0, 2, 4)]
    day = counts(by="time", end_time=at(5))
    assert (day["interval_seconds"], len(day["intervals"])) == (1800, 49)
    assert sum(each["count"] for each in day["intervals"]) == 6
    assert counts(by="time")["total"] == 0, "the last day"


STATS_REFUSALS = [
    ("", "by is missing"),
    ("by=host", "one of level, service, project_id, time"),
    ("by=level&interval=1s", "interval goes with by=time"),
    ("by=time&interval=0s", "a length of time"),
    ("by=time&interval=1w", "a length of time"),
    ("by=time&interval=1s", "more than 1000"),
    ("by=time&start_time=0001-01-01T00:00:00%2B01:00&end_time=0001-01-02", "years 1 to 9999"),
    ("by=level&limit=1", "unknown query parameter 'limit'"),
]


@pytest.mark.parametrize(("query", "why"), STATS_REFUSALS, ids=[query for query, _ in STATS_REFUSALS])
def test_what_cannot_be_counted_is_refused(client: httpx.Client, query: str, why: str) -> None:
    assert why in refusal(client, query, f"{PATH}/stats")


def test_only_ops_may_and_projects_hold(running: RunningServer) -> None:
    store = TokenStore(running.data_dir)
    secrets = {"read": store.create("reads", ["read"]), "ops": store.create("ops-other", ["ops"], ["other", "none"])}

    def asked(secret: str, path: str = PATH, **parameters: Any) -> httpx.Response:
        return httpx.get(
            running.url + path, params=parameters, headers={"authorization": secret}, timeout=60, trust_env=False
        )

    wait_for("the tokens", lambda: asked(secrets["ops"]).status_code == 200)
    for path in (PATH, f"{PATH}/stats", f"{PATH}/follow"):
        refused = asked(secrets["read"], path, **({"by": "level"} if "stats" in path else {}))
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == "forbidden"
    data = asked(secrets["ops"]).json()["data"]
    assert [each["project_id"] for each in data["logs"]] == ["other"]
    assert data["pagination"]["total"] == 1
    assert asked(secrets["ops"], project_id="shop").json()["data"]["logs"] == []
    groups = asked(secrets["ops"], f"{PATH}/stats", by="project_id").json()["data"]["groups"]
    assert groups == [{"value": "other", "count": 1}]
    begun = asked(secrets["ops"], f"{PATH}/follow").json()["data"]["position"]
    running.drain(batch(logged(9, "theirs"), logged(9, "ours", project="none"))).raise_for_status()
    come = asked(secrets["ops"], f"{PATH}/follow", position=begun, timeout=10_000).json()["data"]
    assert [each["message"] for each in come["logs"]] == ["ours"]


def filled(start: Any, count: int, **settings: Any) -> RunningServer:
    server: RunningServer = start(**settings)
    for begin in range(0, count, 1000):
        numbers = range(begin, min(begin + 1000, count))
        rows = [
            logged(number, f"event {number}", project=f"p{number % 7}", metadata={"n": number}) for number in numbers
        ]
        server.drain(batch(*rows)).raise_for_status()
    return server


def test_pages_while_events_come(server: Any) -> None:
    """Nothing twice and nothing missing, by cursor, whatever comes; offsets would shift."""
    running = filled(server, 1000)
    stop = threading.Event()

    def send() -> None:
        number = 0
        while not stop.is_set():
            # Newer ones before what was read, and older ones behind it, which later pages have.
            running.drain(batch(logged(5000 + number, "newer"), logged(-5000 + number, "older"))).raise_for_status()
            number += 1

    with ThreadPoolExecutor(1) as sender, running.client() as client:
        sending = sender.submit(send)
        try:
            cursor, ids, numbers = None, [], []
            while True:
                data = found(client, f"limit=37&count=false{'' if cursor is None else f'&cursor={cursor}'}")
                assert data["pagination"]["total"] is None
                ids += [each["id"] for each in data["logs"]]
                numbers += [each["metadata"]["n"] for each in data["logs"] if "n" in each["metadata"]]
                cursor = data["pagination"]["next_cursor"]
                if cursor is None or numbers[-1:] == [0]:
                    break
        finally:
            stop.set()
        sending.result(60)
        assert len(ids) == len(set(ids))
        assert numbers == list(reversed(range(1000)))
        paged = found(client, "metadata.n>=0&limit=10&offset=990")
        assert [each["metadata"]["n"] for each in paged["logs"]] == list(reversed(range(10)))
        assert paged["pagination"] == {
            "total": 1000, "total_is_exact": True, "limit": 10, "offset": 990, "next_cursor": None,
        }  # fmt: skip


def test_following_gives_each_event_once(server: Any) -> None:
    running = filled(server, 10)
    expected = 600
    with running.client() as client, ThreadPoolExecutor(1) as sender:

        def ask(**parameters: Any) -> dict[str, Any]:
            answered = client.get(f"{PATH}/follow", params={"query": "matches", **parameters}).raise_for_status()
            data: dict[str, Any] = answered.json()["data"]
            return data

        begun = ask()
        assert begun["logs"] == []
        assert ask(position=begun["position"], timeout=0)["logs"] == []

        def send() -> None:
            for number in range(expected):
                # Of any time, since senders are late.
                told = logged(-number * 60, f"matches {number}", project=f"p{number % 5}", metadata={"n": number})
                running.drain(batch(told, logged(number, "another"))).raise_for_status()

        sending = sender.submit(send)
        numbers: list[int] = []
        position = begun["position"]
        while len(numbers) < expected:
            come = ask(position=position, timeout=20_000)
            assert come["logs"], "20 s without an event"
            numbers += [each["metadata"]["n"] for each in come["logs"]]
            position = come["position"]
        sending.result(60)
        assert sorted(numbers) == list(range(expected))
        assert ask(position=position, timeout=0) == {"logs": [], "position": position, "expired": 0}
        refused = client.get(f"{PATH}/follow", params={"position": position.split(":")[0] + ":999999.0.0.0"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_offset")
        assert client.get(f"{PATH}/follow", params={"position": "1"}).status_code == 400


@pytest.mark.slow
def test_a_waiting_follower_and_a_search_end_with_the_server(server: Any) -> None:
    running = server()
    with running.client() as client:
        position = client.get(f"{PATH}/follow").json()["data"]["position"]
    with running.connect() as connection:
        connection.sendall(f"GET {PATH}/follow?position={position}&timeout=30000 HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        with running.client() as client:
            client.get("/health").raise_for_status()
        assert running.terminate() == 0
        status, _, body = answer(connection)
        assert status == 200
        assert json.loads(body)["data"] == {"logs": [], "position": position, "expired": 0}


def test_many_at_once_are_answered_or_told_to_come_again(running: RunningServer) -> None:
    def ask(number: int) -> httpx.Response:
        with running.client() as asking:
            return asking.get(PATH, params={"query": f"/{number % 3}|slow|(.*e){{5}}/"})

    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(ask, range(200)))
    refused = [each for each in answers if each.status_code != 200]
    assert len(refused) < len(answers)
    for each in refused:
        assert (each.status_code, each.headers["retry-after"]) == (429, "1")
        assert each.json()["error"]["code"] == "backpressure_triggered"


def test_head_is_answered(client: httpx.Client) -> None:
    asked = client.head(PATH)
    assert (asked.status_code, asked.content) == (200, b"")


def test_the_description_names_what_it_cannot_describe(client: httpx.Client) -> None:
    document = client.get("/openapi.json").raise_for_status().json()
    for path, names in ((PATH, {"limit", "offset", "cursor", "count"}), (f"{PATH}/stats", {"by", "interval"})):
        operation = document["paths"][path]["get"]
        assert "metadata.status%3E=500" in operation["description"]
        given = {row["name"] for row in operation["parameters"]}
        shared = {"query", "level", "service", "start_time", "end_time", "request_id", "user_id", "project_id"}
        assert given == shared | names
    entry = document["components"]["schemas"]["LogEntry"]["properties"]
    assert entry["metadata"] == {"type": "object"}
    assert set(FoundLogs.__struct_fields__) == {"logs", "pagination", "scanned"}
