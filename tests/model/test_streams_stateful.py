"""Random sequences of calls on streams and groups over HTTP, with crashes in between, against a model."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from model.streams_model import ModelStream
from support.harness import RunningServer

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("FOREBAY_STATEFUL_EXAMPLES", "6"))
STEPS = 40

NAMES = st.sampled_from(["orders", "users"])
GROUPS = st.sampled_from(["billing", "audit"])
MEMBERS = st.sampled_from(["a", "b", "c"])
KEYS = st.none() | st.sampled_from(["k1", "k2", "k3"])
VALUES = st.integers() | st.text(max_size=20) | st.dictionaries(st.text(max_size=5), st.integers(-9, 9), max_size=3)

CONSUMER_GONE = {1001, 1003}
FENCED = 1012


class Streams(RuleBasedStateMachine):
    """Every rule makes one call and holds its answer against the model."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory(prefix="forebay-stateful-")
        # Small files are sealed often, so that reads come from the ring and from segments alike.
        directory = Path(self.place.name) / "data"
        self.server = RunningServer(directory, ring_bytes=8 << 20, journal_file_bytes=1 << 20).start()
        self.client = self.server.client()
        self.streams: dict[str, ModelStream] = {}
        self.groups: set[str] = set()
        self.event_ids: set[str] = set()

    def teardown(self) -> None:
        self.client.close()
        self.server.stop()
        self.place.cleanup()

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = self.client.request(method, f"/api/v1{path}", **more)
        assert answer.status_code < 500, answer.text
        return answer

    def refused(self, answer: httpx.Response, status: int, *codes: int) -> None:
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["code"] in codes, answer.text

    @rule(name=NAMES, partitions=st.integers(1, 3))
    def create(self, name: str, partitions: int) -> None:
        answer = self.call("POST", "/streams", json={"name": name, "partitions": partitions})
        if name in self.streams:
            self.refused(answer, 409, 1007)
            return
        assert answer.status_code == 201, answer.text
        self.streams[name] = ModelStream([[] for _ in range(partitions)])

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        answer = self.call("DELETE", f"/streams/{name}")
        if self.streams.pop(name, None) is None:
            self.refused(answer, 404, 1001)
        else:
            assert answer.status_code == 200, answer.text

    @rule(name=NAMES, events=st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=30))
    def publish(self, name: str, events: list[tuple[str | None, Any]]) -> None:
        body = [{"value": value} | ({} if key is None else {"key": key}) for key, value in events]
        answer = self.call("POST", f"/streams/{name}/events/batch", json={"events": body})
        stream = self.streams.get(name)
        if stream is None:
            self.refused(answer, 404, 1001)
            return
        assert answer.status_code == 200, answer.text
        for (_, value), result in zip(events, answer.json()["results"], strict=True):
            assert result["eventId"] not in self.event_ids, "an event id came twice"
            self.event_ids.add(result["eventId"])
            stream.published(result["partition"], result["offset"], result["eventId"], value)

    @rule(name=NAMES, value=VALUES, partition=st.integers(0, 2))
    def publish_pinned(self, name: str, value: Any, partition: int) -> None:
        answer = self.call("POST", f"/streams/{name}/events", json={"value": value, "partition": partition})
        stream = self.streams.get(name)
        if stream is None:
            self.refused(answer, 404, 1001)
        elif partition >= len(stream.partitions):
            assert answer.status_code == 400, answer.text
        else:
            assert answer.status_code == 201, answer.text
            told = answer.json()
            assert told["partition"] == partition
            self.event_ids.add(told["eventId"])
            stream.published(partition, told["offset"], told["eventId"], value)

    @rule(name=NAMES, group=GROUPS, member=st.none() | MEMBERS, limit=st.integers(1, 40), commit=st.booleans())
    def consume(self, name: str, group: str, member: str | None, limit: int, commit: bool) -> None:
        query: dict[str, Any] = {"consumerGroup": group, "limit": limit, "timeout": 0}
        if member is not None:
            query["memberId"] = member
        answer = self.call("GET", f"/streams/{name}/events", params=query)
        stream = self.streams.get(name)
        if stream is None:
            self.refused(answer, 404, 1001)
            return
        assert answer.status_code == 200, answer.text
        self.groups.add(group)
        following = stream.check_answer(group, answer.json())
        if commit:
            self.commit(name, group, member, following)

    def commit(self, name: str, group: str, member: str | None, following: dict[int, int]) -> None:
        offsets = [{"stream": name, "partition": at, "offset": offset} for at, offset in following.items()]
        body: dict[str, Any] = {"offsets": offsets}
        if member is not None:
            body["memberId"] = member
        if not offsets:
            return
        answer = self.call("POST", f"/consumers/{group}/commit", json=body)
        if answer.status_code == 409:
            # While members hold the group, who is none of them may not commit.
            assert member is None
            self.refused(answer, 409, FENCED)
            return
        assert answer.status_code == 200, answer.text
        self.streams[name].committed.setdefault(group, {}).update(following)

    @precondition(lambda self: self.streams)
    @rule(data=st.data(), group=GROUPS, partition=st.integers(0, 2), offset=st.integers(0, 60), force=st.booleans())
    def commit_anything(self, data: st.DataObject, group: str, partition: int, offset: int, force: bool) -> None:
        """An offset out of nowhere: refused unless it is in range, and not behind what is committed unless forced."""
        name = data.draw(st.sampled_from(sorted(self.streams)))
        stream = self.streams[name]
        place = {"stream": name, "partition": partition, "offset": offset}
        answer = self.call("POST", f"/consumers/{group}/commit", json={"offsets": [place], "force": force})
        if answer.status_code == 200:
            assert group in self.groups
            assert offset <= stream.end(partition)
            assert force or offset >= stream.position(group, partition)
            stream.committed.setdefault(group, {})[partition] = offset
        elif answer.status_code == 404:
            assert group not in self.groups
        elif answer.status_code == 409:
            self.refused(answer, 409, FENCED)
        else:
            outside = partition >= len(stream.partitions) or offset > stream.end(partition)
            assert outside or (offset < stream.position(group, partition) and not force), answer.text
            self.refused(answer, 400, 1002, 1008)

    @rule(group=GROUPS, member=MEMBERS)
    def leave(self, group: str, member: str) -> None:
        assert self.call("DELETE", f"/consumers/{group}/members/{member}").status_code in (200, 404)

    @rule(group=GROUPS)
    def delete_group(self, group: str) -> None:
        answer = self.call("DELETE", f"/consumers/{group}")
        if group not in self.groups:
            self.refused(answer, 404, 1003)
            return
        assert answer.status_code == 200, answer.text
        self.groups.remove(group)
        for stream in self.streams.values():
            stream.committed.pop(group, None)

    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        """SIGKILL or SIGTERM: leases end, everything that was answered stays."""
        self.client.close()
        if crash:
            self.server.kill()
        else:
            assert self.server.terminate() == 0
        self.server.start()
        self.client = self.server.client()

    @invariant()
    def streams_are_what_they_should_be(self) -> None:
        for name, stream in self.streams.items():
            told = self.call("GET", f"/streams/{name}").json()
            assert told["totalMessages"] == sum(map(len, stream.partitions))
            ends = {row["partition"]: row["endOffset"] for row in told["partitionDetails"]}
            assert ends == {at: stream.end(at) for at in range(len(stream.partitions))}


def test_streams_and_groups_against_a_model() -> None:
    Streams.TestCase.settings = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    Streams.TestCase("runTest").runTest()
