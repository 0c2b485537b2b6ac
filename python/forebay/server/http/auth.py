"""Authentication: a request's token is looked up by its digest and gives the principal that it belongs to."""

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
"""A token has 47 characters; a longer header cannot be one and is not hashed."""

_BEARER = "bearer "


@dataclass(slots=True, frozen=True, eq=False)
class Principal:
    """A token's rights. As long as they stay the same, the principal stays the same object.

    Attributes:
        digest: the token's SHA-256, empty without authentication. It is also the scope of idempotency keys.
        projects: None when the token is not limited to projects.
        limiter: the token's events are charged to it.
        project_names: the names of `projects`.
    """

    name: str
    digest: bytes
    roles: frozenset[Role]
    projects: Projects | None = None
    limiter: RateLimiter | None = None
    project_names: tuple[str, ...] = ()

    def check_all_projects(self, consequence: str) -> None:
        """Raises `Forbidden`, which `consequence` ends, when the token is limited to projects."""
        if self.projects is not None:
            raise errors.Forbidden(f"the token {self.name!r} is limited to projects, {consequence}")

    def check(self, role: Role, also: tuple[Role, ...] = ()) -> None:
        """Raises `Forbidden` when the token lacks `role`, and each of `also`."""
        if role is not Role.NONE and self.roles.isdisjoint((role, *also)):
            wanted = " or ".join(repr(each.value) for each in (role, *also))
            raise errors.Forbidden(f"the token {self.name!r} lacks the role {wanted}")


ANONYMOUS = Principal("none", b"", frozenset(Role))
"""The principal of every request when authentication is off."""


class Authenticator:
    """Turns headers into principals, on the event loop. Scrapes read it on other threads, and one thread refreshes it:
    the table is replaced whole and never changed."""

    def __init__(self, store: TokenStore | None) -> None:
        """`store` None switches authentication off.

        Raises:
            ConfigError: the token file cannot be read.
        """
        self._store = store
        self._principals: dict[bytes, Principal] = {}
        self._tokens: dict[bytes, Token] = {}
        self._seen: tuple[int, ...] = ()
        if store is not None:
            try:
                self._load(store)
            except (OSError, StorageUnavailable) as error:
                raise ConfigError(f"the tokens cannot be read, so nobody could be let in: {error}") from None

    def find(self, headers: Headers) -> Principal | None:
        """The principal of the request's token; None when there is none or it is unknown.

        The look-up is by the digest, so its time tells nothing of a secret, and the comparison takes constant time.
        """
        if self._store is None:
            return ANONYMOUS
        given = headers.get("authorization")
        if given is None or len(given) > MAX_HEADER_CHARACTERS:
            return None
        secret = given[len(_BEARER) :].strip() if given[: len(_BEARER)].lower() == _BEARER else given
        digest = sha256(secret.encode("utf-8", "surrogateescape")).digest()
        principal = self._principals.get(digest)
        if principal is None or not hmac.compare_digest(principal.digest, digest):
            return None
        return principal

    def known(self, digest: bytes) -> Principal | None:
        """The present principal of the token with that digest; None when the token was revoked."""
        return ANONYMOUS if self._store is None else self._principals.get(digest)

    def holds(self, principal: Principal) -> bool:
        """True while the principal's rights are the same."""
        return self.known(principal.digest) is principal

    def require(self, headers: Headers, role: Role, also: tuple[Role, ...] = ()) -> Principal:
        """The principal of the request's token, which has `role` or one of `also`.

        Raises:
            Unauthorized: no token, or an unknown one.
            Forbidden: a known one without the role.
        """
        principal = self.find(headers)
        if principal is None:
            missing = headers.get("authorization") is None
            raise errors.Unauthorized(
                "no token was sent; send it as 'Authorization: Bearer <token>'" if missing else "the token is unknown"
            )
        principal.check(role, also)
        return principal

    def refresh(self) -> bool:
        """Reads the token file if it has changed, and returns whether it did. A missing or broken file changes nothing
        and is logged once for each state."""
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
        log.info("tokens were read anew", tokens=len(self._principals))
        return True

    def ingesting(self) -> list[tuple[bytes, Projects | None, RateLimiter | None]] | None:
        """Digest, projects and limiter of each token that may ingest; None when authentication is off."""
        if self._store is None:
            return None
        return [
            (principal.digest, principal.projects, principal.limiter)
            for principal in self._principals.values()
            if Role.INGEST in principal.roles
        ]

    def limiters(self) -> list[RateLimiter]:
        """The limiters of all tokens."""
        return [principal.limiter for principal in self._principals.values() if principal.limiter is not None]

    def _limiter(self, token: Token, digest: bytes) -> RateLimiter:
        """The token's limiter with its present limits. A known limiter is kept, so that reading the file again neither
        refills a quota nor forgets what was used."""
        known = self._principals.get(digest)
        limiter = None if known is None or known.name != token.name else known.limiter
        if limiter is None:
            limiter = RateLimiter(token.name)
        quota = token.quota or Quota()
        limiter.limit(_pair(quota.events), _pair(quota.bytes))
        return limiter

    def _load(self, store: TokenStore) -> None:
        # Taken before the content, so that a change in between is noticed the next time.
        seen = _fingerprint(store)
        principals: dict[bytes, Principal] = {}
        tokens = {bytes.fromhex(token.sha256): token for token in store.read()}
        for digest, token in tokens.items():
            limiter = self._limiter(token, digest)
            before = self._tokens.get(digest)
            same = before is not None and _rights(before) == _rights(token)
            principals[digest] = self._principals[digest] if same else _principal(token, digest, limiter)
        self._principals = principals
        self._tokens = tokens
        self._seen = seen
        if not any(map(operates, tokens.values())):
            log.warning("no token has the role ops for all projects", repair=way_back(store.directory))


def authenticator(data_dir: str, *, no_auth: bool) -> Authenticator:
    """The authenticator of a data directory. Makes a first token when there is none yet.

    Raises:
        ConfigError: the token file cannot be read or made.
    """
    if no_auth:
        return Authenticator(None)
    store = TokenStore(data_dir)
    try:
        created = not store.exists() and store.create_first()
    except OSError as error:
        raise ConfigError(f"the first token cannot be made in {data_dir}: {error.strerror}") from None
    made = Authenticator(store)
    if created:
        log.info(
            "a first token with every role was made",
            file=str(store.first_path),
            use=f'curl -H "Authorization: $(cat {store.first_path})" …',
        )
    return made


def _pair(rate: Rate | None) -> tuple[int, int] | None:
    return None if rate is None else (rate.per_second, rate.burst)


def _principal(token: Token, digest: bytes, limiter: RateLimiter) -> Principal:
    projects = None if token.projects is None else Projects(list(token.projects))
    return Principal(token.name, digest, frozenset(map(Role, token.roles)), projects, limiter, token.projects or ())


def _rights(token: Token) -> tuple[object, ...]:
    return token.name, token.roles, token.projects


def _fingerprint(store: TokenStore) -> tuple[int, ...]:
    try:
        found = os.stat(store.path)
    except OSError as error:
        return (error.errno or 0,)
    return (found.st_mtime_ns, found.st_ino, found.st_size)
