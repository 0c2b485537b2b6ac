"""A process that runs functions of stream processors. The engine starts it, sends it calls, and kills it.

    python -m forebay.processors.worker --memory BYTES [--installed NAME=MODULE[:ATTRIBUTE]]… MODULE…

The first frame that it writes is JSON: `{"protocol": 1, "functions": ["a", "b"]}`, or no functions and an `error`,
after which it ends with status 1. Then it answers calls, as `Calls` says, in their order, until its input ends.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence

import msgspec

from forebay.processors.calls import Calls
from forebay.processors.frames import Frames
from forebay.processors.function import Function
from forebay.processors.loading import LoadError, load

PROTOCOL = 1

LAST_SECONDS = 2.0
"""How long a function may still run when the input has ended. The engine kills what it does not wait for; only one that
was killed itself cannot."""

COLLECTED_FROM = 50_000
"""Objects after which the collector of cycles looks at new ones. A batch makes some thousand, and leaves none."""


def main(arguments: Sequence[str]) -> int:
    """Serves until the input ends. Returns the status to end with."""
    # Ctrl-C reaches every process of a terminal. The engine gets it, too, and closes the input when it has ended.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    frames = Frames.taken()
    given = _parser().parse_args(arguments)
    limit_memory(given.memory)
    watch(frames.input)
    try:
        functions = load(given.modules, dict(given.installed))
    except LoadError as error:
        frames.send(_hello([], str(error)))
        return 1
    gc.freeze()
    gc.set_threshold(COLLECTED_FROM)
    try:
        serve(frames, functions)
    except BrokenPipeError:
        # The engine has ended, or wants no answer.
        return 0
    except (SystemExit, KeyboardInterrupt):
        # A function raised it. The engine sees that the process has ended with a call unanswered.
        traceback.print_exc()
        return 1
    return 0


def serve(frames: Frames, functions: Mapping[str, Function]) -> None:
    """Answers calls until there are no more."""
    frames.send(_hello(sorted(functions), None))
    with contextlib.closing(Calls(functions)) as calls:
        while (body := frames.receive()) is not None:
            frames.send(calls.answer(body))


def limit_memory(most: int) -> None:
    """Lets an allocation fail that would take the process beyond `most` bytes. Other systems than Linux have no such
    limit that holds."""
    if sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))


def watch(descriptor: int) -> None:
    """Ends the process soon after its input has, whatever a function does: an engine that was killed cannot do it."""

    def wait() -> None:
        ended = select.poll()
        # No event but the end, which is always told.
        ended.register(descriptor, 0)
        ended.poll()
        time.sleep(LAST_SECONDS)
        end(0)

    threading.Thread(target=wait, name="forebay-input", daemon=True).start()


def end(status: int) -> None:
    """Ends the process at once, whatever threads and handlers functions have left behind."""
    for stream in (sys.stdout, sys.stderr):
        # None where the process was started without one.
        if stream is not None:
            stream.flush()
    os._exit(status)


def _hello(functions: Sequence[str], error: str | None) -> bytes:
    told: dict[str, object] = {"protocol": PROTOCOL, "functions": functions}
    return msgspec.json.encode(told if error is None else told | {"error": error})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="forebay.processors.worker", description="Runs functions of processors.")
    parser.add_argument("--memory", type=int, required=True, metavar="BYTES")
    parser.add_argument(
        "--installed", type=_entry_point, action="append", default=[], metavar="NAME=MODULE[:ATTRIBUTE]"
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    return parser


def _entry_point(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} has no =")
    return name, value


if __name__ == "__main__":
    end(main(sys.argv[1:]))
