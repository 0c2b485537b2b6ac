"""Tokens at rest: `tokens.json` in the data directory, which the command line writes and the server reads.

A token is 256 random bits, of which only the SHA-256 is kept. A slow hash (scrypt, Argon2) protects a password, because
a person's choice can be guessed; 2^256 equally likely secrets cannot, however fast the hash is. And a slow one would
let anybody who sends wrong tokens keep the server busy.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from forebay.errors import InvalidRequest, NotFound, StorageUnavailable
from forebay.server.http.body import MUST_BE, refusal

RoleName = Literal["ingest", "read", "ops", "work"]
ALL_ROLES: tuple[RoleName, ...] = ("ingest", "read", "ops", "work")

FILE_NAME = "tokens.json"
FIRST_TOKEN_FILE_NAME = "token"  # noqa: S105 # a file's name
FIRST_TOKEN_NAME = "first"  # noqa: S105 # a token's name
FILE_VERSION: Literal[1] = 1

SECRET_BYTES = 32
"""256 bits: beyond guessing, see above."""

SECRET_PREFIX = "fby_"  # noqa: S105 # what every secret begins with
"""Secret scanners and people recognise a token by it."""

MAX_TOKENS = 10_000
"""The file is read as a whole when it changes: 10,000 rows take a few milliseconds."""

MAX_PROJECTS = 1_000
"""The most project ids of one token; each event is looked up among them."""

MAX_QUOTA = 1 << 50
"""The engine's limit of a rate and of a burst."""

Name = Annotated[
    str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._-]{1,64}\Z", extra={MUST_BE: "1 to 64 of A-Z a-z 0-9 . _ -"})
]
QuotaNumber = Annotated[int, msgspec.Meta(ge=1, le=MAX_QUOTA)]
Project = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token bucket: the average per second, and the most at once."""

    per_second: QuotaNumber
    burst: QuotaNumber


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of what a token sends: events, and bytes of decompressed bodies. None is no limit."""

    events: Rate | None = None
    bytes: Rate | None = None


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row. `projects` None means all projects, `quota` None no limit; `created` is RFC 3339 in UTC."""

    name: Name
    sha256: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    roles: Annotated[tuple[RoleName, ...], msgspec.Meta(min_length=1, max_length=len(ALL_ROLES))]
    projects: Annotated[tuple[Project, ...], msgspec.Meta(min_length=1, max_length=MAX_PROJECTS)] | None = None
    created: datetime
    quota: Quota | None = None


class TokenFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. A later format gets another version number, so that this release refuses it instead of misreading
    it."""

    version: Literal[1] = FILE_VERSION
    tokens: Annotated[tuple[Token, ...], msgspec.Meta(max_length=MAX_TOKENS)] = ()


