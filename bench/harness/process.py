"""Processes under measurement: pinned to a core, awaited with a deadline, their CPU time read from /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
#: A server that does not answer by then has failed to start; the slowest one here needs about 10 s.
START_LIMIT_S = 90
#: After this a server that was told to stop is killed.
STOP_LIMIT_S = 20
POLL_S = 0.02


@dataclass(frozen=True)
class Cores:
    """Where the server and the load run. On one core they share it, and the figures say so."""

    server: frozenset[int]
    load: frozenset[int]

    @staticmethod
    def available() -> Cores:
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            return Cores(frozenset(allowed), frozenset(allowed))
        return Cores(frozenset(allowed[:1]), frozenset(allowed[1:2]))

    def __str__(self) -> str:
        if self.server == self.load:
            return "server and load share one core"
        return f"server on core {min(self.server)}, load on core {min(self.load)}"


class Process:
    """A child in a session of its own, pinned, with its output in a file."""

    def __init__(
        self,
        command: Sequence[str],
        cores: frozenset[int],
        log: Path,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        self.command = list(command)
        self.log = log
        with log.open("ab") as output:
            self.child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=cwd,
                env={**without_settings(), **(env or {})},
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Polls ``ready`` until it is true; raises with the end of the log when the child dies or the time is up."""
        deadline = time.monotonic() + START_LIMIT_S
        while not ready():
            if self.child.poll() is not None:
                raise RuntimeError(f"{self.command[0]} ended with {self.child.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.command[0]} was not ready after {START_LIMIT_S} s:\n{self.tail()}")
            time.sleep(POLL_S)

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to the whole session when that is not enough."""
        if self.child.poll() is None:
            self.child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(STOP_LIMIT_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait(STOP_LIMIT_S)


def without_settings() -> dict[str, str]:
    """The environment without settings of forebay, which would change what is compared."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")}


def cpu_seconds(roots: Sequence[int]) -> float:
    """User and system time of the processes and all their descendants, those that have ended and were waited for too.

    Resolution: one clock tick (10 ms). Not included: kernel threads, such as those that write back dirty pages.
    """
    times: dict[int, float] = {}
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            text = Path("/proc", entry, "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = text[text.rindex(")") + 2 :].split()
        times[int(entry)] = sum(int(ticks) for ticks in fields[11:15]) / TICKS_PER_SECOND
        children.setdefault(int(fields[1]), []).append(int(entry))
    total, pending = 0.0, list(roots)
    while pending:
        pid = pending.pop()
        total += times.get(pid, 0.0)
        pending.extend(children.get(pid, []))
    return total


def accepts(port: int) -> bool:
    """Returns whether something listens on the loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def free_port() -> int:
    """A loopback port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
