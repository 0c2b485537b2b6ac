"""A model of streams and groups after any sequence of calls: plain dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ModelStream:
    """One life of a stream: per partition the event ids and values in order, per group the next offset to read."""

    partitions: list[list[tuple[str, Any]]]
    committed: dict[str, dict[int, int]] = field(default_factory=dict)

    def end(self, partition: int) -> int:
        return len(self.partitions[partition])

    def position(self, group: str, partition: int) -> int:
        """A group that has committed nothing in a partition reads from its beginning."""
        return self.committed.get(group, {}).get(partition, 0)

    def published(self, partition: int, offset: int, event_id: str, value: Any) -> None:
        assert offset == self.end(partition), f"partition {partition} goes on at {self.end(partition)}, not at {offset}"
        self.partitions[partition].append((event_id, value))

    def check_answer(self, group: str, answer: dict[str, Any]) -> dict[int, int]:
        """Checks that the answer has what comes next in each partition, nothing skipped, repeated or made up. Returns
        the next offset of each partition that the answer names."""
        expected = {int(partition): self.position(group, int(partition)) for partition in self._named(answer)}
        for event in answer["events"]:
            partition, offset = event["partition"], event["offset"]
            assert offset == expected[partition], f"partition {partition}: {offset} came where {expected} was next"
            assert (event["eventId"], event["value"]) == self.partitions[partition][offset]
            expected[partition] = offset + 1
        told = {int(partition): offset for partition, offset in answer["metadata"]["nextOffsets"].items()}
        assert told == expected
        lags = {int(partition): lag for partition, lag in answer["metadata"]["lags"].items()}
        assert lags == {partition: self.end(partition) - offset for partition, offset in expected.items()}
        return expected

    @staticmethod
    def _named(answer: dict[str, Any]) -> list[str]:
        return list(answer["metadata"]["nextOffsets"])
