"""Which metrics and labels an expression of PromQL names. Not a parser: promtool is one, this only finds names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""
    (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<range>\[[^\]]*\])
  | (?P<number>\d[\w.]*)
  | (?P<name>[a-zA-Z_:][\w:]*)
  | (?P<operator>=~|!~|!=|==|>=|<=|[-+*/%^=<>(){},])
  | (?P<space>\s+)
  | (?P<other>.)
    """,
    re.VERBOSE,
)

_CLAUSES = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan", "start", "end"})

EXTERNAL = frozenset({"job", "instance"})
"""Labels that Prometheus adds."""


@dataclass
class Names:
    """The names in an expression.

    Attributes:
        matched: metrics, each with the matchers (label, operator, value) of each of its selectors.
        grouped: labels in clauses such as `by (…)`.
    """

    matched: list[tuple[str, list[tuple[str, str, str]]]] = field(default_factory=list)
    grouped: set[str] = field(default_factory=set)


def names(expression: str) -> Names:
    """Finds them.

    Raises:
        ValueError: a character belongs to no token, or a bracket is left open.
    """
    tokens = [(m.lastgroup or "", m[0]) for m in _TOKEN.finditer(expression) if m.lastgroup not in ("space", "range")]
    strange = [text for kind, text in tokens if kind == "other"]
    if strange or any(expression.count(a) != expression.count(b) for a, b in ("()", "{}", "[]")):
        raise ValueError(f"{expression!r}: {strange}")
    found = Names()
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        at += 1
        if kind != "name" or text in _WORDS:
            continue
        if text in _CLAUSES:
            if following == "(":
                end = tokens.index(("operator", ")"), at)
                found.grouped |= {label for kind, label in tokens[at:end] if kind == "name"}
                at = end + 1
        elif following == "{":
            end = tokens.index(("operator", "}"), at)
            inside = [token for token in tokens[at + 1 : end] if token[1] != ","]
            matchers = [
                (label, operator, value[1:-1])
                for (_, label), (_, operator), (_, value) in zip(*[iter(inside)] * 3, strict=True)
            ]
            found.matched.append((text, matchers))
            at = end + 1
        elif following != "(" and following not in _CLAUSES:
            found.matched.append((text, []))
    return found
