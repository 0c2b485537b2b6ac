"""Options of an ingest request, from its headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from forebay._forebay import Projects, RateLimiter
from forebay.errors import InvalidRequest
from forebay.server.http.parameters import Parameter, choice, text
from forebay.server.http.request import shown
from forebay.server.http.rsgi import Headers

if TYPE_CHECKING:
    from forebay.server.http.auth import Principal

MAX_KEY_CHARACTERS = 128
"""The longest idempotency key. The engine counts bytes; only printable ASCII is allowed, so the two agree."""

ENCODING = "content-encoding"
KEY = "idempotency-key"
ON_INVALID = "forebay-on-invalid"

HEADERS: tuple[Parameter[Any], ...] = (
    # The engine takes an empty value for `identity`.
    choice("Content-Encoding", "identity", ("identity", "gzip", "deflate", "zstd", ""), "The body's content coding."),
    text(
        "Idempotency-Key",
        None,
        "A repeat with the same key and body is acknowledged again and stored once; another body is refused.",
        high=MAX_KEY_CHARACTERS,
        pattern="[ -~]+",
    ),
    choice(
        "Forebay-On-Invalid",
        "refuse",
        ("refuse", "quarantine"),
        "How a body with invalid events is handled: `refuse` refuses all of it, `quarantine` stores the valid events, "
        "stores the others on the stream `<stream>.rejected`, and names them in the answer.",
    ),
)
"""Their rows in OpenAPI. `ingest_options` checks the values itself, since `get()` hides duplicates and values that are
not ASCII."""


class IngestOptions(NamedTuple):
    """The arguments of `Engine.submit` behind the body, in its order.

    `encoding` is the content coding in lower case, as the engine knows it; `key` the scope and the key; `limiter` is
    charged for the events; `stream` is where they go, when the route does not say it.
    """

    encoding: str | None = None
    quarantine: bool = False
    key: tuple[bytes, bytes] | None = None
    projects: Projects | None = None
    limiter: RateLimiter | None = None
    stream: str | None = None


def ingest_options(headers: Headers, principal: Principal) -> IngestOptions:
    """The options of one request.

    Raises:
        InvalidRequest: a header is given twice, or its value is not allowed. The engine refuses unknown encodings.
    """
    encoding, key, on_invalid = _only(headers, ENCODING), _only(headers, KEY), _only(headers, ON_INVALID)
    return IngestOptions(
        None if encoding is None else encoding.strip().lower(),
        on_invalid is not None and _quarantine(on_invalid),
        None if key is None else (principal.digest, _key(key)),
        principal.projects,
        principal.limiter,
    )


def _only(headers: Headers, name: str) -> str | None:
    if name not in headers:
        return None
    # get() would not do: it returns None for a value that is not ASCII, and such a key must not count as missing.
    values = headers.get_all(name)
    if len(values) > 1:
        raise InvalidRequest(f"the header {name} is given twice")
    if not values:
        raise InvalidRequest(f"the header {name} is not ASCII")
    return values[0]


def _quarantine(value: str) -> bool:
    if value not in ("refuse", "quarantine"):
        raise InvalidRequest(f"the header {ON_INVALID} is {shown(value)}; it may be 'refuse' or 'quarantine'")
    return value == "quarantine"


def _key(value: str) -> bytes:
    if not 1 <= len(value) <= MAX_KEY_CHARACTERS or not (value.isascii() and value.isprintable()):
        raise InvalidRequest(
            f"the header {KEY} has {len(value)} characters; it may have 1 to {MAX_KEY_CHARACTERS}, all of them visible "
            "ASCII or blanks"
        )
    return value.encode()
