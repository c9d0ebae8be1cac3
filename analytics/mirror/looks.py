"""Looks for numbers alone, which mostly say that nothing lies above: shared by who asks at once.

A look takes Postgres and this process as much work as the question itself. While one is under way,
whoever comes waits for the next, and all of them take that one: it is begun after each has asked,
so it is as good as one of their own. Nothing is kept.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from threading import Lock
from typing import TypeAlias

from analytics.mirror.look import Look, look
from analytics.mirror.state import State
from analytics.sessions import Sessions

_Asked: TypeAlias = tuple[State, int]
"""The state of the file, and the project."""


class Looks:
    """Looks at one Postgres, one at a time for each project in each state of the file."""

    def __init__(self, sessions: Sessions, timeout: timedelta) -> None:
        """Takes the time limit of each look's statements."""
        self._sessions, self._timeout = sessions, timeout
        self._threads = ThreadPoolExecutor(thread_name_prefix="tidemark-look")
        self._lock = Lock()
        # Those under way, each with the one behind it that somebody waits for.
        self._next: dict[_Asked, Future[Look] | None] = {}

    def soon(self, state: State, project_id: int) -> Future[Look]:
        """A look that is begun after this call; see `look` for what it raises in the end.

        Its snapshot has ended by then, so only its numbers are good.

        Raises:
            RuntimeError: no thread can be started for it.
        """
        asked, found = (state, project_id), Future[Look]()
        with self._lock:
            if asked in self._next:
                shared = self._next[asked] or found
                self._next[asked] = shared
                return shared
            self._next[asked] = None
        try:
            self._threads.submit(self._run, asked, found)
        except RuntimeError as error:
            # No thread is to be had. One there was already may have taken it even so.
            if found.cancel():
                self._give_up(asked, error)
                raise
        return found

    def close(self) -> None:
        """Wait for those under way."""
        self._threads.shutdown()

    def _run(self, asked: _Asked, found: Future[Look]) -> None:
        """Look, and again for those who came meanwhile, until nobody waits."""
        following: Future[Look] | None = found
        try:
            while following and following.set_running_or_notify_cancel():
                self._look(asked, following)
                with self._lock:
                    following = self._next[asked]
                    if following:
                        self._next[asked] = None
                    else:
                        del self._next[asked]
        except BaseException as error:
            self._give_up(asked, error)
            raise

    def _give_up(self, asked: _Asked, error: BaseException) -> None:
        """Nobody waits for what will never come, and the next to come begins anew."""
        with self._lock:
            following = self._next.pop(asked, None)
        if following:
            following.set_exception(error)

    def _look(self, asked: _Asked, found: Future[Look]) -> None:
        try:
            with look(self._sessions, *asked, self._timeout, numbers_alone=True) as above:
                pass
        except BaseException as error:  # noqa: BLE001 - everybody who waits for it raises it
            found.set_exception(error)
        else:
            found.set_result(above)
