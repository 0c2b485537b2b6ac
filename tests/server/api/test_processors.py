"""`/api/v1/processors`: the routes, against a real server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from forebay.processors.shapes import Preview, ProcessorDescription, ProcessorMetrics
from forebay.server.http.tokens import TokenStore
from support.harness import RunningServer, serving, wait_for
from support.processors import ALERTS, EVENTS, FRAUD, SOURCE, check, create_source, processed, publish, refused, results

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]
PROCESSORS = "/api/v1/processors"


@pytest.fixture(scope="module")
def server(shared_server: RunningServer) -> RunningServer:
    create_source(shared_server)
    return shared_server


@pytest.fixture(autouse=True)
def _no_processors_are_left(server: RunningServer) -> Iterator[None]:
    yield
    with server.client() as client:
        for each in client.get(PROCESSORS).json()["processors"]:
            client.delete(f"{PROCESSORS}/{each['processorId']}").raise_for_status()


def test_the_life_of_a_processor(server: RunningServer) -> None:
    with server.client() as client:
        made = client.post(PROCESSORS, json=FRAUD)
        assert made.status_code == 201
        created = made.json()
        check(ProcessorDescription, created)
        assert re.fullmatch(r"proc_\w+", created["processorId"])
        assert created["status"] == "running"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created["createdAt"])
        assert created["metrics"] == {"eventsProcessed": 0, "throughput": 0, "lag": 0}
        assert (created["operations"], created["offset"]) == (FRAUD["operations"], "latest")
        assert created["config"]["checkpointInterval"] == 60000

        publish(server, *EVENTS)
        assert results(server, "fraud-alerts", 2) == ALERTS
        # The times of results are those of the last millisecond of their windows.
        assert {row["timestamp"] for row in server.records("fraud-alerts")} == {"2025-01-15T10:04:59.999000Z"}
        shown = processed(server, "fraud-detection", len(EVENTS))
        check(ProcessorMetrics, shown)
        assert shown["processorId"] == created["processorId"]
        assert (shown["metrics"]["filterFailures"], shown["metrics"]["results"]) == (1, 2)
        assert shown["windows"] == [
            {
                "windowStart": "2025-01-15T10:05:00.000Z",
                "windowEnd": "2025-01-15T10:10:00.000Z",
                "eventsCount": 1,
                "final": False,
            },
            {
                "windowStart": "2025-01-15T10:00:00.000Z",
                "windowEnd": "2025-01-15T10:05:00.000Z",
                "eventsCount": 3,
                "final": True,
            },
        ]

        for name in ("fraud-detection", created["processorId"]):
            assert client.get(f"{PROCESSORS}/{name}").json()["processorId"] == created["processorId"]
        assert [each["name"] for each in client.get(PROCESSORS).json()["processors"]] == ["fraud-detection"]

        assert client.post(f"{PROCESSORS}/fraud-detection/pause").json()["status"] == "paused"
        publish(server, *EVENTS)
        assert client.post(f"{PROCESSORS}/{created['processorId']}/resume").json()["status"] == "running"
        late = processed(server, "fraud-detection", 2 * len(EVENTS))
        # Those of the first window; the next one is still open.
        assert late["metrics"]["lateEvents"] == 2 + 1

        deleted = client.delete(f"{PROCESSORS}/fraud-detection")
        assert deleted.status_code == 200
        assert deleted.json() | {"deletedAt": ""} == {
            "status": "deleted",
            "processorId": created["processorId"],
            "name": "fraud-detection",
            "deletedAt": "",
        }
        assert client.get(PROCESSORS).json() == {"processors": []}
        assert len(server.records("fraud-alerts")) == 2, "what is in the sink stays"


def test_a_preview_writes_nothing(server: RunningServer) -> None:
    publish(server, *EVENTS, *EVENTS)
    with server.client() as client:
        shown = client.post(f"{PROCESSORS}/preview", json=FRAUD | {"sink": "nowhere"}, params={"records": len(EVENTS)})
        assert shown.status_code == 200
        preview = shown.json()
        check(Preview, preview)
        assert (preview["recordsRead"], preview["matched"]) == (len(EVENTS), 4)
        # There are records before those that were read.
        cut = [(key, value | {"incomplete": True}) for key, value in ALERTS]
        assert [(row["key"], row["value"]) for row in preview["results"]][:2] == cut
        [failure] = preview["failures"]
        assert (failure["operation"], failure["count"]) == ("operations[0]", 1)
        assert client.get(f"{PROCESSORS}/fraud-detection").status_code == 404
        assert client.get("/api/v1/streams/nowhere").status_code == 404
        assert refused(client.post(f"{PROCESSORS}/preview", json=FRAUD, params={"records": 0}))[:2] == (400, 1008)
        assert refused(client.post(f"{PROCESSORS}/preview", json=FRAUD | {"source": "nothing"}))[:2] == (404, 1001)


@pytest.mark.parametrize(
    ("change", "code", "detail"),
    [
        ({"source": "nothing"}, (404, 1001), "there is no stream"),
        ({"sink": "logs"}, (400, 1004), "sink: "),
        ({"sink": SOURCE}, (400, 1004), "by way of fraud-detection"),
        ({"operations": []}, (400, 1004), "operations: "),
        ({"operations": [{"type": "filter", "predicate": "value.a >"}]}, (400, 1004), "operations[0].predicate: "),
        ({"operations": [{"type": "map", "function": "nothing"}]}, (400, 1004), "operations[0].function: "),
        ({"operations": FRAUD["operations"][2:]}, (400, 1004), "operations[0]: "),
        ({"config": {"parallelism": 0}}, (400, 1004), "config.parallelism: "),
        ({"nothing": 1}, (400, 1004), "nothing: "),
    ],
)
def test_a_definition_that_is_wrong_is_refused_with_its_place(
    server: RunningServer, change: dict[str, Any], code: tuple[int, int], detail: str
) -> None:
    with server.client() as client:
        # A preview writes nothing, so it may have any sink.
        for path in (PROCESSORS,) if "sink" in change else (PROCESSORS, f"{PROCESSORS}/preview"):
            status, number, text = refused(client.post(path, json=FRAUD | change))
            assert (status, number) == code, text
            assert detail in text
        assert refused(client.post(PROCESSORS, content=b"{"))[:2] == (400, 1004)
        assert client.get(PROCESSORS).json() == {"processors": []}


def test_names_are_unique_and_what_is_missing_is_said(server: RunningServer) -> None:
    with server.client() as client:
        client.post(PROCESSORS, json=FRAUD).raise_for_status()
        assert refused(client.post(PROCESSORS, json=FRAUD | {"sink": "others"}))[:2] == (409, 1024)
        for method, path in (
            ("GET", ""),
            ("GET", "/metrics"),
            ("POST", "/pause"),
            ("POST", "/resume"),
            ("DELETE", ""),
        ):
            missing = client.request(method, f"{PROCESSORS}/proc_nothing{path}")
            assert refused(missing)[:2] == (404, 1025)
            assert missing.json()["error"]["message"] == "PROCESSOR_NOT_FOUND"
        client.delete(f"{PROCESSORS}/fraud-detection").raise_for_status()


def test_roles_and_projects(authenticated_server: RunningServer) -> None:
    guarded = authenticated_server
    create_source(guarded)
    store = TokenStore(guarded.data_dir)
    tokens = {
        "reader": store.create("reader", ["read"]),
        "limited": store.create("limited", ["ops", "read"], ["org-xyz"]),
    }
    headers = {name: {"authorization": f"Bearer {secret}"} for name, secret in tokens.items()}
    with guarded.client() as client:
        wait_for("the tokens", lambda: client.get(PROCESSORS, headers=headers["limited"]).status_code == 200)
        assert client.get(PROCESSORS, headers={"authorization": "Bearer no"}).status_code == 401
        assert client.get(PROCESSORS, headers=headers["reader"]).json() == {"processors": []}
        client.post(PROCESSORS, json=FRAUD).raise_for_status()
        for who in headers:
            for method, path in (
                ("POST", ""),
                ("POST", "/preview"),
                ("POST", "/fraud-detection/pause"),
                ("POST", "/fraud-detection/resume"),
                ("DELETE", "/fraud-detection"),
            ):
                body = FRAUD if path in ("", "/preview") else None
                answer = client.request(method, PROCESSORS + path, json=body, headers=headers[who])
                assert answer.status_code == 403, (who, method, path)
        assert client.get(f"{PROCESSORS}/fraud-detection").json()["status"] == "running"


def test_a_processor_of_the_configuration(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("configured")
    file = place / "forebay.toml"
    file.write_text(
        """
