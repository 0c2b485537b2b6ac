from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path

import pytest

import search
from harness import log_events, questions, search_table
from harness.runs import Row, Run
from peers.ripgrep_search.search import questions as ripgrep

EVENTS = 150_000


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return list(log_events.lines(EVENTS))


def test_events_are_those_that_are_asked_for(lines: list[str]) -> None:
    found = [json.loads(line) for line in lines]
    times = [one["timestamp"] for one in found]
    assert times == sorted(times)
    assert (times[0], times[-1][:10]) == ("2025-12-04T00:00:00.000Z", "2025-12-04")
    assert len({(one["service"], one["project_id"]) for one in found}) == 80
    texts = [one["message"] for one in found]
    assert [at for at, text in enumerate(texts) if log_events.RARE_WORD in text] == [log_events.RARE_AT]
    assert sum(text.startswith(questions.COMMON_PHRASE) for text in texts) == EVENTS // 4
    assert not any(questions.ABSENT_WORD in line for line in lines)
    assert [at for at, line in enumerate(lines) if questions.REQUEST in line] == [log_events.UNIQUE_AT]
    users = [at for at, one in enumerate(found) if one["metadata"]["user_id"] == questions.USER]
    assert users == [log_events.UNIQUE_AT]
    assert 240 <= sum(map(len, lines)) / EVENTS <= 290


def test_metadata_is_not_found_by_what_is_asked_of_messages(lines: list[str]) -> None:
    words = (*questions.TWO_WORDS, questions.RARE_WORD, questions.ADDRESS, questions.PART)
    asked = re.compile("|".join([*(rf"\b{re.escape(word)}\b" for word in words), questions.LETTERS_REGEXP]))
    for line in lines[:20_000]:
        event = json.loads(line)
        rest = [*map(str, event["metadata"].values()), event["service"], event["level"]]
        assert not asked.search(" ".join(rest)), line


def test_the_same_events_come_again(lines: list[str]) -> None:
    assert list(itertools.islice(log_events.lines(EVENTS), 1_000)) == lines[:1_000]


@pytest.mark.skipif(shutil.which("rg") is None, reason="ripgrep is not installed")
def test_ripgrep_finds_what_is_there(tmp_path: Path, lines: list[str]) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text("".join(line + "\n" for line in lines))
    found = {name: ask() for name, ask in ripgrep(str(file)).items()}
    messages = [json.loads(line)["message"] for line in lines]
    expected = {
        questions.RARE: 1,
        questions.ABSENT: 0,
        questions.TWO: sum(all(re.search(rf"\b{word}\b", text) for word in questions.TWO_WORDS) for text in messages),
        questions.COMMON: EVENTS // 4,
        questions.LETTERS: sum(bool(re.search(questions.LETTERS_REGEXP, text)) for text in messages),
        questions.BY_SERVICE: sum(f'"service":"{questions.SERVICE}"' in line for line in lines),
        questions.ROWS: 1,
        questions.LAST: questions.NEWEST,
    }
    assert {name: found[name] for name in expected} == expected
    assert set(found) == set(questions.QUESTIONS)


def test_each_question_is_asked_before_it_is_measured() -> None:
    asked: list[str] = []
    ticks = itertools.count()

    def ask(name: str) -> int:
        asked.append(name)
        return len(asked)

    every = {name: lambda name=name: ask(name) for name in questions.QUESTIONS}
    found = questions.measured(every, lambda: float(next(ticks)))
    assert asked == [name for name in questions.QUESTIONS for _ in range(2)]
    assert [one["hits"] for one in found.values()] == list(range(2, 2 * len(every) + 1, 2))
    assert {one["cpu_ms"] for one in found.values()} == {1000.0}


def answers(cpu: float, **hits: int) -> search.Answers:
    return {name: {"cpu_ms": cpu, "wall_ms": cpu, "hits": hits.get(name.split()[0], 7)} for name in questions.QUESTIONS}


def test_the_median_of_the_rounds_is_kept() -> None:
    turns = search.Turns({"cpu": 1.0, "bytes_event": 30.0}, [answers(cpu) for cpu in (9.0, 1.0, 2.0)])
    row = search.row_of("forebay", turns)
    assert row.figures[questions.RARE] == {"cpu_ms": 2.0, "wall_ms": 2.0, "hits": 7}
    assert row.figures[search_table.LOAD] == {"cpu": 1.0, "bytes_event": 30.0}


def test_different_answers_are_said() -> None:
    same = {name: search.Turns(answers=[answers(1.0), answers(2.0)]) for name in ("forebay", "ripgrep")}
    assert list(search.disagreements(same)) == []
    # In one round of one engine alone.
    same["ripgrep"].answers[1] = answers(1.0, rare=8)
    assert list(search.disagreements(same)) == ["WRONG: rare word: forebay [7], ripgrep [7, 8]"]


def run(rows: list[Row], busy: float = 0.0, at: str = "2026-01-01T00:00:00Z") -> Run:
    return Run("search", at, "abc", rows, busy)


def test_the_table_has_a_row_for_each_question_and_a_column_for_each_engine() -> None:
    turns = search.Turns({"cpu": 0.5, "bytes_event": 24.3}, [answers(1.5)], [{"rss_mb": 90.0, "before_mb": 60.0}])
    lines = search_table.searched(run([search.row_of("forebay", turns)])).splitlines()
    assert len(lines) == len(questions.QUESTIONS) + 3
    assert lines[0] == "| rare word | 1.50 · 1.50 | - | - | - | 8.1 |"
    assert lines[-3:] == [
        "| load, CPU s/M | 0.50 | - | - | - | 6.74 |",
        "| bytes an event on disk | 24.3 | - | - | - | 37.8 |",
        "| resident MB while asked (at rest) | 90 (60) | - | - | - | 163 |",
    ]
    assert search_table.searched(None) == "| not measured yet |"


def test_a_quiet_run_is_shown_before_a_newer_one_that_was_not() -> None:
    quiet, busy = run([]), run([], busy=0.5, at="2026-02-01T00:00:00Z")
    assert search_table.newest([busy, quiet]) is quiet
    assert search_table.newest([busy]) is busy
    assert search_table.newest([]) is None


def test_every_question_has_an_aim_and_a_published_figure() -> None:
    assert len(search.AIMS) == len(questions.QUESTIONS)
    assert set(questions.QUESTIONS) < set(search_table.PUBLISHED)
