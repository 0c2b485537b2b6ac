"""README.md, and quickstart.md, processors.md, analytics.md, search.md and infrastructure.md of docs/, pasted as they
stand into an interactive bash and zsh on a terminal of its own.

A document's blocks marked `sh` go into a shell in one paste, in their order, while a server runs in the same directory.
The block `make serve` is what starts it: what `make` builds before is left out, since the tests run on what is built,
and the recipe of the Makefile is run as it stands. The port 8080, which may be taken here, is the only text that is
changed. `.venv` has the Python and the package of the tests.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from forebay.server.config import load
from forebay.server.infrastructure.dependency import dependencies
from forebay.server.infrastructure.reputation.settings import reputation_settings, senders
from forebay.server.process import clean_environment
from support.harness import COMMAND_SECONDS, wait_for
from support.terminal import SHELLS, Shell, executable, require_shell

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPE = re.compile(r"^serve:.*\n((?:\t.*\n)+)", re.MULTILINE)
PROGRAM = re.compile(r"^```python\n(.*?)^```\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVE = "make serve\n"
DONE = "everything was pasted"


def blocks(document: str) -> list[tuple[str, str]]:
    """The language and the text of each block."""
    return BLOCK.findall((ROOT / document).read_text())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(params=list(SHELLS))
def shell(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    require_shell(name)
    return name


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory like that of a checkout where `make serve` was run once."""
    executable(tmp_path / ".venv/bin/python", f'exec {sys.executable} "$@"')
    executable(tmp_path / ".venv/bin/forebay", f'exec {sys.executable} -m forebay "$@"')
    [recipe] = RECIPE.findall((ROOT / "Makefile").read_text())
    command = recipe.replace("$(BIN)", ".venv/bin").strip()
    assert "\n" not in command
    assert "$(" not in command, "the recipe uses a variable that this test does not know"
    executable(tmp_path / "bin/make", f'[ "$*" = serve ] || exit 2\nFOREBAY_PORT=$TEST_PORT exec {command}')
    return tmp_path


@contextlib.contextmanager
def served(place: Path, port: int) -> Iterator[None]:
    """Runs what `make serve` starts."""
    environment = clean_environment() | {"TEST_PORT": str(port)}
    log = place / "server.log"
    with (
        log.open("wb") as file,
        subprocess.Popen([place / "bin/make", "serve"], cwd=place, env=environment, stdout=file, stderr=file) as server,
    ):
        try:
            wait_for("the server", lambda: '"serving"' in log.read_text() or server.poll() is not None, COMMAND_SECONDS)
            assert server.poll() is None, log.read_text()
            yield
        finally:
            server.kill()


def asked(place: Path, port: int, path: str) -> Any:
    headers = {"authorization": f"Bearer {(place / 'data/token').read_text().strip()}"}
    return httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers, trust_env=False).raise_for_status().json()


def pasted(place: Path, port: int, shell: str, document: str, *, marked: bool = True) -> str:
    """Returns the text on a terminal after all of `document` was pasted at once; no command may have failed."""
    text = "".join(block for language, block in blocks(document) if language == "sh" and block != SERVE)
    text = text.replace(":8080", f":{port}")
    terminal = Shell(shell, place)
    try:
        # In two pieces, so that the paste itself does not show it.
        terminal.paste(text + f"echo {DONE[:10]}''{DONE[10:]}", marked=marked)
        terminal.wait_for(DONE.encode())
        assert terminal.failed() == "", terminal.text()
        return terminal.text()
    finally:
        terminal.close()


def totals(place: Path, port: int) -> dict[str, int]:
    rows = asked(place, port, "/api/v1/streams")["streams"]
    kept = (row for row in rows if row["totalMessages"] and not row["name"].startswith("analytics.views."))
    return {row["name"]: row["totalMessages"] for row in kept}


