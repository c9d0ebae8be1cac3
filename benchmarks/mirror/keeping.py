"""A keeper as a serving process has it, waited for until its mirror answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from analytics.mirror.keeper import Keeper
from analytics.mirror.plan import Listener, Plan
from app.local.servers import ServerUrls

_POLL_SECONDS = 0.01

Asked = ParamSpec("Asked")
Answered = TypeVar("Answered")


@contextmanager
def ready_mirror(
    folder: Path, urls: ServerUrls, listener: Listener | None = None
) -> Iterator[Keeper]:
    """A keeper with every default, whose mirror lies below `folder`; built if there is none.

    `listener` hears what the keeper does.

    Raises:
        RuntimeError: a build failed; a measurement can't wait for the next try.
    """
    plan = Plan(folder, urls.reader, urls.writer)
    keeper = Keeper(plan if listener is None else replace(plan, listener=listener))
    keeper.start()
    try:
        while keeper.status.cause is not None:
            if keeper.status.failed:
                raise RuntimeError(f"the mirror is {keeper.status.doing}")
            time.sleep(_POLL_SECONDS)
        yield keeper
    finally:
        keeper.close()


def asked_first(keeper: Keeper, ask: Callable[Asked, Answered]) -> Callable[Asked, Answered]:
    """Ask the mirror as the first one after a commit does, who finds no answer kept.

    Else all rounds but the first would time a look at Postgres and a dictionary.
    """

    def asked(*arguments: Asked.args, **named: Asked.kwargs) -> Answered:
        known = keeper.store().known
        if known is not None:
            known.answers.clear()
        return ask(*arguments, **named)

    return asked
