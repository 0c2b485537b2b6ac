"""How `/docs` lays JSON out, by Node: every token stands as it came, and what is no JSON stays whole."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "python/forebay/server/console/docs.js"
NODE_SECONDS = 60.0

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")


def laid_out(*texts: str) -> list[str]:
    """Returns each text as `pretty` lays it out."""
    source = SCRIPT.read_text()
    [function] = re.findall(r"^function pretty\(.*?^}\n", source, re.DOTALL | re.MULTILINE)
    [depth] = re.findall(r"^const SHOWN_DEPTH = .*$", source, re.MULTILINE)
    program = (
        f"{depth}\n{function}\n"
        'process.stdout.write(JSON.stringify(JSON.parse(require("fs").readFileSync(0, "utf8")).map((t) => pretty(t))));'
    )
    ended = subprocess.run(
        ["node", "-e", program],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        timeout=NODE_SECONDS,
        check=True,
    )
    answers: list[str] = json.loads(ended.stdout)
    return answers


def test_tokens_stand_as_they_came() -> None:
    text = (
        '{"a":9007199254740993,"b":-0,"c":1.0,"d":1e400,"e":1E-7,"a":2,"10":1,"2":[{},[],[1,-0.0]],'
        '"s":"{\\"a\\": [1,2]}, \\u00e9\\\\","é":null,"t":true,"f":false}'
    )
    [shown] = laid_out(text)
    assert shown == (
        '{\n  "a": 9007199254740993,\n  "b": -0,\n  "c": 1.0,\n  "d": 1e400,\n  "e": 1E-7,\n  "a": 2,\n  "10": 1,\n'
        '  "2": [\n    {},\n    [],\n    [\n      1,\n      -0.0\n    ]\n  ],\n'
        '  "s": "{\\"a\\": [1,2]}, \\u00e9\\\\",\n  "é": null,\n  "t": true,\n  "f": false\n}'
    )
    assert laid_out(shown) == [shown], "what is laid out already stays so"
    assert laid_out(' { "a" :\t[ 1 ,\r\n2 ] } ') == ['{\n  "a": [\n    1,\n    2\n  ]\n}']


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain text",
        '{"a":1}\n{"a":2}\n',
        '{"a":1} x',
        '{"a":',
        "[1}",
        "[1 2]",
        "01",
        '"a\nb"',
        '"a',
        "NaN",
        "data: {}\n\n",
        "[" * 101 + "]" * 101,
        "[" * 100_000,
        '"' + "\\" * 99_999,
    ],
)
def test_what_is_no_json_stays_whole(text: str) -> None:
    assert laid_out(text) == [text]


def test_a_long_answer_keeps_every_character() -> None:
    text = "[" + ",".join(f'{{"n":{number}.0,"s":" {number} "}}' for number in range(5000)) + "]"
    [shown] = laid_out(text)
    assert re.sub(r"\n *|(?<=:) ", "", shown) == text
