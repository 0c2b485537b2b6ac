import json

from support.harness import RunningServer, batch, event


def test_the_list_counts_what_was_stored(shared_server: RunningServer) -> None:
    with shared_server.client() as client:

        def logs() -> dict[str, object]:
            listing = client.get("/api/v1/streams").raise_for_status().json()["streams"]
            [found] = [stream for stream in listing if stream["name"] == "logs"]
            assert found == client.get("/api/v1/streams/logs").json()
            return dict(found)

        before = logs()
        shared_server.drain(batch(event(), event(), event()))
        after = logs()
    assert after["totalMessages"] == before["totalMessages"] + 3  # type: ignore[operator]
    assert after["totalSize"] > before["totalSize"]  # type: ignore[operator]
    details = after["partitionDetails"]
    assert isinstance(details, list)
    assert [row["partition"] for row in details] == list(range(len(details)))
    assert after["partitions"] == len(details)


def test_pages_follow_one_another(shared_server: RunningServer) -> None:
    shared_server.drain(batch(*[event(str(number), project="pages") for number in range(25)]))
    with shared_server.client() as client:
        partition = next(r["partition"] for r in shared_server.records() if r["key"] == "pages")
        offset, offsets, messages = 0, [], []
        for _ in range(100):
            path = f"/api/v1/streams/logs/records?partition={partition}&offset={offset}&limit=7"
            response = client.get(path).raise_for_status()
            assert response.headers["content-type"] == "application/x-ndjson"
            lines = [json.loads(line) for line in response.text.splitlines()]
            assert len(lines) <= 7
            if not lines:
                break
            offsets += [line["offset"] for line in lines]
            messages += [line["value"]["message"] for line in lines if line["key"] == "pages"]
            offset = int(response.headers["forebay-next-offset"])
    assert offsets == list(range(len(offsets)))
    assert messages == [str(number) for number in range(25)]


def test_offsets_out_of_range_are_refused(shared_server: RunningServer) -> None:
    with shared_server.client() as client:
        beyond = client.get("/api/v1/streams/logs/records?offset=9000000000")
        assert (beyond.status_code, beyond.json()["error"]["code"]) == (400, 1002)
        for value in ("-1", "x", str(1 << 63)):
            refused = client.get(f"/api/v1/streams/logs/records?offset={value}")
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, 1008)