class TokenStore:
    """The file of one data directory."""

    def __init__(self, data_dir: str | os.PathLike[str]) -> None:
        self.directory = Path(data_dir)
        self.path = self.directory / FILE_NAME
        self.first_path = self.directory / FIRST_TOKEN_FILE_NAME

    def exists(self) -> bool:
        return self.path.exists()

    def read(self) -> tuple[Token, ...]:
        """Every token.

        Raises:
            OSError: the file cannot be read.
            StorageUnavailable: the file is not a token file of this version.
        """
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=TokenFile).tokens
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StorageUnavailable(f"{self.path} is not a token file of version {FILE_VERSION}: {error}") from None

    def create(
        self, name: str, roles: Sequence[RoleName], projects: Sequence[str] | None = None, quota: Quota | None = None
    ) -> str:
        """Adds a token, durably, and returns its secret, which is kept nowhere.

        Raises:
            InvalidRequest: the name is taken or a value is out of range.
            OSError, StorageUnavailable: as `read`.
        """
        secret = SECRET_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        row = _row(name, secret, roles, projects, quota)
        with self._locked():
            tokens = self.read() if self.exists() else ()
            if any(token.name == name for token in tokens):
                raise InvalidRequest(f"there is a token {name!r} already; revoke it first, or choose another name")
            if len(tokens) >= MAX_TOKENS:
                raise InvalidRequest(f"there are {MAX_TOKENS} tokens, and no more are allowed; revoke some")
            self._write((*tokens, row))
        return secret

    def create_first(self) -> bool:
        """Makes a token with every role and writes its secret to `first_path`, which only the directory's owner can
        read. Returns False, and changes nothing, when there is a token file already."""
        secret = SECRET_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        with self._locked():
            # Under the lock, since a token that was made meanwhile must not be replaced.
            if self.exists():
                return False
            # The secret is written first: a crash in between leaves no token that nobody knows.
            self._replace(self.first_path, secret.encode() + b"\n")
            self._write((_row(FIRST_TOKEN_NAME, secret, ALL_ROLES, None, None),))
        return True

    def revoke(self, name: str, *, force: bool = False) -> bool:
        """Removes a token, durably, and returns whether a token that operates the server is left. With the first one
        goes the file that holds its secret.

        `force` allows to remove the last of those. The check is made under the lock: when two are removed at the same
        time, one stays.

        Raises:
            NotFound: no token has the name.
            InvalidRequest: it is the last one of its kind with the role ops, and `force` is not given.
            OSError, StorageUnavailable: as `read`.
        """
        with self._locked():
            tokens = self.read()
            removed = [token for token in tokens if token.name == name]
            left = tuple(token for token in tokens if token.name != name)
            if not removed:
                raise NotFound(f"there is no token {name!r}; 'forebay token list' shows those there are")
            for kind, held in (("the role ops for all projects", operates), ("the role ops", _may_operate)):
                if not force and held(removed[0]) and not any(map(held, left)):
                    raise InvalidRequest(
                        f"{name!r} is the last one with {kind}; nobody could change the server any more: make another "
                        "first, with 'forebay token create --role ops', or revoke it with --force"
                    )
            self._write(left)
            self._remove_first(removed[0])
        return any(map(operates, left))

    def _remove_first(self, revoked: Token) -> None:
        """Removes the file with the first token's secret once that is revoked: who sends what a file named `token`
        holds would be refused and not see why. A crash before leaves a secret that opens nothing."""
        try:
            secret = self.first_path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            return  # it is a convenience, whose loss no revocation waits for
        if digest_of(secret).hex() == revoked.sha256:
            self.first_path.unlink(missing_ok=True)

    def _write(self, tokens: tuple[Token, ...]) -> None:
        text = msgspec.json.format(msgspec.json.encode(TokenFile(tokens=tokens)), indent=2)
        self._replace(self.path, text + b"\n")

    def _replace(self, path: Path, content: bytes) -> None:
        """Replaces a file atomically and durably, by a new one with mode 0600."""
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=self.directory)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                if os.geteuid() == 0:
                    # Root writes for a server of another user: the file gets the directory's owner, who can read it.
                    owner = self.directory.stat()
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
                os.fsync(descriptor)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Serializes changes over processes: of two that read the same file one change would be lost. The lock is on
        the directory, since the file itself is replaced."""
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)


def operates(token: Token) -> bool:
    """True when the token may operate the server: it has the role ops, and is not limited to projects, which routes
    that change something refuse."""
    return _may_operate(token) and token.projects is None


def _may_operate(token: Token) -> bool:
    return "ops" in token.roles


def way_back(data_dir: str | os.PathLike[str]) -> str:
    """The command that makes a token for the operator of a server without one, whether the server runs or not. It needs
    write access to the data directory and no token."""
    return f"forebay token create --role ops --name ops --data-dir {shlex.quote(os.fspath(data_dir))}"


def digest_of(secret: str) -> bytes:
    """The digest that is stored of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def _row(
    name: str, secret: str, roles: Sequence[RoleName], projects: Sequence[str] | None, quota: Quota | None
) -> Token:
    row = {
        "name": name,
        "sha256": digest_of(secret).hex(),
        "roles": [role for role in ALL_ROLES if role in roles],
        "projects": sorted(set(projects)) if projects else None,
        "created": datetime.now(UTC).replace(microsecond=0),
        "quota": msgspec.to_builtins(quota),
    }
    try:
        return msgspec.convert(row, Token)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"the token cannot be made: {refusal(str(error), Token)}") from None
