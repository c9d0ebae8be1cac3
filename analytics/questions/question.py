"""What every question can do, whoever answers it.

A question knows how to be asked (`parameters`) and how to be read (`rows`); an engine only knows
how to run the SQL file that bears the question's name. So no question knows an engine, and no
engine a question; but the mirror has to say what new events do to each of its answers, see
`analytics.engines.added`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Protocol, TypeAlias

from analytics.answer import RowT_co
from analytics.project import Project

# What engines bind: whole numbers, text, UTC instants, and lists of them.
Value: TypeAlias = int | str | datetime | Sequence[int] | Sequence[datetime]


class Parameters(Mapping[str, Value]):
    """Parameters by name. What takes long to work out is worked out when it is asked for.

    The boundaries of a range's days, which roll-ups don't ask for, take as long as a look at
    Postgres.
    """

    def __init__(
        self, known: Mapping[str, Value], later: Mapping[str, Callable[[], Value]]
    ) -> None:
        self._known = known
        self._later = later

    def __getitem__(self, name: str) -> Value:
        """The parameter of this name. Raises KeyError where there is none."""
        return self._known[name] if name in self._known else self._later[name]()

    def __iter__(self) -> Iterator[str]:
        """Every name."""
        return iter((*self._known, *self._later))

    def __len__(self) -> int:
        """How many parameters."""
        return len(self._known) + len(self._later)


class Question(Protocol[RowT_co]):
    """A question about one project's events: a frozen value, checked when it is made."""

    name: ClassVar[str]
    """The stem of the question's SQL file in every engine's folder."""

    @property
    def project(self) -> Project:
        """Whose events are asked about."""
        ...

    def parameters(self) -> Mapping[str, Value]:
        """Everything any engine's SQL needs, by name; instants are aware and in UTC."""
        ...

    def rows(self, found: Iterable[Sequence[object]]) -> tuple[RowT_co, ...]:
        """The final rows, gap-free and totally ordered, from the compact answer in any order.

        The columns of `found` are those that the question's module names.
        """
        ...
