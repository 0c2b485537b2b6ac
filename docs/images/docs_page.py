"""Makes docs.png, the picture of README.md: the page /docs of a real server in a real Chromium.

    .venv/bin/pip install 'playwright>=1.49'
    .venv/bin/python docs/images/docs_page.py
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright

from forebay.testing import Server, serving

ROUTE = 'details[data-words^="get /api/v1/streams/{name} "]'
SIZE = {"width": 900, "height": 600}
SHOWN = {"x": 0, "y": 0, "width": 900, "height": 1340}
"""Of the page, which goes on."""


def fill(server: Server) -> None:
    with httpx.Client(base_url=server.url, headers=server.headers) as client:
        client.post("/api/v1/streams", json={"name": "orders", "partitions": 4}).raise_for_status()
        event = {"key": "user-7", "value": {"amount": 1200}}
        client.post("/api/v1/streams/orders/events", json=event).raise_for_status()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, serving(Path(directory)) as server, sync_playwright() as playwright:
        fill(server)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(f"{server.url}/docs")
        page.fill("#token", server.token)
        page.click("#access button")
        page.fill("#filter", "/api/v1/streams")
        route = page.locator(ROUTE)
        route.locator("summary").click()
        route.locator("form tr", has=page.locator('code:text-is("name")')).locator("input").fill("orders")
        route.locator("form button").click()
        page.wait_for_function("form => / in /.test(form.querySelector('pre').textContent)", arg=route.element_handle())
        page.screenshot(path=Path(__file__).with_name("docs.png"), full_page=True, clip=SHOWN)
        browser.close()


main()
