import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from forebay import errors
from forebay._forebay import MemoryBudget, RateLimiter
from forebay.server.http.auth import ANONYMOUS
from forebay.server.http.parameters import Parameters, whole
from forebay.server.http.request import WHOLE_BODY_BYTES, Request

LIMIT = whole("limit", 3, 1, 10, "How many.")
OFFSET = whole("offset", None, 0, 10, "Where.")
PARAMETERS = Parameters(LIMIT, OFFSET)


class Scope:
    """A request line and headers as RSGI gives them."""

    proto = "http"
    method = "POST"
    path = "/"
    client = ""

    def __init__(self, query: str = "", **headers: str) -> None:
        self.query_string = query
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Chunks:
    """A chunked body as Granian iterates it: one empty chunk more at the end."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks

    def __call__(self) -> None:
        raise AssertionError("a body without a length is counted while it is read")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk
            await asyncio.sleep(0)


def request(scope: Scope, protocol: object = None, memory_budget: MemoryBudget | None = None) -> Request:
    return Request(
        scope,  # type: ignore[arg-type]
        protocol,  # type: ignore[arg-type]
        {},
        principal=ANONYMOUS,
        parameters=PARAMETERS,
        body_limit=10,
        body_seconds=0.05,
        memory_budget=memory_budget or MemoryBudget(100),
    )


def test_known_parameters_are_read() -> None:
    asked = request(Scope("limit=5&offset=%37"))
    assert (asked.value(LIMIT), asked.value(OFFSET)) == (5, 7)
    assert (request(Scope()).value(LIMIT), request(Scope()).value(OFFSET)) == (3, None)


def read(asked: Request) -> bytes:
    return asyncio.run(asked.body())


def test_chunks_are_joined_and_the_memory_budget_given_back() -> None:
    memory_budget = MemoryBudget(100)
    assert read(request(Scope(), Chunks(b"abc", b"def", b""), memory_budget)) == b"abcdef"
    assert memory_budget.used == 0


def test_chunks_beyond_the_limit_are_too_large() -> None:
    memory_budget = MemoryBudget(100)
    asked = request(Scope(), Chunks(b"abcdef", b"ghijk", b""), memory_budget)
    with pytest.raises(errors.PayloadTooLarge):
        read(asked)
    assert asked.broken_off
    assert memory_budget.used == 0


def test_chunks_that_broke_off_are_not_a_body() -> None:
    with pytest.raises(errors.Malformed, match="broke off"):
        read(request(Scope(), Chunks(b"abc", b"", b"")))


def test_a_declared_length_beyond_the_limit_is_refused_unread() -> None:
    with pytest.raises(errors.PayloadTooLarge, match="11 bytes, more than the limit of 10"):
        read(request(Scope(content_length="11"), Chunks()))


def test_bodies_beyond_the_memory_budget_are_saturation() -> None:
    memory_budget = MemoryBudget(4)
    with pytest.raises(errors.Saturated):
        read(request(Scope(content_length="5"), Chunks(), memory_budget))
    with pytest.raises(errors.Saturated):
        read(request(Scope(), Chunks(b"abc", b"de", b""), memory_budget))
    assert memory_budget.used == 0


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "x"])
def test_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(errors.UnsupportedEncoding, match="content-encoding"):
        read(request(Scope(content_encoding=encoding), Chunks(b"")))


def test_a_slow_body_ends_at_its_deadline() -> None:
    class Never(Chunks):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"a"
            await asyncio.Event().wait()

    with pytest.raises(errors.RequestTimeout):
        read(request(Scope(), Never()))


def test_a_large_declared_body_is_charged_as_it_comes() -> None:
    memory_budget = MemoryBudget(1_000_000)
    seen: list[int] = []

    class Watched(Chunks):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for chunk in super().__aiter__():
                yield chunk
                seen.append(memory_budget.used)

    def large(*chunks: bytes) -> Request:
        asked = request(Scope(content_length=str(WHOLE_BODY_BYTES + 1)), Watched(*chunks), memory_budget)
        asked._limit = 1_000_000
        return asked

    asked = large(b"a", b"b" * WHOLE_BODY_BYTES, b"")
    assert len(read(asked)) == WHOLE_BODY_BYTES + 1
    assert seen == [1, WHOLE_BODY_BYTES + 1, WHOLE_BODY_BYTES + 1]
    assert memory_budget.used == 0
    with pytest.raises(errors.Malformed, match="broke off"):
        read(large(b"a", b""))
    assert memory_budget.used == 0


def test_one_token_gets_half_while_another_asks() -> None:
    memory_budget = MemoryBudget(100)
    greedy, modest = RateLimiter("greedy"), RateLimiter("modest")
    held = [memory_budget.reserve(greedy) for _ in range(3)]
    held[0].grow_to(40)
    memory_budget.reserve(modest)
    held[1].grow_to(10)
    with pytest.raises(errors.Saturated, match="greedy.*others ask"):
        held[2].grow_to(1)
    for reserved in held:
        reserved.release()
    assert memory_budget.used == 0


def test_the_memory_budget_is_exact_over_threads() -> None:
    memory_budget = MemoryBudget(1_000_000)

    def work() -> None:
        for _ in range(20_000):
            held = memory_budget.reserve(None)
            held.grow_to(7)
            held.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory_budget.used == 0
    held = memory_budget.reserve(None)
    held.grow_to(1_000_000)
    with pytest.raises(errors.Saturated):
        memory_budget.reserve(None).grow_to(1)
