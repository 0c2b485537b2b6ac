"""The pattern of moments in the description is what the engine takes."""

from __future__ import annotations

import json
import random
import re

from forebay.server.http.time_pattern import TIME
from support.harness import RunningServer, event

BATCH = 900
"""A quarantine names at most 1000 events, and all of these are to be named."""

SEEDS = (
    "2024-05-31T15:30:45.123Z",
    "2024-05-31 15:30:45.123456+00",
    "20240531T153045,5+0530",
    "2024-02-29t23:59:60z",
    "2000-02-29",
    "1900-02-28T00:00",
    "0001-01-01",
    "9999-12-31T23:59:59Z",
    "20240229",
    "2024-11-30T00:00:00.000000001-23:59",
)

CHARACTERS = "0123456789-:TtZz+., "


def changed(text: str, chance: random.Random) -> str:
    letters = list(text)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        at = chance.randrange(len(letters) + 1)
        how = chance.randrange(4)
        if how == 0 and at < len(letters):
            del letters[at]
        elif how == 1:
            letters.insert(at, chance.choice(CHARACTERS))
        elif at < len(letters):
            letters[at] = chance.choice(CHARACTERS[:10] if letters[at].isdigit() else CHARACTERS)
    return "".join(letters)


def test_the_pattern_takes_what_the_engine_takes(shared_server: RunningServer) -> None:
    chance = random.Random(12)
    taken = 0
    for _ in range(10):
        texts = [changed(chance.choice(SEEDS), chance) for _ in range(BATCH)]
        # No pattern of this kind tells that a zone moves a time out of the years 1 to 9999.
        texts = [text for text in texts if not re.match("0001-?01-?01|9999-?12-?31", text)]
        texts = [text for text in texts if text]
        body = {"events": [{**event(), "timestamp": text} for text in texts]}
        answer = shared_server.drain(json.dumps(body).encode(), forebay_on_invalid="quarantine").raise_for_status()
        refused = {row["index"] for row in answer.json().get("errors", [])}
        for index, text in enumerate(texts):
            assert (index not in refused) == bool(re.fullmatch(TIME, text, re.ASCII)), text
        taken += len(texts) - len(refused)
    assert 1000 < taken < 8000, "both kinds are there"
