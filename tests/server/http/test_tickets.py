from pathlib import Path

import pytest

from forebay import errors
from forebay.server.http.auth import ANONYMOUS, Authenticator, Principal
from forebay.server.http.router import Role
from forebay.server.http.tickets import (
    MAX_TICKETS,
    REJOIN_SECONDS,
    TICKET_BYTES,
    TICKET_CHARACTERS,
    TICKET_SECONDS,
    Tickets,
    ticket_in,
)
from forebay.server.http.tokens import TokenStore


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    store = TokenStore(tmp_path)
    store.create("page", ["read"], ["mine"])
    store.create("other", ["ops"])
    return store


def grant(store: TokenStore, authenticator: Authenticator, name: str = "page") -> Principal:
    [digest] = [bytes.fromhex(token.sha256) for token in store.read() if token.name == name]
    found = authenticator.known(digest)
    assert found is not None
    return found


def test_a_ticket_carries_its_tokens_grant_once(store: TokenStore) -> None:
    authenticator = Authenticator(store)
    made = Tickets(authenticator)
    ticket = made.make(grant(store, authenticator))
    assert made.require(ticket, Role.READ) is grant(store, authenticator)
    with pytest.raises(errors.Unauthorized, match="used"):
        made.require(ticket, Role.READ)


def test_it_expires(clock: Clock) -> None:
    made = Tickets(Authenticator(None), clock)
    early, late = made.make(ANONYMOUS), made.make(ANONYMOUS)
    clock.now += TICKET_SECONDS - 0.001
    assert made.require(early, Role.READ) is ANONYMOUS
    clock.now += 0.001
    with pytest.raises(errors.Unauthorized, match="expired"):
        made.require(late, Role.READ)


def test_it_has_no_more_than_its_token_has_by_then(store: TokenStore) -> None:
    authenticator = Authenticator(store)
    made = Tickets(authenticator)
    first, second = (made.make(grant(store, authenticator)) for _ in range(2))
    with pytest.raises(errors.Forbidden, match="'page' lacks the role 'ops'"):
        made.require(first, Role.OPS)
    store.revoke("page")
    authenticator.refresh()
    with pytest.raises(errors.Unauthorized, match="was revoked"):
        made.require(second, Role.READ)


HERE, THERE = "/tail?ticket=1", "/tail?ticket=1&filter=true"


def test_the_tail_that_it_opened_may_come_back_with_it_and_nothing_else(clock: Clock) -> None:
    made = Tickets(Authenticator(None), clock)
    ticket = made.make(ANONYMOUS)
    for _ in range(3):
        assert made.reopen(ticket, Role.READ, HERE) is ANONYMOUS
        with made.connected(ticket, lambda: None):
            clock.now += 10 * REJOIN_SECONDS
        clock.now += REJOIN_SECONDS - 0.001
    with pytest.raises(errors.Unauthorized, match="used"):
        made.reopen(ticket, Role.READ, THERE)
    with pytest.raises(errors.Unauthorized, match="used"):
        made.require(ticket, Role.READ)
    clock.now += 0.001
    with pytest.raises(errors.Unauthorized, match="expired"):
        made.reopen(ticket, Role.READ, HERE)


@pytest.mark.parametrize("wrong", ["", "x", "x" * TICKET_CHARACTERS])
def test_no_tail_opens_with_what_is_no_ticket(wrong: str, clock: Clock) -> None:
    made = Tickets(Authenticator(None), clock)
    late = made.make(ANONYMOUS)
    clock.now += TICKET_SECONDS
    for ticket in (wrong, late):
        with pytest.raises(errors.Unauthorized):
            made.reopen(ticket, Role.READ, HERE)
        with made.connected(ticket, lambda: None):
            pass
        with pytest.raises(errors.Unauthorized):
            made.reopen(ticket, Role.READ, HERE)


def test_a_tail_that_comes_back_has_no_more_than_its_token_has_by_then(store: TokenStore) -> None:
    authenticator = Authenticator(store)
    made = Tickets(authenticator)
    ticket, other = (made.make(grant(store, authenticator)) for _ in range(2))
    made.reopen(ticket, Role.READ, HERE)
    with pytest.raises(errors.Forbidden):
        made.reopen(ticket, Role.OPS, HERE)
    store.revoke("page")
    authenticator.refresh()
    for each in (ticket, other):
        with pytest.raises(errors.Unauthorized, match="was revoked"):
            made.reopen(each, Role.READ, HERE)


