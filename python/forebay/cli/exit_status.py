"""Exit statuses, the same for every command. docs/operations.md says what each command means by them."""

DONE = 0
"""It did what was asked, and found nothing wrong."""

FAILED = 1
"""It failed, or it was done and what it found is bad: damage, rejected lines, a broken promise."""

WRONG_USAGE = 2
"""Nothing was done: an argument or a setting is wrong. Of `verify` also: it could not be checked."""

INTERRUPTED = 130
"""Ended by ^C, or a question was answered with no, or not at all: 128 and the number of SIGINT, as shells count."""
