"""Instants in texts and in typed columns, a column at a time.

A text is `YYYY-MM-DDThh:mm[:ss[.f...]]zone`: ISO 8601 as RFC 3339 profiles it, with a space instead
of the `T` if you like, small letters too, seconds left out if you like, and the zone `Z`, `+hh`,
`+hhmm` or `+hh:mm`. Any number of fraction digits; finer than a microsecond is cut, not rounded.
The instant, in UTC, lies in the years 1 to 9999. There is no 24:00 and no leap second: Postgres
would move them to another minute.

Where a zone is given for those that name none, that is the zone they are in.

Arrow parses a whole column at once, or fails. If it fails, a regular expression picks the rows that
are sure to parse without their finer digits, and `parse_timestamp` takes the rest one by one.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analytics.events import FIRST_INSTANT, LAST_INSTANT
from ingest.rejects import Code
from ingest.zones import to_utc

INSTANT: Final = pa.timestamp("us", "UTC")

_SECOND: Final = 1_000_000
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097  # the calendar repeats; datetime has no year 0
_HOURS_END: Final = 13  # offset of the colon between hours and minutes
_TEXT: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?"
    r"(?P<zone>[Zz]|([+-])(\d\d)(?::?(\d\d))?)?",
    re.ASCII,
)
_SURE: Final = (
    r"^\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)"
    r"|(?:0[13578]|1[02])-31)[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?"
    r"(?:Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)$"
)
_ZONE: Final = r"(?:[Zz]|:\d\d(?:\.\d+)?[+-]\d\d(?::?\d\d)?)$"
_NAIVE: Final = Code.NAIVE_TIMESTAMP
# Of each unit: microseconds in it, and how many of it are in a microsecond.
_UNITS: Final = {"s": (10**6, 1), "ms": (10**3, 1), "us": (1, 1), "ns": (1, 10**3)}
_FINER_DIGITS: Final = r"(\.\d{6})\d+"


def _micros(year: int, month: int, day: int, seconds: int) -> int:
    """Microseconds since 1970, the day's seconds counted from midnight.

    Raises:
        ValueError: There is no such day.
    """
    if year == 0:
        days = date(_CYCLE_YEARS, month, day).toordinal() - _CYCLE_DAYS
    else:
        days = date(year, month, day).toordinal()
    return ((days - _EPOCH_DAY) * 86_400 + seconds) * _SECOND


_FIRST: Final = _micros(FIRST_INSTANT.year, FIRST_INSTANT.month, FIRST_INSTANT.day, 0)
_LAST: Final = (
    _micros(LAST_INSTANT.year, LAST_INSTANT.month, LAST_INSTANT.day, 86_399)
    + LAST_INSTANT.microsecond
)


def parse_timestamp(text: str) -> int | Code:
    """Microseconds since 1970 in UTC, or the code that says what is wrong with the text."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return Code.INVALID_TIMESTAMP
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    fraction, zone, sign = match.group(7, "zone", 9)
    offset_hours, offset_minutes = (int(part or 0) for part in match.group(10, 11))
    if hour > 23 or max(minute, second, offset_minutes) > 59 or offset_hours > 23:
        return Code.INVALID_TIMESTAMP
    try:
        micros = _micros(year, month, day, hour * 3600 + minute * 60 + second)
    except ValueError:
        return Code.INVALID_TIMESTAMP
    if zone is None:
        return Code.NAIVE_TIMESTAMP
    offset = (offset_hours * 3600 + offset_minutes * 60) * _SECOND
    micros += int((fraction or "0")[:6].ljust(6, "0")) + (offset if sign == "-" else -offset)
    return micros if _FIRST <= micros <= _LAST else Code.TIMESTAMP_OUT_OF_RANGE


def parse_timestamps(
    texts: pa.StringArray, zone: ZoneInfo | None = None
) -> tuple[pa.TimestampArray, dict[int, Code]]:
    """The instants of a column, and what is wrong with the rows that are none.

    Those rows hold 1970 in the result. `zone` is that of texts that name none.
    """
    if zone is None:
        return _parse_zoned(texts)
    naive = pc.invert(pc.match_substring_regex(texts, _ZONE))
    rows = np.flatnonzero(naive.to_numpy(zero_copy_only=False))
    if not len(rows):
        return _parse_zoned(texts)
    instants, faults = _parse_zoned(
        pc.if_else(naive, pc.binary_join_element_wise(texts, "Z", ""), texts)
    )
    micros = _as_micros(instants).copy()
    rows = rows[~np.isin(rows, list(faults))]
    micros[rows] = to_utc(micros[rows], zone)
    return _in_range(micros, faults)


