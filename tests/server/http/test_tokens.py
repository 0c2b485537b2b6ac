import json
import stat
import threading
from pathlib import Path

import pytest

from forebay.errors import InvalidRequest, NotFound, StorageUnavailable
from forebay.server.http.tokens import ALL_ROLES, SECRET_PREFIX, Quota, Rate, TokenStore, digest_of


def test_a_secret_is_kept_nowhere_but_its_digest_is(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    secret = store.create("sender", ["ingest"], ["b", "a", "a"])
    assert secret.startswith(SECRET_PREFIX)
    assert len(secret) == len(SECRET_PREFIX) + 43
    [row] = store.read()
    assert (row.name, row.roles, row.projects) == ("sender", ("ingest",), ("a", "b"))
    assert bytes.fromhex(row.sha256) == digest_of(secret)
    for file in tmp_path.iterdir():
        assert secret not in file.read_text()


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    store.create_first()
    assert {file.name for file in tmp_path.iterdir()} == {"token", "tokens.json"}
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [row] = store.read()
    assert row.roles == ALL_ROLES
    assert digest_of(store.first_path.read_text().strip()).hex() == row.sha256


def test_secrets_differ(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    assert len({store.create(f"t{number}", ["read"]) for number in range(50)}) == 50


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "a/b", "é", "a\n"])
def test_names_are_narrow(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match="token cannot be made: name: must be 1 to 64 of A-Z a-z 0-9"):
        TokenStore(tmp_path).create(name, ["read"])
    assert list(tmp_path.iterdir()) == []


def test_a_token_without_a_role_or_with_an_empty_project_is_refused(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    with pytest.raises(InvalidRequest):
        store.create("x", [])
    with pytest.raises(InvalidRequest):
        store.create("x", ["read"], [""])


def test_a_quota_is_kept(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    quota = Quota(events=Rate(per_second=5, burst=10))
    store.create("a", ["ingest"], None, quota)
    store.create("b", ["ingest"])
    assert [row.quota for row in store.read()] == [quota, None]


def test_a_token_file_without_quotas_is_read(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    store.path.write_text(json.dumps({"version": 1, "tokens": [ROW]}))
    assert [row.quota for row in store.read()] == [None]


def test_a_name_is_taken_once_and_revoked_once(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    store.create("a", ["read"])
    with pytest.raises(InvalidRequest, match="already"):
        store.create("a", ["ops"])
    store.create("b", ["read"])
    store.revoke("a")
    assert [row.name for row in store.read()] == ["b"]
    with pytest.raises(NotFound, match="no token 'a'; 'forebay token list' shows"):
        store.revoke("a")


def test_the_last_token_of_operators_is_revoked_by_force_alone(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    store.create_first()
    store.create("reader", ["read"])
    # It may not create or delete a stream: see Principal.check_all_projects.
    store.create("limited", ["ops"], ["mine"])
    with pytest.raises(InvalidRequest, match="'first' is the last one with the role ops for all projects"):
        store.revoke("first")
    assert [row.name for row in store.read()] == ["first", "reader", "limited"]
    store.create("next", ["ops"])
    assert store.revoke("first") is True
    with pytest.raises(InvalidRequest, match="'next' is the last"):
        store.revoke("next")
    assert store.revoke("next", force=True) is False
    with pytest.raises(InvalidRequest, match="'limited' is the last one with the role ops;"):
        store.revoke("limited")
    assert store.revoke("reader") is False, "who has no operator already loses none"


def test_a_revoked_secret_is_left_nowhere_and_does_not_come_back(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    store.create_first()
    old = store.first_path.read_text()
    store.create("next", ["ops"])
    store.revoke("first")
    assert not store.first_path.exists()
    store.path.unlink()
    assert store.create_first()
    assert store.first_path.read_text() != old


def test_the_file_of_the_first_token_goes_with_no_other_one(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    store.create_first()
    store.create("next", ["ops"])
    kept = store.first_path.read_text()
    store.revoke("next")
    assert store.first_path.read_text() == kept
    store.create("next", ["ops"])
    store.revoke("first")
    store.first_path.write_bytes(b"\xff the operator's own")
    # Another one of that name is not the one whose secret was in the file.
    store.create("first", ["read"])
    store.revoke("first")
    assert store.first_path.read_bytes() == b"\xff the operator's own"


def test_of_revocations_at_the_same_time_one_operator_is_left(tmp_path: Path) -> None:
    names = [f"ops-{number}" for number in range(8)]
    for name in names:
        TokenStore(tmp_path).create(name, ["ops"])
    refused: list[str] = []
    together = threading.Barrier(len(names))

    def revoke(name: str) -> None:
        together.wait()
        try:
            TokenStore(tmp_path).revoke(name)
        except InvalidRequest:
            refused.append(name)

    threads = [threading.Thread(target=revoke, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.name for row in TokenStore(tmp_path).read()] == refused
    assert len(refused) == 1


def test_changes_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    def work(worker: int) -> None:
        for number in range(10):
            TokenStore(tmp_path).create(f"{worker}-{number}", ["read"])

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(TokenStore(tmp_path).read()) == 40


ROW = {"name": "a", "sha256": "0" * 64, "roles": ["read"], "created": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        json.dumps({"version": 2, "tokens": []}).encode(),
        json.dumps({"version": 1, "tokens": [ROW | {"roles": ["all"]}]}).encode(),
        json.dumps({"version": 1, "tokens": [ROW | {"roles": []}]}).encode(),
        json.dumps({"version": 1, "tokens": [ROW | {"sha256": "0" * 63}]}).encode(),
        json.dumps({"version": 1, "tokens": [ROW | {"projects": []}]}).encode(),
        json.dumps({"version": 1, "tokens": [ROW | {"more": 1}]}).encode(),
        json.dumps({"version": 1, "tokens": [ROW | {"quota": {"events": {"per_second": 0, "burst": 1}}}]}).encode(),
        json.dumps({"version": 1, "tokens": [ROW | {"quota": {"events": {"per_second": 1}}}]}).encode(),
    ],
)
def test_what_is_not_a_token_file_is_refused_and_never_overwritten(tmp_path: Path, content: bytes) -> None:
    store = TokenStore(tmp_path)
    store.path.write_bytes(content)
    with pytest.raises(StorageUnavailable, match="not a token file of version 1"):
        store.read()
    with pytest.raises(StorageUnavailable):
        store.create("x", ["read"])
    assert store.path.read_bytes() == content
