import pytest

from forebay.sender import Target
from forebay.sender.delivery import BACKOFF_LIMIT_SECONDS, RETRY_AFTER_LIMIT_SECONDS, backoff, retry_after


def test_targets() -> None:
    target = Target.parse("http://localhost:8080/", "t")
    assert (target.host, target.port, target.path, target.secure) == ("localhost", 8080, "/v1/drain", False)
    assert Target.parse("https://h/base", None).path == "/base/v1/drain"
    assert Target.parse("http://[::1]:9/v1/drain", None).path == "/v1/drain"
    for url in ("localhost:8080", "ftp://h", "http://", "http://h/?q=1"):
        with pytest.raises(ValueError, match="is not http://host:port"):
            Target.parse(url, None)


def test_waits_are_jittered_grow_and_are_bounded() -> None:
    first = [backoff(0) for _ in range(200)]
    assert 0 <= min(first) < max(first) <= 0.1
    late = [backoff(1000) for _ in range(200)]
    assert min(late) < BACKOFF_LIMIT_SECONDS / 2 < max(late) <= BACKOFF_LIMIT_SECONDS


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, 0), ("3", 3), (" 2 ", 2), ("-1", 0), ("soon", 0), ("999999999", RETRY_AFTER_LIMIT_SECONDS)],
)
def test_retry_after(value: str | None, seconds: float) -> None:
    assert retry_after(value) == seconds