def read_timestamps(
    values: pa.TimestampArray, zone: ZoneInfo | None = None
) -> tuple[pa.TimestampArray, dict[int, Code]]:
    """The same for a typed column of any unit.

    Rows that are null hold 1970 too, and are not told of. `zone` is that of a type without one.
    """
    if values.type.tz is None and zone is None:
        valid = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
        return _in_range(np.zeros(len(values), np.int64), dict.fromkeys(valid.tolist(), _NAIVE))
    units: npt.NDArray[np.int64] = pc.fill_null(values.cast(pa.int64()), 0).to_numpy()
    per_unit, per_micro = _UNITS[values.type.unit]
    outside = (units < -(-_FIRST // per_unit)) | (units > _LAST // per_unit)
    if per_micro > 1:
        outside[:] = False  # nanoseconds of 64 bits end in 2262
    faults = dict.fromkeys(np.flatnonzero(outside).tolist(), Code.TIMESTAMP_OUT_OF_RANGE)
    micros = np.where(outside, 0, units) * per_unit // per_micro
    if values.type.tz is None and zone is not None:
        micros = to_utc(micros, zone)
        micros[values.is_null().to_numpy(zero_copy_only=False)] = 0
    return _in_range(micros, faults)


def _in_range(
    micros: npt.NDArray[np.int64], faults: dict[int, Code]
) -> tuple[pa.TimestampArray, dict[int, Code]]:
    """The instants, with a fault for each that lies beyond the years 1 to 9999."""
    beyond = np.flatnonzero((micros < _FIRST) | (micros > _LAST)).tolist()
    faults = dict.fromkeys(beyond, Code.TIMESTAMP_OUT_OF_RANGE) | faults
    if faults:
        micros[list(faults)] = 0
    return pa.array(micros).cast(INSTANT), faults


def _parse_zoned(texts: pa.StringArray) -> tuple[pa.TimestampArray, dict[int, Code]]:
    whole = _cast(texts)
    if whole is not None:
        return whole, {}
    micros = np.zeros(len(texts), np.int64)
    done = np.zeros(len(texts), bool)
    sure = np.flatnonzero(pc.match_substring_regex(texts, _SURE).to_numpy(zero_copy_only=False))
    cut = pc.replace_substring_regex(texts.take(pa.array(sure)), _FINER_DIGITS, r"\1")
    if len(sure) and (instants := _cast(cut)) is not None:
        micros[sure] = _as_micros(instants)
        done[sure] = True
    faults = {}
    for row in np.flatnonzero(~done).tolist():
        parsed = parse_timestamp(texts[row].as_py())
        if isinstance(parsed, Code):
            faults[row] = parsed
        else:
            micros[row] = parsed
    return pa.array(micros).cast(INSTANT), faults


def _cast(texts: pa.StringArray) -> pa.TimestampArray | None:
    """The instants if Arrow takes all the texts, and each is in the grammar and in range.

    Arrow's grammar is a part of ours but for one thing: it takes `2025-01-01T10Z` without minutes.
    """
    try:
        instants = texts.cast(INSTANT)
    except pa.ArrowInvalid:
        return None
    if len(instants):
        micros = _as_micros(instants)
        if micros.min() < _FIRST or micros.max() > _LAST or not _have_minutes(texts):
            return None
    return instants


def _as_micros(instants: pa.TimestampArray) -> npt.NDArray[np.int64]:
    micros: npt.NDArray[np.int64] = instants.cast(pa.int64()).to_numpy()
    return micros


def _have_minutes(texts: pa.StringArray) -> bool:
    starts = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts)]
    characters = np.frombuffer(texts.buffers()[2], np.uint8)
    return bool((characters[starts + _HOURS_END] == ord(":")).all())
