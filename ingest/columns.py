"""Which columns of a source are the columns of an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from analytics.errors import InvalidInput
from analytics.events import COLUMNS, REQUIRED_COLUMNS
from ingest.rejects import shortened, shown

_OTHER_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_SHOWN_COLUMNS: Final = 12


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
                    f"There is no column {shown(column)} of an event to map {shown(name)} to; map"
                    f" one of {', '.join(COLUMNS)}"
                )


@dataclass(frozen=True, slots=True)
class Selection:
    """The columns to take.

    Attributes:
        indices: Column of an event -> its place in the source, counted from 0.
        ignored: Names of the other columns, in the source's order.
        width: How many columns the source has.
    """

    indices: dict[str, int]
    ignored: tuple[str, ...]
    width: int


def select_columns(names: Sequence[str]) -> Selection:
    """Finds the columns of an event, in any order, among those of a source.

    Other columns are left out, not refused: exports have them, and making people rewrite a file
    for a column nobody asked for helps nobody. The report names them, so a misspelt `properties`
    shows.

    Raises:
        InvalidInput: A required column is missing, or one of an event's columns is there twice.
    """
    for column in COLUMNS:
        if names.count(column) > 1:
            message = f"The header names {column} more than once; leave one of the two out"
            raise InvalidInput(message, field=column)
    missing = [column for column in REQUIRED_COLUMNS if column not in names]
    if missing:
        raise InvalidInput(_missing(names, missing), field=missing[0])
    return Selection(
        indices={column: names.index(column) for column in COLUMNS if column in names},
        ignored=tuple(name for name in names if name not in COLUMNS),
        width=len(names),
    )


def _missing(names: Sequence[str], missing: Sequence[str]) -> str:
    needed = f"a header with {', '.join(REQUIRED_COLUMNS)} and, if you like, properties"
    if len(names) == 1:
        for separator, plural in _OTHER_SEPARATORS.items():
            if separator in names[0]:
                return (
                    f"The header {shown(names[0])} has {plural} between its cells; Tidemark reads"
                    " comma-separated values: export the file with commas"
                )
    found = ", ".join(shortened(name) for name in names[:_SHOWN_COLUMNS])
    more = f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else ""
    return (
        f"The header lacks {', '.join(missing)} (it has {found or 'no names'}{more}); a file of"
        f" events begins with {needed}"
    )
