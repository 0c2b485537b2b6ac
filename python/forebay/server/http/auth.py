"""Who may do what: a request's token, looked up by its digest, and the grant that it stands for."""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from hashlib import sha256

import structlog

from forebay import errors
from forebay._forebay import Projects, RateLimiter
from forebay.errors import ConfigError, StorageUnavailable
from forebay.server.http.router import Role
from forebay.server.http.rsgi import Headers
from forebay.server.http.tokens import Quota, Rate, Token, TokenStore, operates, way_back

log = structlog.get_logger("forebay.auth")

MAX_HEADER_CHARACTERS = 256
"""A token of ours has 47; what is longer than this is none and need not be hashed."""

_BEARER = "bearer "


@dataclass(slots=True, frozen=True, eq=False)
class Grant:
    """What one token may do.

    `digest` is the token's SHA-256, and empty without authentication: it is also the scope of idempotency keys.
    `projects` is None when all projects are granted. `account` is what the token's events are charged to. As long as a
    token grants the same, its grant is the same object.
    """

    name: str
    digest: bytes
    roles: frozenset[Role]
    projects: Projects | None = None
    account: RateLimiter | None = None

    def check_all_projects(self, consequence: str) -> None:
        """Raises `Forbidden`, which `consequence` ends, when the token is limited to projects."""
        if self.projects is not None:
            raise errors.Forbidden(f"the token {self.name!r} is limited to projects, {consequence}")

    def check(self, role: Role) -> None:
        """Raises `Forbidden` when `role` is not among the grant's."""
        if role not in self.roles and role is not Role.NONE:
            raise errors.Forbidden(f"the token {self.name!r} lacks the role {role.value!r}")


EVERYTHING = Grant("none", b"", frozenset(Role))
"""What everybody may do when authentication is off."""


class Guard:
    """Turns headers into grants, on the event loop. Scrapes read it on other threads, and one of them refreshes it; its
    table is replaced whole."""

    def __init__(self, store: TokenStore | None) -> None:
        """`store` None switches authentication off.

        Raises:
            ConfigError: the token file cannot be read.
        """
        self._store = store
        self._grants: dict[bytes, Grant] = {}
        self._tokens: dict[bytes, Token] = {}
        self._seen: tuple[int, ...] = ()
        if store is not None:
            try:
                self._load(store)
            except (OSError, StorageUnavailable) as error:
                raise ConfigError(f"the tokens cannot be read, so nobody could be let in: {error}") from None

    def find(self, headers: Headers) -> Grant | None:
        """The grant of the request's token; None when there is none or it is unknown.

        The look-up is by the digest, so its time tells nothing of a secret, and the comparison takes constant time.
        """
        if self._store is None:
            return EVERYTHING
        given = headers.get("authorization")
        if given is None or len(given) > MAX_HEADER_CHARACTERS:
            return None
        secret = given[len(_BEARER) :].strip() if given[: len(_BEARER)].lower() == _BEARER else given
        digest = sha256(secret.encode("utf-8", "surrogateescape")).digest()
        grant = self._grants.get(digest)
        if grant is None or not hmac.compare_digest(grant.digest, digest):
            return None
        return grant

    def known(self, digest: bytes) -> Grant | None:
        """The grant of the token with that digest as it is now; None when it was removed."""
        return EVERYTHING if self._store is None else self._grants.get(digest)

    def holds(self, grant: Grant) -> bool:
        """Whether the grant's token still grants just that."""
        return self.known(grant.digest) is grant

    def require(self, headers: Headers, role: Role) -> Grant:
        """The grant of the request's token, which has `role`.

        Raises:
            Unauthorized: no token, or an unknown one.
            Forbidden: a known one without the role.
        """
        grant = self.find(headers)
        if grant is None:
            missing = headers.get("authorization") is None
            raise errors.Unauthorized(
                "no token was sent; send it as 'Authorization: Bearer <token>'" if missing else "the token is unknown"
            )
        grant.check(role)
        return grant

    def refresh(self) -> bool:
        """Takes in a changed token file, and says whether it did. A missing or broken one changes nothing and is
        logged, once for each state."""
        store = self._store
        if store is None:
            return False
        seen = _fingerprint(store)
        if seen == self._seen:
            return False
        try:
            self._load(store)
        except (OSError, StorageUnavailable) as error:
            self._seen = seen
            log.error("the token file cannot be read; the tokens known so far stay valid", error=str(error))
            return False
        log.info("tokens were read anew", tokens=len(self._grants))
        return True

    def ingesting(self) -> list[tuple[bytes, Projects | None, RateLimiter | None]] | None:
        """Digest, projects and account of each token that may ingest; None for everybody."""
        if self._store is None:
            return None
        grants = self._grants.values()
        return [(grant.digest, grant.projects, grant.account) for grant in grants if Role.INGEST in grant.roles]

    def accounts(self) -> list[RateLimiter]:
        """The accounts of all tokens."""
        return [grant.account for grant in self._grants.values() if grant.account is not None]

    def _account(self, token: Token, digest: bytes) -> RateLimiter:
        """The token's account with the limits that it has now. One that is known goes on: to read the file anew neither
        fills a quota nor forgets what was used."""
        known = self._grants.get(digest)
        account = None if known is None or known.name != token.name else known.account
        if account is None:
            account = RateLimiter(token.name)
        quota = token.quota or Quota()
        account.limit(_pair(quota.events), _pair(quota.bytes))
        return account

    def _load(self, store: TokenStore) -> None:
        # Before the content: a change in between is then seen the next time.
        seen = _fingerprint(store)
        grants: dict[bytes, Grant] = {}
        tokens = {bytes.fromhex(token.sha256): token for token in store.read()}
        for digest, token in tokens.items():
            account = self._account(token, digest)
            before = self._tokens.get(digest)
            same = before is not None and _granted(before) == _granted(token)
            grants[digest] = self._grants[digest] if same else _grant(token, digest, account)
        self._grants = grants
        self._tokens = tokens
        self._seen = seen
        if not any(map(operates, tokens.values())):
            log.warning("no token has the role ops for all projects", repair=way_back(store.directory))


def guard(data_dir: str, *, no_auth: bool) -> Guard:
    """The guard of a data directory, with a first token when it has none yet.

    Raises:
        ConfigError: the token file cannot be read or made.
    """
    if no_auth:
        return Guard(None)
    store = TokenStore(data_dir)
    try:
        created = not store.exists() and store.create_first()
    except OSError as error:
        raise ConfigError(f"the first token cannot be made in {data_dir}: {error.strerror}") from None
    made = Guard(store)
    if created:
        log.info(
            "a first token with every role was made",
            file=str(store.first_path),
            use=f'curl -H "Authorization: $(cat {store.first_path})" …',
        )
    return made


def _pair(rate: Rate | None) -> tuple[int, int] | None:
    return None if rate is None else (rate.per_second, rate.burst)


def _grant(token: Token, digest: bytes, account: RateLimiter) -> Grant:
    projects = None if token.projects is None else Projects(list(token.projects))
    return Grant(token.name, digest, frozenset(map(Role, token.roles)), projects, account)


def _granted(token: Token) -> tuple[object, ...]:
    return token.name, token.roles, token.projects


def _fingerprint(store: TokenStore) -> tuple[int, ...]:
    try:
        found = os.stat(store.path)
    except OSError as error:
        return (error.errno or 0,)
    return (found.st_mtime_ns, found.st_ino, found.st_size)
