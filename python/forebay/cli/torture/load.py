"""Senders that post until the server goes away, and note every answer in the ledger."""

from __future__ import annotations

import http.client
import json
import threading
from urllib.parse import urlsplit

from forebay.cli.torture.events import Composer
from forebay.cli.torture.ledger import Ledger, Outcome, SentBatches

ANSWER_SECONDS = 30.0
"""A longer answer is a finding: commits take milliseconds, and a second on a busy disk."""

BACK_OFF_SECONDS = 0.02
"""The pause after 429. It is shorter than Retry-After, which counts whole seconds, so that the ring stays full."""

JOIN_SECONDS = ANSWER_SECONDS + 10.0


class Load:
    """The load on one life of the server: one thread for each sender, on a keep-alive connection of its own."""

    def __init__(self, url: str, ledger: Ledger, composers: list[Composer], durability: str) -> None:
        parts = urlsplit(url)
        self.address = (parts.hostname or "", parts.port or 0)
        self.durability = durability
        self.ending = threading.Event()
        """Set before the server is told to end: from then on, broken connections are to be expected."""
        self.findings: list[str] = []
        self.broken_answers = 0
        """Answers that broke off after `ending`: allowed in a kill, a finding in a graceful stop."""
        self.sent_bytes = 0
        """Body bytes. The number is approximate, since the threads add to it without a lock."""
        self.saturated = 0
        self._threads = [
            threading.Thread(target=self._run, args=(sent, composer), name="forebay-sender", daemon=True)
            for sent, composer in zip(ledger.senders, composers, strict=True)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Waits for the senders, which end when the server does and `ending` is set."""
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
            if thread.is_alive():
                self.findings.append(f"a request had neither an answer nor an end after {JOIN_SECONDS:g} seconds")

    def _run(self, sent: SentBatches, composer: Composer) -> None:
        while not self.ending.is_set():
            connection = http.client.HTTPConnection(*self.address, timeout=ANSWER_SECONDS)
            try:
                connection.connect()
                # Goes on after `ending`, since requests that meet the server's end are the purpose of this load.
                while self._post(connection, sent, composer):
                    pass
            except (OSError, http.client.HTTPException) as error:
                if not self.ending.is_set():
                    self.findings.append(f"a connection broke while the server was up: {error!r}")
                    return
                if isinstance(error, http.client.IncompleteRead):
                    self.broken_answers += 1
            finally:
                connection.close()

    def _post(self, connection: http.client.HTTPConnection, sent: SentBatches, composer: Composer) -> bool:
        """Sends one batch; returns whether the connection can be used again."""
        body, events = composer.batch(len(sent))
        batch = sent.begin(events)
        self.sent_bytes += len(body)
        connection.request("POST", "/v1/drain", body)
        answer = connection.getresponse()
        if answer.status == http.HTTPStatus.ACCEPTED:
            # Settled before the rest is read, since the status is the promise.
            sent.settle(batch, Outcome.ACKNOWLEDGED)
            level = answer.headers.get("forebay-durability")
            if level != self.durability:
                self.findings.append(f"an acknowledgement is of level {level!r}, not {self.durability!r}")
            answer.read()
        else:
            self._refused(answer.status, answer.read(), sent, batch)
        return not answer.will_close

    def _refused(self, status: int, text: bytes, sent: SentBatches, batch: int) -> None:
        code = _code(text)
        if status == http.HTTPStatus.TOO_MANY_REQUESTS:
            sent.settle(batch, Outcome.REFUSED)
            self.saturated += 1
            self.ending.wait(BACK_OFF_SECONDS)
            return
        if code == "closed":
            sent.settle(batch, Outcome.REFUSED)
            if self.ending.is_set():
                return
        self.findings.append(f"a batch was answered with {status} {code}: {text[:200].decode(errors='replace')}")
        # Without a pause, immediate refusals would turn this into a busy loop.
        self.ending.wait(BACK_OFF_SECONDS)


def _code(text: bytes) -> str:
    try:
        return str(json.loads(text)["code"])
    except (ValueError, KeyError, TypeError):
        return "without a code"