def test_a_ticket_has_one_connection_at_a_time(clock: Clock) -> None:
    made = Tickets(Authenticator(None), clock)
    ticket, ended = made.make(ANONYMOUS), []
    made.reopen(ticket, Role.READ, HERE)
    with made.connected(ticket, lambda: ended.append("first")):
        made.reopen(ticket, Role.READ, HERE)
        second = made.connected(ticket, lambda: ended.append("second"))
        second.__enter__()
        assert ended == ["first"]
    # The first one's end says nothing of the second.
    clock.now += REJOIN_SECONDS
    made.reopen(ticket, Role.READ, HERE)
    second.__exit__(None, None, None)
    clock.now += REJOIN_SECONDS
    with pytest.raises(errors.Unauthorized):
        made.reopen(ticket, Role.READ, HERE)


def test_only_so_many_tails_may_come_back(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forebay.server.http.tickets.MAX_TAILS", 3)
    made = Tickets(Authenticator(None), clock)
    tickets = [made.make(ANONYMOUS) for _ in range(5)]
    with made.connected(None, lambda: None):
        for ticket in tickets:
            made.reopen(ticket, Role.READ, HERE)
    for ticket in tickets[:2]:
        with pytest.raises(errors.Unauthorized):
            made.reopen(ticket, Role.READ, HERE)
    connections = [made.connected(ticket, lambda: None) for ticket in tickets[2:]]
    for connection in connections:
        connection.__enter__()
    more = [made.make(ANONYMOUS) for _ in range(3)]
    for ticket in more:
        made.reopen(ticket, Role.READ, HERE)
    for connection in connections:
        connection.__exit__(None, None, None)
    for ticket in more:
        with pytest.raises(errors.Unauthorized):
            made.reopen(ticket, Role.READ, HERE)
    assert all(made.reopen(ticket, Role.READ, HERE) for ticket in tickets[2:]), "those that were away last"


@pytest.mark.parametrize(
    "wrong", ["", "x", "x" * TICKET_CHARACTERS, "é" * TICKET_CHARACTERS, "\udcff" * 43, "x" * 9999]
)
def test_what_is_no_ticket_is_refused_and_not_repeated(wrong: str) -> None:
    made = Tickets(Authenticator(None))
    made.make(ANONYMOUS)
    with pytest.raises(errors.Unauthorized) as refused:
        made.require(wrong, Role.READ)
    assert len(wrong) < 2 or wrong not in refused.value.detail
    assert len(made) == 1


def test_only_so_many_are_outstanding(clock: Clock) -> None:
    made = Tickets(Authenticator(None), clock)
    first = made.make(ANONYMOUS)
    clock.now += 10
    while len(made) < MAX_TICKETS:
        made.make(ANONYMOUS)
    with pytest.raises(errors.Saturated) as refused:
        made.make(ANONYMOUS)
    assert refused.value.retry_after == TICKET_SECONDS - 10
    made.require(first, Role.READ)
    made.make(ANONYMOUS)
    clock.now += TICKET_SECONDS
    made.make(ANONYMOUS)
    assert len(made) == 1, "the expired ones are gone"


def test_a_ticket_is_random_and_held_as_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def random(size: int) -> str:
        asked.append(size)
        return "r" * TICKET_CHARACTERS

    made = Tickets(Authenticator(None))
    real = made.make(ANONYMOUS)
    assert len(real) == TICKET_CHARACTERS
    monkeypatch.setattr("secrets.token_urlsafe", random)
    ticket = made.make(ANONYMOUS)
    assert asked == [TICKET_BYTES]
    held = repr(vars(made))
    assert ticket not in held
    assert real not in held


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("ticket=a", "a"),
        ("from=now&ticket=a%2Bb", "a+b"),
        ("ticket=", ""),
        ("ticket=a&ticket=b", "a"),
        ("%74icket=a", "a"),
        ("from=now", None),
        ("Ticket=a", None),
        ("ticket", ""),
        ("&".join(["ticket=a"] * 100), None),
    ],
)
def test_it_is_found_in_a_query(query: str, found: str | None) -> None:
    assert ticket_in(query) == found
