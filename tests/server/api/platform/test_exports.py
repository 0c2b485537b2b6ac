"""`GET …/logs/export` and what follows, against a real server."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from forebay.server.http import deliveries, file_answer
from forebay.server.http.tokens import TokenStore
from support.harness import RunningServer, batch, event, resident_bytes, wait_for

PATH = "/api/v1/platform/system/logs"
EXPORT = f"{PATH}/export"
EVENTS = 3_000

INJECTED = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", 'a","=1', "a;=1\n=2"]
"""Messages that a spreadsheet would calculate, if it were let."""


@pytest.fixture(scope="module")
def running(authenticated_server: RunningServer) -> RunningServer:
    events = [
        event(f"number {number} {'x' * 100}", f"p{number % 3}", metadata={"n": number, "user_id": number})
        for number in range(EVENTS)
    ]
    events += [event(message, "injected", service="=cmd", metadata={"user_id": message}) for message in INJECTED]
    authenticated_server.drain(batch(*events)).raise_for_status()
    return authenticated_server


@pytest.fixture(scope="module")
def client(running: RunningServer) -> Iterator[httpx.Client]:
    with running.client() as opened:
        yield opened


def begun(client: httpx.Client, query: str = "") -> str:
    answered = client.get(f"{EXPORT}?{query}" if query else EXPORT)
    assert answered.status_code == 202, answered.text
    export_id: str = answered.json()["data"]["export_id"]
    return export_id


def state(client: httpx.Client, export_id: str) -> dict[str, Any]:
    data: dict[str, Any] = client.get(f"{EXPORT}/{export_id}").raise_for_status().json()["data"]
    return data


def completed(client: httpx.Client, query: str = "") -> dict[str, Any]:
    export_id = begun(client, query)
    wait_for("the export", lambda: state(client, export_id)["status"] != "processing")
    found = state(client, export_id)
    assert found["status"] == "completed", found
    return found


def exported(client: httpx.Client, query: str = "") -> bytes:
    answered = client.get(completed(client, query)["download_url"])
    assert answered.status_code == 200, answered.text
    return answered.content


def test_the_shape_of_the_specification(client: httpx.Client) -> None:
    answered = client.get(EXPORT, params={"query": "number", "format": "csv"})
    body = answered.json()
    export_id = body["data"]["export_id"]
    assert re.fullmatch("export_logs_[0-9a-f]{32}", export_id)
    assert (answered.status_code, body) == (
        202,
        {
            "success": True,
            "data": {"export_id": export_id, "status": "processing", "download_url": None, "format": "csv"},
        },
    )
    wait_for("the export", lambda: state(client, export_id)["status"] != "processing")
    found = state(client, export_id)
    for name in ("created_at", "expires_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop(name))
    size = found["progress"].pop("bytes")
    assert size > EVENTS * 150
    assert found == {
        "export_id": export_id,
        "status": "completed",
        "format": "csv",
        "progress": {"records": EVENTS, "fraction": 1.0},
        "records_expired": 0,
        "records_lost": 0,
        "error": None,
        "download_url": f"{EXPORT}/{export_id}/download",
    }


def test_json_is_all_that_matches(client: httpx.Client) -> None:
    lines = exported(client, "metadata.n%3E=1000&project_id=p1").splitlines()
    values = [json.loads(line)["value"]["metadata"]["n"] for line in lines]
    assert sorted(values) == [n for n in range(1000, EVENTS) if n % 3 == 1]


def test_csv_has_no_formula(client: httpx.Client) -> None:
    text = exported(client, "format=csv&project_id=injected").decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(INJECTED)
    for row in rows:
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in row.values())
        assert row["service"] == "'=cmd"
    assert {row["message"].removeprefix("'") for row in rows} == set(INJECTED)
    assert {row["user_id"].removeprefix("'") for row in rows} == set(INJECTED)


def test_txt_is_a_line_an_event(client: httpx.Client) -> None:
    lines = exported(client, "format=txt&project_id=injected").decode().splitlines()
    assert len(lines) == len(INJECTED)
    assert "2024-05-31T15:30:45.000000Z info =cmd a;=1\\n=2" in lines


def test_parquet_opens_in_pyarrow(client: httpx.Client) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(exported(client, "format=parquet&query=number")))
    assert sorted(json.loads(row)["n"] for row in table["metadata"].to_pylist()) == list(range(EVENTS))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("format=xml", "format is 'xml'"),
        ("query=%22open", "the phrase does not end"),
        ("limit=5", "unknown query parameter 'limit'"),
        ("start_time=2025-12-04&end_time=2025-12-03", "start is after its end"),
        ("metadata.n%3E=x", "is no number"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_at_once(client: httpx.Client, query: str, message: str) -> None:
    answered = client.get(f"{EXPORT}?{query}")
    assert (answered.status_code, answered.json()["error"]["code"]) == (400, "invalid_request")
    assert message in answered.json()["error"]["message"]


def test_the_file_is_sent_with_its_name_and_its_tag(client: httpx.Client) -> None:
    found = completed(client, "format=txt")
    answered = client.get(found["download_url"])
    export_id = found["export_id"]
    headers = answered.headers
    assert headers["content-length"] == str(len(answered.content)) == str(found["progress"]["bytes"])
    assert headers["content-disposition"] == f'attachment; filename="{export_id}.txt"'
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["etag"] == f'"{export_id}"'
    assert headers["accept-ranges"] == "bytes"
    assert "transfer-encoding" not in headers
    head = client.head(found["download_url"])
    kept = {name: value for name, value in headers.items() if name != "date"}
    assert (head.status_code, head.content) == (200, b"")
    assert {name: value for name, value in head.headers.items() if name != "date"} == kept
    unchanged = client.get(found["download_url"], headers={"if-none-match": f'"x", W/{headers["etag"]}'})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", headers["etag"])


def test_a_part_is_sent_as_asked_for(client: httpx.Client) -> None:
    url = completed(client, "format=txt")["download_url"]
    whole = client.get(url)
    content, size = whole.content, len(whole.content)
    assert size > 300_000, "it takes more than a piece"
    for given, start, end in (
        ("bytes=0-9", 0, 10),
        ("bytes=-100", size - 100, size),
        (f"bytes={size - 1}-", size - 1, size),
        ("bytes=1000-300000", 1000, 300_001),
    ):
        part = client.get(url, headers={"range": given, "if-range": whole.headers["etag"]})
        assert (part.status_code, part.content) == (206, content[start:end]), given
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert part.headers["content-length"] == str(end - start)
    beyond = client.get(url, headers={"range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.content) == (416, b"")
    assert beyond.headers["content-range"] == f"bytes */{size}"
    for headers in ({"range": "bytes=0-1,5-6"}, {"range": "bytes=0-9", "if-range": '"x"'}, {"range": "lines=1-2"}):
        assert client.get(url, headers=headers).content == content


def test_a_download_that_broke_off_goes_on(running: RunningServer, client: httpx.Client) -> None:
    url = completed(client)["download_url"]
    whole = client.get(url).content
    with running.client() as breaking, breaking.stream("GET", url) as answered:
        begun_with = next(answered.iter_raw(100_000))
    assert len(begun_with) < len(whole)
    rest = client.get(url, headers={"range": f"bytes={len(begun_with)}-", "if-range": answered.headers["etag"]})
    assert begun_with + rest.content == whole


def test_an_empty_file_is_sent(client: httpx.Client) -> None:
    found = completed(client, "query=nowhere")
    answered = client.get(found["download_url"])
    assert (answered.status_code, answered.content, answered.headers["content-length"]) == (200, b"", "0")
    assert found["progress"] == {"records": 0, "bytes": 0, "fraction": 1.0}


def test_to_ask_for_the_head_begins_nothing(client: httpx.Client, running: RunningServer) -> None:
    before = sorted(path.name for path in (Path(running.data_dir) / "exports").iterdir())
    assert (head := client.head(EXPORT)).status_code == 202
    assert head.content == b""
    assert client.head(EXPORT, params={"query": '"open'}).status_code == 400
    completed(client, "query=nowhere")
    assert len(list((Path(running.data_dir) / "exports").iterdir())) == len(before) + 2


def test_a_deleted_export_is_no_more(client: httpx.Client) -> None:
    export_id = completed(client)["export_id"]
    answered = client.delete(f"{EXPORT}/{export_id}")
    assert answered.status_code == 200
    assert answered.json() == {"success": True, "data": {"export_id": export_id, "status": "deleted"}}
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/download")):
        refused = client.request(method, f"{EXPORT}/{export_id}{path}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found")
    assert client.get(f"{EXPORT}/export_logs_0/download").status_code == 404


def test_a_token_for_projects_exports_these_and_sees_its_own(running: RunningServer, client: httpx.Client) -> None:
    store = TokenStore(running.data_dir)
    secrets = {
        name: store.create(name, ["ops"], projects)
        for name, projects in (("one", ["p1"]), ("other", ["p1"]), ("all", None))
    }
    store.create("reader", ["read"], None)

    def known() -> bool:
        return all(
            client.get(PATH, headers={"authorization": secret}).status_code == 200 for secret in secrets.values()
        )

    wait_for("the tokens", known)
    as_one, as_other, as_all = (
        httpx.Client(base_url=running.url, headers={"authorization": secret}, trust_env=False, timeout=60)
        for secret in secrets.values()
    )
    with as_one, as_other, as_all:
        found = completed(as_one)
        lines = as_one.get(found["download_url"]).content.splitlines()
        assert {json.loads(line)["key"] for line in lines} == {"p1"}
        assert len(lines) == EVENTS // 3
        assert completed(as_one, "project_id=p2")["progress"]["records"] == 0
        everything = completed(as_all)
        for path in ("", "/download"):
            assert as_other.get(f"{EXPORT}/{found['export_id']}{path}").status_code == 404
            assert as_one.get(f"{EXPORT}/{everything['export_id']}{path}").status_code == 404
            assert as_all.get(f"{EXPORT}/{found['export_id']}{path}").status_code == 200
        assert as_other.delete(f"{EXPORT}/{found['export_id']}").status_code == 404
        assert as_one.delete(f"{EXPORT}/{found['export_id']}").status_code == 200
    for name in secrets:
        store.revoke(name)


def test_a_browser_downloads_with_a_ticket(client: httpx.Client, running: RunningServer) -> None:
    url = completed(client, "format=csv")["download_url"]
    ticket = client.post("/api/ticket").raise_for_status().json()["ticket"]
    with httpx.Client(base_url=running.url, trust_env=False, timeout=60) as anybody:
        assert anybody.get(url).status_code == 401
        whole = anybody.get(url, params={"ticket": ticket})
        assert whole.status_code == 200
        part = anybody.get(url, params={"ticket": ticket}, headers={"range": "bytes=5-"})
        assert (part.status_code, part.content) == (206, whole.content[5:]), "the same download goes on"
        assert anybody.get(EXPORT, params={"ticket": ticket}).status_code == 401, "it is good for that one"


def test_what_is_kept_is_for_the_owner_of_the_directory(client: httpx.Client, running: RunningServer) -> None:
    found = completed(client, "format=csv")
    directory = Path(running.data_dir) / "exports"
    assert directory.stat().st_mode & 0o777 == 0o700
    file = directory / f"{found['export_id']}.csv"
    assert file.stat().st_mode & 0o777 == 0o600
    described = msgspec.json.decode((directory / f"{found['export_id']}.json").read_bytes())
    secret = running.headers["authorization"].removeprefix("Bearer ")
    stored = (Path(running.data_dir) / "tokens.json").read_text()
    assert secret not in json.dumps(described)
    assert described["order"]["owner"] not in stored


@pytest.fixture(scope="module")
def large(running: RunningServer) -> str:
    """The address of a file that the buffers of a connection do not hold."""
    for _ in range(20):
        running.drain(batch(*(event("x" * 1000, "large") for _ in range(1000)))).raise_for_status()
    with running.client() as client:
        found = completed(client, "project_id=large")
    assert found["progress"]["bytes"] > 20 << 20
    url: str = found["download_url"]
    return url


@pytest.mark.slow
def test_readers_that_stand_still_take_bounded_memory_and_are_cut_off(running: RunningServer, large: str) -> None:
    """One token has half of the room for answers that nobody has taken yet; who stands still gives it back."""
    many = deliveries.MAX_BYTES // 2 // file_answer.HELD_BYTES + 1
    with running.client() as client, ExitStack() as stack:
        before = resident_bytes(running.pid)
        readers = [stand_still(running, stack, large, running.headers["authorization"]) for _ in range(many)]
        assert readers[0].recv(100).startswith(b"HTTP/1.1 200 OK")
        answered = client.get(large)
        assert answered.status_code in (200, 429), "it waits for those that stand still, 10 s at most"
        assert client.get(PATH).status_code == 200, "what is small is answered all the same"
        assert resident_bytes(running.pid) - before < 2 * deliveries.MAX_BYTES
        wait_for("the room", lambda: client.get(large).status_code == 200)


@pytest.mark.slow
def test_a_download_ends_with_its_token(running: RunningServer, client: httpx.Client, large: str) -> None:
    store = TokenStore(running.data_dir)
    secret = store.create("leaver", ["ops"], None)
    wait_for("the token", lambda: client.get(PATH, headers={"authorization": secret}).status_code == 200)
    with ExitStack() as stack:
        reader = stand_still(running, stack, large, secret)
        assert reader.recv(100).startswith(b"HTTP/1.1 200 OK")
        store.revoke("leaver")
        reader.settimeout(60)
        with pytest.raises(ConnectionResetError):
            read_slowly(reader)


def read_slowly(reader: socket.socket) -> None:
    """Takes twenty seconds for the large file, without which its end would come before the token is missed."""
    while reader.recv(1 << 16):
        time.sleep(0.05)


def stand_still(running: RunningServer, stack: ExitStack, path: str, token: str) -> socket.socket:
    """A reader that asks and takes nothing."""
    reader = stack.enter_context(socket.socket())
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    parts = urlsplit(running.url)
    reader.connect((parts.hostname, parts.port))
    reader.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n".encode())
    return reader


def test_one_is_kept_over_a_restart_and_expires(server: Callable[..., RunningServer]) -> None:
    running = server(export_hours=24.0)
    running.drain(batch(event("a"))).raise_for_status()
    with running.client() as client:
        kept = completed(client)
        content = client.get(kept["download_url"]).content
    assert running.terminate() == 0
    running = server(export_hours=0.0003)
    with running.client() as client:
        assert state(client, kept["export_id"]) == kept, "it stays as long as it was promised"
        assert client.get(kept["download_url"]).content == content
        short = begun(client)
        wait_for("its end", lambda: state(client, short)["status"] == "expired")
        assert state(client, short)["download_url"] is None
        refused = client.get(f"{EXPORT}/{short}/download")
        assert (refused.status_code, "its status is expired" in refused.text) == (404, True)
        directory = running.data_dir / "exports"
        wait_for("its file to go", lambda: not list(directory.glob(f"{short}.ndjson")))
        assert client.delete(f"{EXPORT}/{short}").status_code == 200
        assert not list(directory.glob(f"{short}*"))


def test_the_disk_is_bounded(server: Callable[..., RunningServer]) -> None:
    running = server(export_bytes=1 << 20)
    for _ in range(4):
        running.drain(batch(*(event("x" * 300, "many") for _ in range(1000)))).raise_for_status()
    running.drain(batch(*(event("y" * 300, "few") for _ in range(1000)))).raise_for_status()
    with running.client() as client:
        first, second, third = (completed(client, "project_id=few") for _ in range(3))
        assert state(client, first["export_id"])["status"] == "expired", "the oldest made room"
        export_id = begun(client)
        wait_for("its end", lambda: state(client, export_id)["status"] != "processing")
        failed = state(client, export_id)
    assert (failed["status"], failed["download_url"]) == ("failed", None)
    assert "exports may take 1,048,576 bytes (export_bytes)" in failed["error"]
    files = [path for path in (running.data_dir / "exports").iterdir() if path.suffix != ".json"]
    assert sum(path.stat().st_size for path in files) <= 1 << 20
    assert not [path for path in files if export_id in path.name]
    assert {each["export_id"] for each in (second, third)} >= {path.name.partition(".")[0] for path in files}


def test_one_that_is_deleted_under_way_leaves_nothing(client: httpx.Client, running: RunningServer) -> None:
    wanted = [begun(client, "format=csv") for _ in range(3)]
    for export_id in wanted:
        assert client.delete(f"{EXPORT}/{export_id}").status_code == 200
        assert client.get(f"{EXPORT}/{export_id}").status_code == 404
    directory = running.data_dir / "exports"
    wait_for(
        "their files to go",
        lambda: not [path for path in directory.iterdir() if path.name.startswith(tuple(wanted))],
    )
