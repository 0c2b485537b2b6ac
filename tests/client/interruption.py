"""Exceptions as a signal's handler raises them, at a chosen place."""

from __future__ import annotations

import ctypes
import dis
import gc
import signal
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

LOOKS = ("CALL", "JUMP_BACKWARD", "RESUME", "BEFORE_WITH", "FOR_ITER", "SEND")
"""In or right after instructions of these kinds the interpreter looks whether a signal has come. Elsewhere it does not,
so that what is pending there arrives at the next of them."""


class Interruption(Exception):
    """As `KeyboardInterrupt`, or the time limit of a worker."""


class _Sending:
    """`+sending` sends this thread a signal. An operator, since after a call it would be looked for here."""

    __pos__ = staticmethod(partial(ctypes.PyDLL(None)["raise"], signal.SIGUSR1))


def interrupted(call: Callable[[], Any], at: int) -> bool:
    """Makes a call, on the main thread, in which an exception comes at that place, counted from 0. False when it has
    no such place."""

    def handler(*_: object) -> None:
        raise Interruption

    sending: Any = _Sending()
    places = at

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal places
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode" and dis.opname[frame.f_code.co_code[frame.f_lasti]].startswith(LOOKS):
            places -= 1
            if places == -1:
                sys.settrace(None)
                +sending  # noqa: B018
        return trace

    handled, traced = signal.signal(signal.SIGUSR1, handler), sys.gettrace()
    # Else it may arrive in a callback of the collector, which nobody hears of.
    gc.disable()
    try:
        sys.settrace(trace)
        try:
            call()
        finally:
            sys.settrace(traced)
        for _ in range(2):
            # It may be pending still: here it arrives.
            pass
    except Interruption:
        pass
    finally:
        gc.enable()
        signal.signal(signal.SIGUSR1, handled)
    return places < 0