@pytest.mark.slow
def test_the_readme(place: Path, shell: str) -> None:
    assert next(block for language, block in blocks("README.md") if language == "sh") == SERVE
    port = free_port()
    with served(place, port):
        shown = pasted(place, port, shell, "README.md")
        for language, output in blocks("README.md"):
            if language == "":
                for line in filter(None, output.splitlines()):
                    assert line in shown
        assert "{'id': 1}" in shown
        assert totals(place, port) == {"logs": 2, "events": 1}
        # Again, as somebody does who comes back to the page, on a terminal that does not mark pastes.
        assert "{'id': 1}" in pasted(place, port, shell, "README.md", marked=False)
        assert totals(place, port) == {"logs": 4, "events": 2}


@pytest.mark.slow
def test_the_processors(place: Path, shell: str) -> None:
    port = free_port()
    with served(place, port):
        shown = pasted(place, port, shell, "docs/processors.md")
        assert totals(place, port) == {"transactions": 5, "fraud-alerts": 2}
        assert asked(place, port, "/api/v1/processors") == {"processors": []}
    [results] = [block for language, block in blocks("docs/processors.md") if language == ""]
    for line in results.splitlines():
        assert line in shown
    assert '"error"' not in shown
    assert "5 records read, 5 matched, 0 late; 3 results" in shown


def test_the_analytics_views(place: Path, shell: str) -> None:
    port = free_port()
    with served(place, port):
        shown = pasted(place, port, shell, "docs/analytics.md")
    assert '"total":3,"byType":{"page_view":2,"click":1},"uniqueUsers":2,"uniqueSessions":2}' in shown
    assert '"count":2,"avg":170' in shown
    assert '"totalEvents":3' in shown
    assert '{"status":"ok","redis":false,"cache":"embedded"}' in shown
    assert '"code"' not in shown


def test_the_infrastructure(place: Path, shell: str) -> None:
    port = free_port()
    with served(place, port):
        shown = pasted(place, port, shell, "docs/infrastructure.md")
        assert totals(place, port) == {"mails": 1}
    assert '{"success":true,"data":{"services":[{"name":"API Server","kind":"api","status":' in shown
    assert '{"success":true,"data":{"ips":[]}}' in shown
    assert '"success":false' not in shown


def test_the_configuration_of_the_infrastructure(tmp_path: Path) -> None:
    [table] = [block for language, block in blocks("docs/infrastructure.md") if language == "toml"]
    (tmp_path / "forebay.toml").write_text(table)
    settings = load(tmp_path / "forebay.toml")
    assert [dependency.kind for dependency, _ in dependencies(settings.dependency)] == ["http", "smtp", "postgresql"]
    assert len(senders(settings.sending_address)) == 2
    reputation = reputation_settings(settings.reputation, 2)
    assert [zone.name for zone in reputation.lists()] == ["spamhaus", "bl.spamcop.net"]
    [record] = [json.loads(block) for language, block in blocks("docs/infrastructure.md") if language == "json"]
    assert set(record) == {
        reputation.address_field,
        reputation.volume_field,
        reputation.bounces_field,
        reputation.complaints_field,
    }


def test_the_search(place: Path, shell: str) -> None:
    port = free_port()
    with served(place, port):
        shown = pasted(place, port, shell, "docs/search.md")
        assert totals(place, port) == {"logs": 3}
    assert '"request_id":"req_abc123","user_id":"17","project_id":"shop"' in shown
    # As it is sent, and three times as it is found as JSON.
    assert shown.count('"message":"Payment processing failed"') == 4
    assert '"pagination":{"total":2,"total_is_exact":true,"limit":1,"offset":0,"next_cursor":"' in shown
    assert '"groups":[{"value":"error","count":1},{"value":"info","count":1},{"value":"warn","count":1}]' in shown
    assert '{"start":"2025-12-04T12:15:32.000Z","count":1}]' in shown
    assert "error   api Payment processing failed" in shown
    assert "warning db Slow query on db-pool" in shown
    assert "2  api" in shown
    assert '"success":false' not in shown
    assert "2025-12-04T12:15:30.000000Z,error,api,shop,Payment processing failed,req_abc123,17,evt_" in shown
    assert "2025-12-04T12:15:30.000000Z error api Payment processing failed" in shown
    assert '"status":"completed","format":"txt","progress":{"records":2,' in shown
    assert '"status":"deleted"' in shown


