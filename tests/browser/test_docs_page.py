"""The page `/docs` in a browser: what an answer said is what it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from support.harness import RunningServer

pytestmark = pytest.mark.slow

VALUE = (
    '{"large":9007199254740993,"most":9223372036854775807,"zero":-0,"one":1.0,"huge":1e400,"tiny":1E-400,"long":'
    + "9" * 400
    + ',"twice":1,"twice":2,"10":"ten","2":"two","text":"{\\"a\\": [1,2]} \\u00e9 <b>&amp;</b>","empty":{},"none":[]}'
)
"""What JSON.parse loses: digits, signs, fractions, a repeated key, the order of keys that look like numbers."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = RunningServer(tmp_path_factory.mktemp("browser") / "data", auth=True).start()
    server.post("/api/v1/streams", {"name": "orders"}).raise_for_status()
    server.post("/api/v1/streams/orders/events", f'{{"value":{VALUE}}}'.encode()).raise_for_status()
    yield server
    server.stop()


@pytest.fixture
def docs(page: Any, running: RunningServer) -> Any:
    """The page with the document loaded."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{running.url}/docs")
    page.fill("#token", running.first_token())
    page.click("#access button")
    page.wait_for_selector("#routes details")
    yield page
    assert not errors


def entry(docs: Any, words: str) -> Any:
    """The opened entry of a route."""
    found = docs.locator(f'details[data-words^="{words}"]')
    found.locator("summary").click()
    return found


def sent(form: Any, **fields: str) -> str:
    """The text that is shown once the form's answer has come."""
    for name, value in fields.items():
        form.locator("form tr", has=form.page.locator(f'code:text-is("{name}")')).locator("input").fill(value)
    form.locator("form button").click()
    answer = form.locator("form pre")
    form.page.wait_for_function("answer => /\\d{3} in /.test(answer.textContent)", arg=answer.element_handle())
    shown: str = answer.text_content()
    return shown


def tokens(text: str) -> list[str]:
    """Strings, numbers, words and signs, each as it stands."""
    return re.findall(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|\w+|[{}\[\],:]', text)


def test_an_answer_is_shown_token_by_token_as_it_came(docs: Any, running: RunningServer) -> None:
    shown = sent(entry(docs, "get /api/v1/streams/{name}/events "), name="orders", consumerGroup="page")
    with running.client() as client:
        query = {"consumerGroup": "other"}
        came = client.get("/api/v1/streams/orders/events", params=query).raise_for_status().text
    assert VALUE in came, "the server gives the value as it was sent"
    answer = shown.split("\n\n", 1)[1]
    assert tokens(answer) == tokens(came.replace('"other"', '"page"'))
    assert '\n      "value": {\n        "large": 9007199254740993,' in answer, "it is laid out"


def test_lines_of_json_and_events_are_shown_as_they_came(docs: Any) -> None:
    records = sent(entry(docs, "get /api/v1/streams/{name}/records "), name="orders").split("\n\n", 1)[1]
    assert records.count("\n") == 1
    assert f'"value":{VALUE}' in records


def test_the_documents_own_bounds_are_exact(docs: Any) -> None:
    text = entry(docs, "get /api/v1/streams/{name}/records ").text_content()
    assert "9223372036854775807" in text
    assert "9223372036854775808" not in text
    assert "9223372036854776000" not in text
