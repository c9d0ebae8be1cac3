r"""JSON texts that Postgres will store as a jsonb object, a column at a time.

The text itself goes to Postgres, so a number keeps every digit. What is checked here is exactly
that the COPY can't fail on it: an object, no NaN, no lone surrogates, no NUL character (`\u0000`),
numbers within Postgres's numeric, nesting and size bounded. Postgres has no bound of its own below
some thousand levels and 256 MB; ours are what an event may weigh.

Repeated texts are checked once. A regular expression recognises flat objects, which most are:
35,000 different ones in 3.4 ms and without holding the interpreter's lock, where orjson takes
15 ms. The others are orjson's.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ingest.rejects import Code, shown
from ingest.rules import NO_RULES, Rules

EMPTY: Final = "{}"

_STRING: Final = r'"[^"\\\x00-\x1f]*"'
_NUMBER: Final = r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?"
_MEMBER: Final = rf"{_STRING}: ?(?:{_STRING}|{_NUMBER}|true|false|null)"
_FLAT: Final = rf"^\{{(?:{_MEMBER}(?:, ?{_MEMBER})*)?\}}$"

_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_FAR_EXPONENT: Final = re.compile(r"[0-9][eE][+-]?[0-9]{4}")
_MAX_FRACTION_DIGITS: Final = 16_383  # of Postgres's numeric
_MAX_EXPONENT_DIGITS: Final = 5
_TOO_LARGE: Final = "infinity"  # in what orjson says of numbers beyond 1e308


class Flaw(NamedTuple):
    """What is wrong with a text."""

    code: Code
    message: str


def check_properties(
    texts: pa.StringArray, rules: Rules = NO_RULES
) -> tuple[pa.StringArray, dict[int, Flaw]]:
    """The texts as they go to Postgres, empty ones as {}, and what is wrong with some rows."""
    distinct = texts.dictionary_encode()
    flat = pc.match_substring_regex(distinct.dictionary, _FLAT).to_numpy(zero_copy_only=False)
    small = pc.binary_length(distinct.dictionary).to_numpy() <= rules.max_properties_bytes
    flaws: dict[int, Flaw] = {}
    for place in np.flatnonzero(~(flat & small)).tolist():
        text = distinct.dictionary[place].as_py()
        if text and (flaw := flaw_of(text, rules)):
            flaws[place] = flaw
    if len(texts) and pc.min(pc.binary_length(distinct.dictionary)).as_py() == 0:
        texts = pc.if_else(pc.equal(texts, ""), EMPTY, texts)
    if not flaws:
        return texts, {}
    places = distinct.indices.to_numpy()
    rows = np.flatnonzero(np.isin(places, list(flaws)))
    return texts, {row: flaws[int(places[row])] for row in rows.tolist()}


def flaw_of(text: str, rules: Rules = NO_RULES) -> Flaw | None:
    """What keeps a text from being properties, or None."""
    size = len(text.encode())
    if size > rules.max_properties_bytes:
        return Flaw(
            Code.TOO_LONG,
            f"properties has {size:,} bytes; it may have {rules.max_properties_bytes:,}",
        )
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return _not_json(text, error, rules.max_depth)
    if not isinstance(value, dict):
        message = f'properties {shown(text)} is not a JSON object like {{"plan":"pro"}}'
        return Flaw(Code.INVALID_PROPERTIES, message)
    return _unstorable(text, value, rules.max_depth)


def _unstorable(text: str, value: dict[str, Any], max_depth: int) -> Flaw | None:
    """What Postgres would not store of an object, or not as deep as it goes."""
    if _NUL.search(text):
        message = "properties holds a NUL character (\\u0000), which Postgres can't store"
        return Flaw(Code.NUL_CHARACTER, message)
    if text.count("{") + text.count("[") > max_depth and _is_too_deep(value, max_depth):
        return _too_deep(max_depth)
    if len(text) > _MAX_FRACTION_DIGITS or _FAR_EXPONENT.search(text):
        return _number_flaw(text)
    return None


def _not_json(text: str, error: orjson.JSONDecodeError, max_depth: int) -> Flaw:
    if _TOO_LARGE in error.msg:
        return _out_of_range(text[error.pos :])
    if "depth" in error.msg:
        return _too_deep(max_depth)
    message = f"properties {shown(text)} is not JSON: {error.msg} at character {error.pos + 1}"
    return Flaw(Code.INVALID_PROPERTIES, message)


def _too_deep(max_depth: int) -> Flaw:
    message = f"properties nests objects and arrays more than {max_depth} levels deep"
    return Flaw(Code.TOO_DEEP, message)


def _is_too_deep(value: Any, max_depth: int) -> bool:
    level = [value]
    for _ in range(max_depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _number_flaw(text: str) -> Flaw | None:
    """Looks at each number as it is written; orjson has made it a float, perhaps 0.0."""
    found: list[str] = []

    def judge(number: str) -> None:
        mantissa, _, written = number.lower().partition("e")
        magnitude = written.lstrip("+-0") or "0"
        if len(magnitude) > _MAX_EXPONENT_DIGITS:
            found.append(number)
            return
        exponent = -int(magnitude) if written.startswith("-") else int(magnitude)
        fraction_digits = len(mantissa.partition(".")[2]) - exponent
        if max(fraction_digits, exponent) > _MAX_FRACTION_DIGITS:
            found.append(number)

    json.loads(text, parse_float=judge, parse_int=lambda _: None)
    return _out_of_range(found[0]) if found else None


def _out_of_range(number: str) -> Flaw:
    given = re.match(r"[-+.0-9eE]*", number)
    return Flaw(
        Code.NUMBER_OUT_OF_RANGE,
        f"properties holds the number {shown(given.group() if given else number)}; numbers may go"
        f" up to 1e308 and have {_MAX_FRACTION_DIGITS:,} digits after the point",
    )
