"""An exception of the application, as loggers send it."""

from __future__ import annotations

import traceback

from forebay.client.value import Plain, is_bounded


def failure(error: BaseException) -> dict[str, str]:
    """Its type, message and trace. Nothing raises, and what the exception or those before it hold is not written when
    that is endless: then the trace has no messages."""
    kind = type(error)
    trace = traceback.format_exception(error) if can_be_written(error) else traceback.format_tb(error.__traceback__)
    return {"type": f"{kind.__module__}.{kind.__qualname__}", "message": Plain().text(error), "trace": "".join(trace)}


def can_be_written(error: BaseException | None) -> bool:
    """Tells whether the messages of an exception and of those that it came from are not endless."""
    try:
        return _are_bounded(error)
    except Exception:
        return False


def _are_bounded(error: BaseException | None) -> bool:
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if not is_bounded(one.args):
            return False
        left += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions
    return True
