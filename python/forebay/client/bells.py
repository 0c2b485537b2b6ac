"""What a thread waits for that another one does."""

from __future__ import annotations

import threading


class Bells:
    """Threads that wait for a change of something that has a lock. As a `Condition`, but that who waits does not hold
    the lock meanwhile, and that an exception from a signal's handler, wherever it comes, leaves neither a lock taken
    nor a ring that goes to nobody: in a `Condition` it may do both.

    `hang` is called with the lock held under which was found that there is something to wait for, or before that is
    looked for; and the bell waited for without it. Each step here is one for the interpreter.
    """

    def __init__(self) -> None:
        self._hung: dict[threading.Lock, None] = {}

    def __len__(self) -> int:
        return len(self._hung)

    def hang(self) -> threading.Lock:
        bell = threading.Lock()
        bell.acquire()
        self._hung[bell] = None
        return bell

    def take_down(self, bell: threading.Lock) -> None:
        """One that was not rung. Who is broken off while it waits leaves it: then it is rung with the others."""
        self._hung.pop(bell, None)

    def ring(self) -> None:
        """For one of those who wait, the one who does so longest."""
        for bell in self._hung:
            del self._hung[bell]
            bell.release()
            break

    def ring_all(self) -> None:
        while self._hung:
            self.ring()
