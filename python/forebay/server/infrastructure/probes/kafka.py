"""The versions and the metadata of a Kafka cluster, over its wire protocol. The leader of no partition is asked: what
counts is that the cluster knows a controller and at least one broker that is alive."""

from __future__ import annotations

import struct

from forebay.server.infrastructure.connection import Connection, Dialler
from forebay.server.infrastructure.failure import ProbeFailed
from forebay.server.infrastructure.probes.reply import Probe, Reply

CLIENT = b"forebay"

API_VERSIONS = 18
METADATA = 3

METADATA_VERSION = 1
"""The oldest with a controller, and one that every broker since 0.10 takes."""

MAX_ANSWER_BYTES = 1 << 20
"""No topics are asked for, so an answer has some hundred bytes a broker."""

NO_CONTROLLER = -1


def kafka(dialler: Dialler) -> Probe:
    async def probe() -> Reply:
        async with dialler.connected() as connection:
            _check_versions(await _ask(connection, API_VERSIONS, 0, 1, b""))
            # An empty list of topics: none, from version 1 on.
            _check_metadata(await _ask(connection, METADATA, METADATA_VERSION, 2, struct.pack(">i", 0)))
        return Reply()

    return probe


async def _ask(connection: Connection, api: int, version: int, correlation: int, body: bytes) -> bytes:
    """The answer to one request, without its head."""
    request = struct.pack(">hhih", api, version, correlation, len(CLIENT)) + CLIENT + body
    await connection.send(struct.pack(">i", len(request)) + request)
    [size] = struct.unpack(">i", await connection.exactly(4))
    if not 4 <= size <= MAX_ANSWER_BYTES:
        raise ProbeFailed(f"it answered no Kafka: an answer of {size} bytes")
    answer = await connection.exactly(size)
    [answered] = struct.unpack_from(">i", answer)
    if answered != correlation:
        raise ProbeFailed(f"it answered no Kafka: request {correlation} was answered as {answered}")
    return answer[4:]


def _check_versions(body: bytes) -> None:
    """The answer is an error code and an array of (api, oldest, newest)."""
    try:
        code, count = struct.unpack_from(">hi", body)
        rows = [struct.unpack_from(">hhh", body, 6 + 6 * index) for index in range(min(count, len(body) // 6))]
    except struct.error:
        raise ProbeFailed("it answered no Kafka: its versions are cut short") from None
    if code:
        raise ProbeFailed(f"its versions are refused with the error {code}")
    known = {api: (oldest, newest) for api, oldest, newest in rows}
    oldest, newest = known.get(METADATA, (1, 0))
    if not oldest <= METADATA_VERSION <= newest:
        raise ProbeFailed(f"it does not take version {METADATA_VERSION} of the request for metadata")


def _check_metadata(body: bytes) -> None:
    """The answer is an array of brokers (id, host, port, rack), and the id of the controller."""
    try:
        [count] = struct.unpack_from(">i", body)
        at = 4
        for _ in range(count):
            at = _behind_text(body, at + 4) + 4
            at = _behind_text(body, at)
        [controller] = struct.unpack_from(">i", body, at)
    except struct.error:
        raise ProbeFailed("it answered no Kafka: its metadata is cut short") from None
    if count < 1:
        raise ProbeFailed("the cluster names no broker that is alive")
    if controller == NO_CONTROLLER:
        raise ProbeFailed("the cluster has no controller")


def _behind_text(body: bytes, at: int) -> int:
    """The position after a text, which has its length before it, -1 for none."""
    [size] = struct.unpack_from(">h", body, at)
    return at + 2 + max(int(size), 0)
