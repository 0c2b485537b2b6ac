"""`forebay token`, and `--token` of the reading commands."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from forebay.server.http.tokens import Quota, Rate, TokenStore
from support.harness import RunningServer, batch, run, wait_for

pytestmark = pytest.mark.slow

Start = Callable[..., RunningServer]


def test_a_token_is_made_listed_and_revoked(tmp_path: Path) -> None:
    made = run("token", "create", "--name", "a", "--role", "read", "--role", "ingest", "--data-dir", tmp_path)
    assert (made.returncode, made.stderr, made.stdout[:4]) == (0, "", "fby_")
    scoped = run("token", "create", "--name", "b", "--role", "ops", "--project", "p", FOREBAY_DATA_DIR=str(tmp_path))
    assert scoped.returncode == 0
    listed = run("token", "list", "--data-dir", tmp_path).stdout.splitlines()
    assert listed[0].startswith("a: ingest, read; all projects; created 20")
    assert listed[1].startswith("b: ops; projects p; created 20")
    assert made.stdout.strip() not in "".join(listed)
    assert run("token", "revoke", "a", "--data-dir", tmp_path).returncode == 0
    assert [row.name for row in TokenStore(tmp_path).read()] == ["b"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("create", "--name", "a"), 2, "--role"),
        (("create", "--name", "a", "--role", "all"), 2, "'all' is not one of"),
        (("create", "--name", "a b", "--role", "ops"), 1, "invalid_request: the token cannot be made"),
        (("create", "--name", "there", "--role", "ops"), 1, "there is a token 'there' already"),
        (("revoke", "nobody"), 1, "not_found: there is no token 'nobody'"),
    ],
)
def test_mistakes_are_one_line_and_a_status(
    tmp_path: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    TokenStore(tmp_path).create("there", ["ops"])
    ended = run("token", *arguments, "--data-dir", tmp_path)
    assert (ended.returncode, message in ended.stderr) == (status, True), ended.stderr
    assert "Traceback" not in ended.stderr


def test_who_revokes_the_last_operator_has_to_mean_it_and_is_told_the_way_back(server: Start) -> None:
    running = server(auth=True)
    place = ("--data-dir", str(running.data_dir))
    refused = run("token", "revoke", "first", *place)
    assert refused.returncode == 1
    assert "forebay token create --role ops" in refused.stderr
    assert "--force" in refused.stderr
    forced = run("token", "revoke", "first", "--force", *place)
    assert (forced.returncode, forced.stderr) == (0, "")
    [told] = [line for line in forced.stdout.splitlines() if "forebay token create" in line]
    with running.client() as client:
        wait_for("its end", lambda: client.get("/api/load-test").status_code == 401)
        # The command as it was told, word for word.
        back = run(*shlex.split(told.partition("forebay ")[2]))
        assert back.returncode == 0, back.stderr
        header = {"authorization": back.stdout.strip()}
        wait_for("the way back", lambda: client.get("/api/load-test", headers=header).status_code == 200)
    events = [line["event"] for line in running.log_lines()]
    assert any("no token has the role ops" in text for text in events), events


def test_places_that_are_not_there(tmp_path: Path) -> None:
    for command in (("list",), ("revoke", "a")):
        empty = run("token", *command, "--data-dir", tmp_path)
        assert (empty.returncode, "no token was made here yet" in empty.stderr) == (1, True)
    missing = run("token", "list", "--data-dir", tmp_path / "missing")
    assert (missing.returncode, "there is no data directory" in missing.stderr) == (2, True)


def test_a_running_server_takes_changes_in(server: Start) -> None:
    running = server(auth=True)
    arguments = ("token", "create", "--name", "reader", "--role", "read", "--data-dir", running.data_dir)
    secret = run(*arguments).stdout.strip()
    assert running.drain(batch()).status_code == 202

    def reads(token: str) -> int:
        return run("read", "logs", "--url", running.url, FOREBAY_TOKEN=token).returncode

    wait_for("the token", lambda: reads(secret) == 0, 10)
    assert run("inspect", "--url", running.url, "--token", secret).returncode == 0
    run("token", "revoke", "reader", "--data-dir", running.data_dir)
    wait_for("its end", lambda: reads(secret) == 1, 10)
    refused = run("read", "logs", "--url", running.url)
    assert (refused.returncode, "unauthorized: no token was sent" in refused.stderr) == (1, True)


def test_limits_are_kept_and_shown(tmp_path: Path) -> None:
    limits = ("--events-per-second", "100", "--bytes-per-second", "5000", "--bytes-burst", "20000")
    made = run("token", "create", "--name", "shop", "--role", "ingest", *limits, "--data-dir", tmp_path)
    assert made.returncode == 0, made.stderr
    [row] = TokenStore(tmp_path).read()
    assert row.quota == Quota(events=Rate(per_second=100, burst=1000), bytes=Rate(per_second=5000, burst=20000))
    listed = run("token", "list", "--data-dir", tmp_path).stdout
    assert "100 events/s, 1000 at once; 5000 bytes/s, 20000 at once; created" in listed


def test_a_burst_needs_its_rate_and_limits_are_in_range(tmp_path: Path) -> None:
    create = ("token", "create", "--name", "shop", "--role", "ingest", "--data-dir", tmp_path)
    for limits in (("--events-burst", "5"), ("--events-per-second", "0"), ("--bytes-per-second", str((1 << 50) + 1))):
        refused = run(*create, *limits)
        assert refused.returncode == 2, limits
        assert limits[0] in refused.stderr or "--events-per-second" in refused.stderr
    assert list(tmp_path.iterdir()) == []
