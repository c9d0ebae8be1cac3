"""A crash between any two steps of a sync: the files as they are at that moment, then an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from analytics.mirror import lease
from analytics.mirror.store import Cursor, Store
from tests.mirror.hand_kept import HandKept


class Crash(BaseException):
    """The process is gone; nothing may catch this."""


class Fault:
    """Strikes at the step of this number, counted from 1 over everything that is written."""

    def __init__(self, at: int, keeper: HandKept, folder: Path) -> None:
        self._left, self._keeper, self._folder = at, keeper, folder
        self.steps = 0
        self.struck = False

    def step(self) -> None:
        self.steps += 1
        self._left -= 1
        if self._left == 0:
            self.struck = True
            self._keeper.leave_files(self._folder)
            raise Crash


class _Watched:
    """A cursor whose every statement is a step, taken before it runs."""

    def __init__(self, cursor: Cursor, fault: Fault) -> None:
        self._cursor, self._fault = cursor, fault

    def execute(self, *arguments: Any) -> Any:
        self._fault.step()
        return self._cursor.execute(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


@contextmanager
def struck(fault: Fault) -> Iterator[None]:
    """The block's writes to the file and to the lease are the fault's steps."""
    writing, advance, register = Store.writing, lease.advance, lease.register
    release = lease.release

    @contextmanager
    def watched_writing(self: Store, *, large: bool = False) -> Iterator[Any]:
        fault.step()
        with writing(self, large=large) as cursor:
            yield _Watched(cursor, fault)
            fault.step()
        fault.step()

    def watched(write: Callable[..., Any]) -> Callable[..., Any]:
        def step_and_write(*arguments: Any, **named: Any) -> Any:
            fault.step()
            done = write(*arguments, **named)
            fault.step()
            return done

        return step_and_write

    def release_alive(*arguments: Any) -> None:
        """Who was killed gives nothing back."""
        if not fault.struck:
            release(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lease, "release", release_alive)
        patch.setattr(Store, "writing", watched_writing)
        patch.setattr(lease, "advance", watched(advance))
        patch.setattr(lease, "register", watched(register))
        yield
