"""Functions that run in the process that opened the log."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from forebay.errors import Closed, InvalidRequest
from forebay.processors.calls import Calls
from forebay.processors.function import Function

if TYPE_CHECKING:
    from forebay._forebay import Engine

WAIT_MS = 60_000
"""The longest single wait for a call, which the engine ends when it closes."""


def parted(given: Sequence[str | Function] | Function) -> tuple[list[str], dict[str, Function]]:
    """Names of modules, and functions by name.

    Raises:
        InvalidRequest: something is neither, or two functions have one name.
    """
    if isinstance(given, str | Function):
        shown = repr(given) if isinstance(given, str) else given.name
        raise InvalidRequest(f"functions is {shown}, and not a list; write [{shown}]")
    modules: list[str] = []
    functions: dict[str, Function] = {}
    for one in given:
        if isinstance(one, Function):
            if functions.setdefault(one.name, one) is not one:
                raise InvalidRequest(f"functions has two functions of the name {one.name!r}; rename one of them")
        else:
            modules.append(_module(one))
    return modules, functions


def _module(one: object) -> str:
    if not isinstance(one, str):
        raise InvalidRequest(
            f"functions has {one!r}, which is neither the name of a module nor made by @forebay.function('name')"
        )
    return one


def serve(engine: Engine, functions: Mapping[str, Function], owner: object) -> threading.Thread:
    """Answers the engine's calls in a thread, until the engine is closed or `owner` is gone.

    The thread keeps the engine alive and not its owner, with which the engine is closed.
    """
    # The thread is all that holds the reference, so that nothing is left of it when the engine has been closed.
    watched = weakref.ref(owner, lambda _: engine.close())
    thread = threading.Thread(target=_answer, args=(engine, functions, watched), name="forebay-functions", daemon=True)
    thread.start()
    return thread


def _answer(engine: Engine, functions: Mapping[str, Function], _watched: weakref.ref[object]) -> None:
    # There is no process that a function could end, so whatever it raises is a failure of its record.
    with contextlib.closing(Calls(functions, failing=(BaseException,))) as calls:
        try:
            while True:
                taken = engine.take_function_call(WAIT_MS)
                if taken is not None:
                    ticket, body = taken
                    engine.answer_function_call(ticket, calls.answer(body))
        except Closed:
            return
