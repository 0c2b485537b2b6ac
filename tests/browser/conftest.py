"""A real browser: Chromium, by Playwright. Tests are skipped where there is none, unless it is required."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
)

REQUIRED = "BROWSER_TESTS"
"""Set to `required`, a browser that is missing is a failure: in continuous integration, which installs one."""

PATIENCE_MILLISECONDS = 60_000
"""One step is given up after so long. A browser beside other tests takes its time."""


def missing(what: str) -> Any:
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"{what}, and {REQUIRED} is 'required'")
    pytest.skip(f"{what}; .ci/run installs it")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Ended with its module: while it runs, Playwright has an event loop of its own on this thread."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        missing(f"there is no browser: none of {', '.join(PROGRAMS)}")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    with sync_playwright() as playwright:
        launch = playwright.chromium.launch
        running = launch(executable_path=program, args=list(ARGUMENTS), timeout=PATIENCE_MILLISECONDS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page()
    opened.set_default_timeout(PATIENCE_MILLISECONDS)
    yield opened
    opened.close()