PROGRAMS = PROGRAM.findall((ROOT / "docs/processors.md").read_text())


SEARCHING = PROGRAM.findall((ROOT / "docs/search.md").read_text())


def test_the_search_in_python(tmp_path: Path) -> None:
    [(program, output), _] = SEARCHING
    done = ran(program, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, output, "")


def test_the_search_of_the_client(place: Path) -> None:
    [_, (program, output)] = SEARCHING
    [sent] = re.findall(r"/v1/drain .* -d '(.*?)'\n", (ROOT / "docs/search.md").read_text(), re.DOTALL)
    port = free_port()
    with served(place, port):
        url, token = f"http://127.0.0.1:{port}", (place / "data/token").read_text().strip()
        headers = {"authorization": token, "content-type": "application/json"}
        httpx.post(f"{url}/v1/drain", content=sent, headers=headers, trust_env=False).raise_for_status()
        done = ran(program, place, FOREBAY_URL=url, FOREBAY_TOKEN=token)
    assert (done.returncode, done.stdout, done.stderr) == (0, output, "")


def ran(program: str, directory: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A program that has ended, in which a warning is an error."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=directory,
        env=clean_environment() | settings,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


@pytest.mark.parametrize(("program", "output"), PROGRAMS, ids=("pipeline", "function"))
def test_the_processors_in_python(tmp_path: Path, program: str, output: str) -> None:
    done = ran(program, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, output, "")


def test_the_functions_of_the_module(tmp_path: Path) -> None:
    document = (ROOT / "docs/processors.md").read_text()
    [module] = re.findall(r"cat > scoring.py <<'EOF'\n(.*?)^EOF$", document, re.DOTALL | re.MULTILINE)
    (tmp_path / "scoring.py").write_text(module)
    shown = "import scoring as m; f = m.score; print(f([f.fields(10, 'AT'), f.fields(250, 'AT')]))"
    done = ran(shown, tmp_path)
    done.check_returncode()
    assert done.stdout == "[None, {'country': 'AT', 'risk': 0.25}]\n"


def test_the_processors_of_the_configuration(tmp_path: Path) -> None:
    [table] = [block for language, block in blocks("docs/processors.md") if language == "toml"]
    (tmp_path / "forebay.toml").write_text(table)
    [written] = re.findall(r"<<'EOF'\n(\{.*?\})\nEOF", (ROOT / "docs/processors.md").read_text(), re.DOTALL)
    assert load(tmp_path / "forebay.toml").processors == (json.loads(written),)


@pytest.mark.slow
def test_a_command_that_fails_is_noticed(place: Path, shell: str) -> None:
    terminal = Shell(shell, place)
    try:
        terminal.paste("true\n[ 1 = 2 ]\nls nowhere || true\necho en''d")
        terminal.wait_for(b"end")
        wait_for("the note", lambda: terminal.failed().count("status 1\n") == 1)
        assert len(terminal.failed().splitlines()) == 1
    finally:
        terminal.close()


@pytest.mark.slow
def test_the_quickstart(place: Path, shell: str) -> None:
    port = free_port()
    with served(place, port):
        shown = pasted(place, port, shell, "docs/quickstart.md")
        assert totals(place, port) == {"orders": 3, "events": 1 + 6000, "analytics": 1}
        [group] = asked(place, port, "/api/v1/consumers")["consumers"]
        assert (group["consumerGroup"], group["lag"]) == ("billing", 0)
        assert json.loads((place / "commit.json").read_text())["memberId"] == "a"
    assert '"error"' not in shown
    assert "event: " not in shown
    assert '{"amount":1200}' in shown
    assert "shop: ingest; projects org-xyz;" in shown