[[processors]]
name = "fraud-detection"
source = "transactions"
sink = "fraud-alerts"
operations = [
    { type = "filter", predicate = "value.amount > 1000" },
    { type = "window", windowType = "tumbling", duration = 300_000 },
    { type = "aggregate", aggregation = "count", groupBy = "userId" },
]
"""
    )
    with serving(place / "data", "--config", str(file), health_interval_seconds=0.2) as running:
        with running.client() as client:
            health = client.get("/api/health").json()
            [check] = [check for check in health["checks"] if check["name"] == "event_processing"]
            assert (check["status"], "is not created yet" in check["message"]) == ("warning", True)
            # As soon as its source is there.
            create_source(running)
            wait_for("it", lambda: client.get(f"{PROCESSORS}/fraud-detection").status_code == 200)
        publish(running, *EVENTS)
        assert results(running, "fraud-alerts", 2) == ALERTS
        running.terminate()
        file.write_text(file.read_text().replace("1000", "2000"))
        running.start()
        with running.client() as client:
            kept = client.get(f"{PROCESSORS}/fraud-detection").json()
            assert kept["operations"][0]["predicate"] == "value.amount > 1000"
            health = client.get("/api/health").json()
            [check] = [check for check in health["checks"] if check["name"] == "event_processing"]
            assert "'fraud-detection' goes on as it was created" in check["message"]
        assert any("goes on as it was created" in line["event"] for line in running.log_lines())
