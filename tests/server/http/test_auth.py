import os
from pathlib import Path

import pytest
import structlog

from forebay import errors
from forebay.errors import ConfigError
from forebay.server.http.auth import ANONYMOUS, MAX_HEADER_CHARACTERS, Authenticator, authenticator
from forebay.server.http.router import Role
from forebay.server.http.tokens import TokenStore


class Sent:
    """Headers of a request."""

    def __init__(self, **fields: str) -> None:
        self._fields = fields

    def get(self, key: str, default: str | None = None) -> str | None:
        return self._fields.get(key, default)

    def get_all(self, key: str) -> list[str]:
        return [self._fields[key]] if key in self._fields else []

    def __contains__(self, key: str) -> bool:
        return key in self._fields


def bearer(secret: str) -> Sent:
    return Sent(authorization=f"Bearer {secret}")


def test_a_token_stands_plain_or_after_bearer(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    secret = store.create("a", ["read"])
    asked = Authenticator(store)
    for value in (secret, f"Bearer {secret}", f"bearer {secret}", f"BEARER  {secret}"):
        found = asked.find(Sent(authorization=value))
        assert found is not None
        assert (found.name, found.roles) == ("a", frozenset({Role.READ}))


@pytest.mark.parametrize(
    "change",
    [
        lambda secret: "",
        lambda secret: "Bearer ",
        lambda secret: "Bearer",
        lambda secret: f"Basic {secret}",
        lambda secret: secret[:-1],
        lambda secret: secret + "x",
        lambda secret: secret.upper(),
        lambda secret: secret * 10_000,
        lambda secret: "é" * 10,
        lambda secret: "\udcff",
    ],
)
def test_what_is_not_the_token_is_unknown(tmp_path: Path, change: object) -> None:
    store = TokenStore(tmp_path)
    secret = store.create("a", ["read"])
    value = change(secret)  # type: ignore[operator]
    with pytest.raises(errors.Unauthorized, match="unknown"):
        Authenticator(store).require(Sent(authorization=value), Role.READ)


def test_the_digest_itself_is_no_token(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    store.create("a", ["read"])
    assert Authenticator(store).find(bearer(store.read()[0].sha256)) is None


def test_no_role_implies_another(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    secrets = {role: store.create(role.value, [role.value]) for role in Role if role is not Role.NONE}
    asked = Authenticator(store)
    for held, secret in secrets.items():
        for wanted in Role:
            if wanted in (held, Role.NONE):
                assert asked.require(bearer(secret), wanted).name == held.value
            else:
                with pytest.raises(errors.Forbidden, match=f"'{held.value}' lacks the role '{wanted.value}'"):
                    asked.require(bearer(secret), wanted)


def test_no_token_is_said_to_be_missing(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    store.create_first()
    with pytest.raises(errors.Unauthorized, match="no token was sent"):
        Authenticator(store).require(Sent(), Role.NONE)


def test_what_is_longer_than_any_token_is_not_even_hashed(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    assert len("Bearer " + store.create("a", ["read"])) < MAX_HEADER_CHARACTERS
    assert Authenticator(store).find(Sent(authorization=" " * MAX_HEADER_CHARACTERS + "x")) is None


def test_without_authentication_everybody_may_do_everything() -> None:
    assert Authenticator(None).require(Sent(), Role.OPS) is ANONYMOUS
    Authenticator(None).refresh()


def test_a_change_is_taken_in_and_a_broken_file_is_not(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    first, second = store.create("a", ["read"]), store.create("b", ["read"])
    asked = Authenticator(store)
    store.revoke("a")
    assert asked.find(bearer(first)) is not None
    asked.refresh()
    assert asked.find(bearer(first)) is None
    good = store.path.read_bytes()
    for broken in (b"{", None):
        if broken is None:
            os.unlink(store.path)
        else:
            store.path.write_bytes(broken)
        asked.refresh()
        assert asked.find(bearer(second)) is not None
    store.path.write_bytes(good)
    third = store.create("c", ["read"])
    asked.refresh()
    assert asked.find(bearer(third)) is not None


def test_a_first_token_is_made_once(tmp_path: Path) -> None:
    made = authenticator(str(tmp_path), no_auth=False)
    secret = (tmp_path / "token").read_text().strip()
    found = made.find(bearer(secret))
    assert found is not None
    assert found.roles == {Role.INGEST, Role.READ, Role.OPS, Role.WORK}
    before = (tmp_path / "tokens.json").read_bytes()
    authenticator(str(tmp_path), no_auth=False)
    assert (tmp_path / "tokens.json").read_bytes() == before


def test_without_an_operator_the_log_says_the_way_back(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    store.create("reader", ["read"])
    with structlog.testing.capture_logs() as logged:
        asked = authenticator(str(tmp_path), no_auth=False)
    [told] = [line for line in logged if line["log_level"] == "warning"]
    assert told["event"] == "no token has the role ops for all projects"
    assert told["repair"] == f"forebay token create --role ops --name ops --data-dir {tmp_path}"
    store.create("ops", ["ops"])
    with structlog.testing.capture_logs() as logged:
        assert asked.refresh()
    assert [line["log_level"] for line in logged] == ["info"]
    # However it came about: somebody's editor, or a file that was put back.
    store.path.write_text(store.path.read_text().replace('"ops"', '"read"'))
    with structlog.testing.capture_logs() as logged:
        assert asked.refresh()
    assert [line["log_level"] for line in logged] == ["warning", "info"]


def test_the_first_token_takes_nobodys_place(tmp_path: Path) -> None:
    """A token that `forebay token create` makes while the server looks whether there is one is kept."""
    secret = TokenStore(tmp_path).create("quick", ["read"])
    assert TokenStore(tmp_path).create_first() is False
    assert Authenticator(TokenStore(tmp_path)).find(bearer(secret)) is not None
    assert not (tmp_path / "token").exists()


def test_a_broken_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "tokens.json").write_text("{")
    with pytest.raises(ConfigError, match=r"tokens.json is not a token file"):
        authenticator(str(tmp_path), no_auth=False)
    authenticator(str(tmp_path), no_auth=True)
    with pytest.raises(ConfigError, match="the first token cannot be made"):
        authenticator(str(tmp_path / "missing"), no_auth=False)
