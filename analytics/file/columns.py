"""The file's own columns as SQL expressions for those of an event.

| column      | types                                                                            |
|-------------|----------------------------------------------------------------------------------|
| occurred_at | timestamp, with or without a zone; text, ISO 8601                                |
| user_id     | text, whole numbers                                                              |
| event_type  | text                                                                             |
| event_id    | UUID, 16 bytes, text, whole numbers; may be missing, then every row is an event  |

The rules are those of an import (docs/ingest.md). Other columns are not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from analytics.duck import identifier
from analytics.errors import InvalidInput
from analytics.file.reading import Reading

_NEEDED: Final = ("occurred_at", "user_id", "event_type")
_ID: Final = "event_id"
_SHOWN: Final = 12

_NUMBERS: Final = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?")
_TEXTS: Final = re.compile(r"VARCHAR|ENUM\(.*\)", re.DOTALL)
_LOCAL_TIMES: Final = re.compile(r"TIMESTAMP(_S|_MS|_NS)?")
_ALLOWED: Final = {
    "occurred_at": "a timestamp, or text like 2025-08-01T10:15:00Z",
    "user_id": "text or whole numbers",
    "event_type": "text",
    "event_id": "UUIDs, text or whole numbers",
}

# ISO 8601 as RFC 3339 profiles it, and as an import takes it: seconds may be left out.
_MOMENT: Final = (
    r"^\d{4}-\d\d-\d\d[Tt ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?"
    r"([Zz]|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?$"
)
_ZONED: Final = r"([Zz]|:\d\d(\.\d+)?[+-]\d\d(:?\d\d)?)$"
# DuckDB parses no time without seconds.
_MINUTE: Final = r"^(.{10}[Tt ]\d\d:\d\d)([^:].*)?$"


@dataclass(frozen=True, slots=True)
class Columns:
    """What to select from the file.

    Attributes:
        event_id: SQL for what tells two events apart, NULL where a row has none. None where the
            file has no such column.
        us: SQL for the moment in microseconds since 1970, or NULL where there is none.
        is_local: SQL for whether that is local time, of a zone that isn't named, and not UTC.
        user_id, event_type: SQL for the texts.
    """

    event_id: str | None
    us: str
    is_local: str
    user_id: str
    event_type: str


def columns(types: Mapping[str, str], reading: Reading) -> Columns:
    """Find the columns of an event among those of the file, whose DuckDB types are given by name.

    Raises:
        InvalidInput: one is missing or of a type that it can't have; the message lists what there
            is and how to map it.
    """
    names = {column: reading.columns.get(column, column) for column in (*_NEEDED, _ID)}
    missing = [
        column
        for column in (*_NEEDED, _ID)
        if names[column] not in types and (column != _ID or column in reading.columns)
    ]
    if missing:
        raise InvalidInput(_missing(missing, names, list(types)), field=missing[0])
    found = {column: name for column, name in names.items() if name in types}
    us, is_local = _moment(found["occurred_at"], types)
    if reading.assume_timezone == "UTC":
        is_local = "false"
    return Columns(
        event_id=_identity(found[_ID], types) if _ID in found else None,
        us=us,
        is_local=is_local,
        user_id=_text("user_id", found["user_id"], types, numbers=True),
        event_type=_text("event_type", found["event_type"], types, numbers=False),
    )


def _missing(missing: Sequence[str], names: Mapping[str, str], has: Sequence[str]) -> str:
    wanted = ", ".join(repr(names[column]) for column in missing)
    listed = ", ".join(map(repr, has[:_SHOWN])) or "no columns"
    more = f" and {len(has) - _SHOWN} more" if len(has) > _SHOWN else ""
    example = ", ".join(f'"{column}": "..."' for column in missing)
    return (
        f"There is no column {wanted}; there are {listed}{more}. "
        f"Name the ones to take: columns={{{example}}}"
    )


def _text(column: str, name: str, types: Mapping[str, str], *, numbers: bool) -> str:
    kind = types[name]
    if not (_TEXTS.fullmatch(kind) or (numbers and _NUMBERS.fullmatch(kind))):
        raise _wrong_type(column, name, kind)
    return f"{identifier(name)}::varchar"


def _identity(name: str, types: Mapping[str, str]) -> str:
    kind, quoted = types[name], identifier(name)
    if kind in {"BLOB", "UUID"}:
        return quoted
    text = _text(_ID, name, types, numbers=True)
    # One id may be written in several ways: with capitals, without hyphens.
    return f"coalesce(try_cast({text} as uuid)::varchar, nullif({text}, ''))"


def _moment(name: str, types: Mapping[str, str]) -> tuple[str, str]:
    """SQL for the microseconds, and for whether they are local."""
    kind, quoted = types[name], identifier(name)
    if kind == "TIMESTAMP WITH TIME ZONE":
        return _microseconds(quoted), "false"
    if kind == "TIMESTAMP_NS":
        # Cut, not rounded, also before 1970, where division would round up.
        floored = f"(epoch_ns({quoted}) - (epoch_ns({quoted}) % 1000 + 1000) % 1000) // 1000"
        return f"case when isfinite({quoted}::timestamp) then {floored} end", "true"
    if _LOCAL_TIMES.fullmatch(kind):
        return _microseconds(f"{quoted}::timestamp"), "true"
    if _TEXTS.fullmatch(kind):
        return _written(f"{quoted}::varchar")
    raise _wrong_type("occurred_at", name, kind)


def _written(text: str) -> tuple[str, str]:
    whole = rf"upper(regexp_replace({text}, '{_MINUTE}', '\1:00\2'))"
    zoned = f"regexp_matches({text}, '{_ZONED}')"
    # +02 is written out: DuckDB doesn't take it.
    full = rf"regexp_replace({whole}, '([+-]\d\d)$', '\1:00')"
    instant = _microseconds(f"try_cast({full} as timestamptz)")
    local = _microseconds(f"try_cast({whole} as timestamp)")
    us = (
        f"case when regexp_matches({text}, '{_MOMENT}') then "
        f"case when {zoned} then {instant} else {local} end end"
    )
    return us, f"coalesce(not {zoned}, false)"


def _microseconds(moment: str) -> str:
    return f"case when isfinite({moment}) then epoch_us({moment}) end"


def _wrong_type(column: str, name: str, kind: str) -> InvalidInput:
    return InvalidInput(
        f"The column {name!r} is {kind}; {column} may be {_ALLOWED[column]}: cast it, or name "
        f'another column: columns={{"{column}": "..."}}',
        field=column,
    )
