import pytest

from forebay.sender import drain_of


def test_targets() -> None:
    target = drain_of("http://localhost:8080/", "t")
    assert (target.host, target.port, target.path, target.secure) == ("localhost", 8080, "", False)
    assert drain_of("https://h/base", None).path == "/base"
    assert drain_of("https://h/base", None).port == 443
    assert drain_of("http://[::1]:9/v1/drain", None).path == ""
    for url in ("localhost:8080", "ftp://h", "http://", "http://h/?q=1"):
        with pytest.raises(ValueError, match="is not http://host:port"):
            drain_of(url, None)
