"""Which columns of a source are the columns of an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from analytics.errors import InvalidInput
from analytics.events import COLUMNS, REQUIRED_COLUMNS
from ingest.rejects import in_line, shown

MAX_COLUMNS: Final = 4_096

_OTHER_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_SHOWN_COLUMNS: Final = 12
_ID: Final = "event_id"


@dataclass(frozen=True, slots=True)
class ColumnOptions:
    """Which columns of a source are those of an event, where the names differ.

    Attributes:
        names: Column of an event -> its name in the source; those not named here go by their own.
        rest: Whether all other columns are folded into properties.
        derive_ids: Whether event ids are made from the rows' content (see ingest.derived) instead
            of being read.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    rest: bool = False
    derive_ids: bool = False

    def __post_init__(self) -> None:
        for column, name in self.names.items():
            if column not in COLUMNS or not name:
                raise InvalidInput(
                    f"{shown(name)} can't be mapped to {shown(column)}; an event's columns are"
                    f" {', '.join(COLUMNS)}"
                )
        if self.derive_ids and _ID in self.names:
            raise InvalidInput(f"{_ID} is either mapped or made from the rows' content, not both")
        if len(set(self.names.values())) < len(self.names):
            raise InvalidInput("Two columns of an event are mapped to one and the same name")

    @property
    def sources(self) -> dict[str, str]:
        """Column of an event -> its name in the source, for all that are read."""
        taken = set(self.names.values())
        return {
            column: self.names.get(column, column)
            for column in COLUMNS
            if (column in self.names or column not in taken)
            and not (column == _ID and self.derive_ids)
        }

    @property
    def required(self) -> tuple[str, ...]:
        """Columns of an event that every row needs, in the order of an event's columns."""
        return tuple(c for c in REQUIRED_COLUMNS if c != _ID or not self.derive_ids)


AS_NAMED: Final = ColumnOptions()


@dataclass(frozen=True, slots=True)
class Selection:
    """The columns to take.

    Attributes:
        indices: Column of an event -> its place in the source, counted from 0.
        rest: Place -> name of the other columns, if they are to be folded into properties.
        ignored: Names of the other columns if they are not, in the source's order.
        width: How many columns the source has.
    """

    indices: dict[str, int]
    rest: dict[int, str]
    ignored: tuple[str, ...]
    width: int

    @property
    def places(self) -> list[int]:
        """Of all columns to read."""
        return [*self.indices.values(), *self.rest]


def select_columns(names: Sequence[str], options: ColumnOptions = AS_NAMED) -> Selection:
    """Finds the columns of an event, in any order, among those of a source.

    Other columns are left out, not refused: exports have them, and making people rewrite a file
    for a column nobody asked for helps nobody. The report names them, so a misspelt `properties`
    shows.

    Raises:
        InvalidInput: A required column is missing, one of an event's columns is there twice, or
            there are more than MAX_COLUMNS.
    """
    if len(names) > MAX_COLUMNS:
        raise InvalidInput(f"There are {len(names):,} columns; there may be {MAX_COLUMNS:,}")
    sources = options.sources
    for name in sources.values():
        if names.count(name) > 1:
            message = f"The header names {in_line(name)} more than once; leave one of the two out"
            raise InvalidInput(message, field=name)
    required = [sources.get(column, column) for column in options.required]
    missing = [name for name in required if name not in names]
    if missing:
        raise InvalidInput(_missing(names, missing, required), field=missing[0])
    indices = {column: names.index(name) for column, name in sources.items() if name in names}
    taken = set(indices.values())
    others = {index: name for index, name in enumerate(names) if index not in taken}
    return Selection(
        indices=indices,
        rest=others if options.rest else {},
        ignored=() if options.rest else tuple(others.values()),
        width=len(names),
    )


def _missing(names: Sequence[str], missing: Sequence[str], required: Sequence[str]) -> str:
    if len(names) == 1:
        for separator, plural in _OTHER_SEPARATORS.items():
            if separator in names[0]:
                return (
                    f"The header {shown(names[0])} has {plural} between its cells; Tidemark reads"
                    " comma-separated values: export the file with commas"
                )
    found = ", ".join(in_line(name) for name in names[:_SHOWN_COLUMNS])
    more = f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else ""
    return (
        f"The header lacks {_listed(missing)} (it has {found or 'no names'}{more}); a file of"
        f" events has the columns {_listed(required)} and, if you like, properties. Other"
        " names can be mapped: --map user_id=customer_id"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(in_line, names))
