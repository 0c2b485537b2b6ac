"""A terminal for tests: programs that look for one, and interactive shells into which text is pasted."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from forebay.server.process import clean_environment
from support.harness import COMMAND_SECONDS

PASTE_BEGIN, PASTE_END = b"\x1b[200~", b"\x1b[201~"
BRACKETED_PASTE = b"\x1b[?2004h"
"""How a shell says that it wants pastes to be marked, as bash and zsh do by default (xterm's control sequences)."""

SHELLS = {
    "bash": (
        ["bash", "--noprofile", "--rcfile", "rc", "-i"],
        "trap 'echo \"$BASH_COMMAND: status $?\" >> failed' ERR\n",
    ),
    "zsh": (["zsh", "-d", "-i"], 'TRAPZERR() { echo "a command: status $?" >> failed }\n'),
}
"""The shells that documents are pasted into: how each is started, and what makes it note every command that fails."""

FISH = (["fish", "--private", "--interactive"], "")
"""Starts fish, which reads another language than the documents'."""


def require_shell(name: str) -> None:
    """Skips the test without that shell, or fails it where SHELL_TESTS says that shells are required."""
    if shutil.which(name) is None:
        if os.environ.get("SHELL_TESTS") == "required":
            pytest.fail(f"there is no {name}, and SHELL_TESTS is 'required'")
        pytest.skip(f"there is no {name}; .ci/run installs it")


def executable(path: Path, script: str) -> None:
    """Makes a program of a line of sh."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


class Terminal:
    """A program on a terminal of its own: its standard input, output and error.

    Attributes:
        shown: what it has written so far.
        process: the program.
    """

    def __init__(self, command: Sequence[object], directory: Path, environment: Mapping[str, str]) -> None:
        self.shown = b""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self.process = subprocess.Popen(
            # The terminal becomes the one that ^C and job control are about.
            ["setsid", "--ctty", *(str(word) for word in command)],
            cwd=directory,
            env={**clean_environment(), "TERM": "xterm", **environment},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    def send(self, text: bytes) -> None:
        while text:
            self._read(0)
            _, writable, _ = select.select([], [self._ours], [], 0.1)
            if writable:
                text = text[os.write(self._ours, text[:512]) :]

    def wait_for(self, expected: bytes, seconds: float = COMMAND_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while expected not in self.shown:
            assert time.monotonic() < deadline, f"{expected!r} is not shown:\n{self.text()}"
            assert self._read(0.1), f"the program has ended:\n{self.text()}"

    def text(self) -> str:
        """Returns the text that is shown, without colours and cursor movements."""
        plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r", b"", self.shown)
        return plain.decode(errors="replace")

    def ended(self, seconds: float = COMMAND_SECONDS) -> int:
        """The exit status, once the program has ended; all it wrote is in `shown`."""
        deadline = time.monotonic() + seconds
        while self._read(0.1):
            assert time.monotonic() < deadline, f"the program does not end:\n{self.text()}"
        return self.process.wait(seconds)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGHUP)
        self.process.kill()
        self.process.wait(COMMAND_SECONDS)
        os.close(self._ours)

    def _read(self, seconds: float) -> bool:
        """Reads; returns whether the program still has the terminal."""
        readable, _, _ = select.select([self._ours], [], [], seconds)
        if readable:
            try:
                self.shown += os.read(self._ours, 1 << 16)
            except OSError as error:
                # Reading a terminal gives EIO once nobody has its other end.
                if error.errno != errno.EIO:
                    raise
                return False
        return True


class Shell(Terminal):
    """An interactive bash, zsh or fish, in `directory`, whose `bin` comes first in the PATH. Its settings and its
    history are there as well."""

    def __init__(self, name: str, directory: Path, settings: str = "") -> None:
        command, notes = {**SHELLS, "fish": FISH}[name]
        (directory / "fish").mkdir(exist_ok=True)
        for file in ("rc", ".zshrc", "fish/config.fish"):
            (directory / file).write_text(notes + settings)
        path = os.pathsep.join([str(directory / "bin"), os.environ["PATH"]])
        files = {"ZDOTDIR": str(directory), "HISTFILE": str(directory / "history")}
        files |= {"XDG_CONFIG_HOME": str(directory), "XDG_DATA_HOME": str(directory)}
        super().__init__(command, directory, {"PATH": path, **files})
        self._directory = directory
        self.wait_for(BRACKETED_PASTE)

    def paste(self, text: str, *, marked: bool = True) -> None:
        """Pastes `text` and presses Enter; without marks, as old terminals do, it comes as if it were typed."""
        given = text.encode()
        self.send(PASTE_BEGIN + given + PASTE_END + b"\r" if marked else given.replace(b"\n", b"\r") + b"\r")

    def failed(self) -> str:
        """The commands that failed."""
        noted = self._directory / "failed"
        return noted.read_text() if noted.exists() else ""
