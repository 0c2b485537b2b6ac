"""Requests of commands to a running server."""

from __future__ import annotations

import http
import http.client
import json
from urllib.parse import urlsplit

import click

from forebay import errors
from forebay.cli.notices import token_hint
from forebay.client.transport import why_none

TIMEOUT_SECONDS = 30.0

RANGE_NOT_SATISFIABLE = http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE

TOKEN_REFUSED = frozenset({http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN})


_NUMBERS = {kind.name: number for number, kind in errors.classes().items()}


class Api:
    """A connection to a running server, and the token for it."""

    def __init__(self, url: str, token: str | None, timeout: float = TIMEOUT_SECONDS) -> None:
        """
        Raises:
            click.UsageError: the URL is none of a server.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise click.UsageError(f"--url is {url!r}, which is not http://host:port")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._url = url
        self._path = parts.path.rstrip("/")
        self._connection = kind(parts.hostname, parts.port, timeout=timeout)
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> tuple[bytes, http.client.HTTPMessage]:
        """The body and the headers of what is there.

        Raises:
            ForebayError, click.ClickException: the server refuses it, or cannot be reached.
        """
        status, body, headers = self.request("GET", path)
        if status != http.HTTPStatus.OK:
            raise _refusal(status, body, "read")
        return body, headers

    def change(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The answer to a request that needs the role ops.

        Raises:
            ForebayError, click.ClickException: the server refuses it, or cannot be reached.
        """
        status, answer, _ = self.request(method, path, body)
        if not http.HTTPStatus.OK <= status < http.HTTPStatus.MULTIPLE_CHOICES:
            raise _refusal(status, answer, "ops")
        return answer

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes, http.client.HTTPMessage]:
        """Status, body and headers of any answer.

        Raises:
            click.ClickException: there is none.
        """
        try:
            try:
                return self._exchange(method, path, body)
            except (ConnectionResetError, BrokenPipeError):
                if method != "GET":
                    # It may have been done.
                    raise
                # A server closes a connection that is idle for seconds, as when this writes to a pager.
                self._connection.close()
                return self._exchange(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            raise click.ClickException(f"cannot reach {self._url}: {why_none(error)}") from None

    def open(self, path: str, **headers: str) -> http.client.HTTPResponse:
        """The answer to a GET, whose body is still to be read. Header names with `_` for `-`.

        Raises:
            ForebayError, click.ClickException: the server refuses it.
            OSError, http.client.HTTPException: it cannot be reached.
        """
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request("GET", self._path + path, headers=self._headers | named)
        answer = self._connection.getresponse()
        if answer.status >= http.HTTPStatus.BAD_REQUEST and answer.status != RANGE_NOT_SATISFIABLE:
            raise _refusal(answer.status, answer.read(), "ops")
        return answer

    def close(self) -> None:
        self._connection.close()

    def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, bytes, http.client.HTTPMessage]:
        self._connection.request(method, self._path + path, body=body or None, headers=self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read(), answer.headers


def _refusal(status: int, body: bytes, role: str) -> Exception:
    try:
        error = json.loads(body)["error"]
        if isinstance(error, dict):
            # The platform API has names where others have numbers.
            number = _NUMBERS[error["code"]] if isinstance(error["code"], str) else error["code"]
            detail = error["detail"] if "detail" in error else error["message"]
            if status in TOKEN_REFUSED:
                # The server's hint at headers is of no use to a person with a command.
                detail = f"{detail.partition('; send it as')[0]}; {token_hint(role)}"
            return errors.from_kind(number, detail)
    except (ValueError, KeyError, TypeError):
        pass
    return click.ClickException(f"the server answered {status}: {body[:200].decode(errors='replace')}")
