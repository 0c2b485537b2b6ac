"""The page `/docs` in a browser: what an answer said is what it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from support.harness import RunningServer, run, wait_for

pytestmark = pytest.mark.slow

VALUE = (
    '{"large":9007199254740993,"most":9223372036854775807,"zero":-0,"one":1.0,"huge":1e400,"tiny":1E-400,"long":'
    + "9" * 400
    + ',"twice":1,"twice":2,"10":"ten","2":"two","text":"{\\"a\\": [1,2]} \\u00e9 <b>&amp;</b>","empty":{},"none":[]}'
)
"""JSON.parse loses all of it: digits, signs, fractions, a repeated key, the order of keys that look like numbers."""


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
    load(page, running.first_token())
    page.wait_for_selector("#routes details")
    yield page
    assert not errors


def load(page: Any, token: str) -> None:
    page.fill("#token", token)
    page.click("#access button")


def made(running: RunningServer, *roles: str) -> str:
    """A new token."""
    options = [option for role in roles for option in ("--role", role)]
    ended = run("token", "create", "--name", "-".join(roles), *options, "--data-dir", running.data_dir)
    return ended.stdout.strip()


def entry(docs: Any, words: str) -> Any:
    """The opened entry of a route, once it is filled: the browser says that it is open after the click's own event."""
    found = docs.locator(f'details[data-words^="{words}"]')
    found.locator("summary").click()
    found.locator("form").wait_for()
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


def test_bounds_are_exact_in_browsers_that_do_not_tell_how_a_number_was_written(
    page: Any, running: RunningServer
) -> None:
    page.add_init_script(
        "const real = JSON.parse; delete JSON.rawJSON;"
        "JSON.parse = (text, reviver) => real(text, reviver && ((name, value) => reviver(name, value)));"
    )
    page.goto(f"{running.url}/docs")
    load(page, running.first_token())
    page.wait_for_selector("#routes details")
    assert "≤ 9223372036854775807" in entry(page, "get /api/v1/streams/{name}/records ").text_content()
    program = "written(parse('[9223372036854775807,-9223372036854775808,1.50,\"9223372036854775807\",7,1e30]'))"
    assert page.evaluate(program) == '[9223372036854775807,-9223372036854775808,1.5,"9223372036854775807",7,1e+30]'


@pytest.mark.parametrize("path", ["/", "/docs/"])
def test_what_people_type_leads_to_the_page(page: Any, running: RunningServer, path: str) -> None:
    page.goto(running.url + path)
    assert page.url == f"{running.url}/docs"
    load(page, running.first_token())
    page.wait_for_selector("#routes details")


def test_the_page_says_which_token_it_needs_and_what_is_wrong_with_one(page: Any, running: RunningServer) -> None:
    page.goto(f"{running.url}/docs")
    assert "a token with the role read" in page.text_content("#access")
    for token, words in (
        ("", "The server asks for a token. The first one is in"),
        ("fby_mistyped", "does not know this token"),
        (made(running, "ingest"), "lacks the role read"),
    ):

        def shown(token: str = token, words: str = words) -> bool:
            load(page, token)
            return words in page.text_content("#state")

        wait_for(words, shown)
        assert "{" not in page.text_content("#state")
    page.route("**/openapi.json", lambda route: route.fulfill(status=502, body="<b>bad gateway</b>"))
    load(page, running.first_token())
    # Asked from outside: the page lets no text be run as a script, as a condition is that does not hold at once.
    wait_for("the answer", lambda: "502: <b>bad gateway</b>" in page.text_content("#state"))
    page.unroute("**/openapi.json")
    page.route("**/openapi.json", lambda route: route.abort())
    load(page, running.first_token())
    wait_for("its absence", lambda: page.text_content("#state").startswith("No answer: "))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity"])
def test_a_body_goes_in_the_coding_that_was_chosen(docs: Any, coding: str) -> None:
    form = entry(docs, "post /v1/drain ")
    choices = form.locator("select").evaluate_all("all => all.map((one) => [...one.options].map((o) => o.value))")
    assert ["", "identity", "gzip", "deflate"] in choices, "zstd is nothing that a browser can make"
    form.locator("form tr", has=docs.locator('code:text-is("Content-Encoding")')).locator("select").select_option(
        coding
    )
    assert "202 in " in sent(form)


def test_a_deletion_is_asked_about(docs: Any, running: RunningServer) -> None:
    running.post("/api/v1/streams", {"name": "doomed"}).raise_for_status()
    asked: list[str] = []
    answers = iter((False, True))

    def answer(dialog: Any) -> None:
        asked.append(dialog.message)
        if next(answers):
            dialog.accept()
        else:
            dialog.dismiss()

    docs.on("dialog", answer)
    form = entry(docs, "delete /api/v1/streams/{name} ")
    form.locator("form input").first.fill("doomed")
    form.locator("form button").click()
    wait_for("the question", lambda: bool(docs.evaluate("1")) and len(asked) == 1)
    assert form.locator("form pre").is_hidden()
    assert "200 in " in sent(form, name="doomed")
    assert asked == ["DELETE /api/v1/streams/doomed\n\nWhat this deletes cannot be brought back."] * 2
    with running.client() as client:
        assert client.get("/api/v1/streams/doomed").status_code == 404


def test_groups_without_an_entry_are_hidden(docs: Any) -> None:
    groups = docs.locator("#routes h2")
    assert groups.count() > 3
    docs.fill("#filter", "post /v1/drain")
    assert [group for group in groups.all_text_contents() if docs.locator(f'h2:text-is("{group}")').is_visible()] == [
        "drain"
    ]
    assert docs.locator("#schemas h2").is_hidden()
    docs.fill("#filter", "nothing has this")
    assert docs.locator("#nothing").is_visible()
    docs.fill("#filter", "")
    assert all(docs.locator(f'h2:text-is("{group}")').is_visible() for group in groups.all_text_contents())
    assert docs.locator("#nothing").is_hidden()


def test_it_fits_on_a_telephone(docs: Any) -> None:
    """Nothing is wider than the page, with every route and schema opened."""
    docs.set_viewport_size({"width": 390, "height": 844})
    docs.evaluate("document.querySelectorAll('details').forEach((entry) => { entry.open = true; })")
    made = "[...document.querySelectorAll('#routes details')].every((entry) => entry.querySelector('form'))"
    wait_for("the forms", lambda: docs.evaluate(made))
    sent(
        docs.locator('details[data-words^="get /api/v1/streams/{name}/events "]'), name="orders", consumerGroup="small"
    )
    wide = docs.evaluate(
        "[...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > 390.5)"
        ".map((one) => one.outerHTML.slice(0, 200))"
    )
    assert wide == []
    assert docs.evaluate("document.documentElement.scrollWidth") == 390
