"""Properties: JSON texts exactly as Postgres stores them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ingest.properties import Flaw, check_properties, flaw_of
from ingest.rejects import Code
from ingest.rules import MAX_DEPTH, MAX_PROPERTIES_BYTES


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"a":"b","c":1.5,"d":null,"e":[true,{}]}',
        ' { "a" : 1 } ',
        '{"n":9007199254740993}',
        '{"n":123456789012345678901234567890}',
        '{"n":1e308}',
        '{"n":1e-16383}',
        '{"a":"\\\\u0000"}',
        '{"a":"\\ud83d\\ude00","b":"é\U0001f600"}',
        '{"e":"1e99999"}',
        '{"a":1,"a":2}',
        nested(MAX_DEPTH),
        '{"a":"' + "x" * (MAX_PROPERTIES_BYTES - 8) + '"}',
        '{"a":"' + "[" * 100 + '"}',
    ],
)
def test_an_object_that_postgres_stores_keeps_its_text(text: str) -> None:
    assert check_properties(pa.array([text])) == (pa.array([text]), {})


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "[1]",
            Code.INVALID_PROPERTIES,
            """properties '[1]' is not a JSON object like {"plan":"pro"}""",
        ),
        (
            '{"a":NaN}',
            Code.INVALID_PROPERTIES,
            """properties '{"a":NaN}' is not JSON: unexpected character, expected a JSON value"""
            " at character 6",
        ),
        (
            '{"a":"\\ud800"}',
            Code.INVALID_PROPERTIES,
            r"""properties '{"a":"\ud800"}' is not JSON: no low surrogate in string"""
            " at character 7",
        ),
        (
            '{"a":"\\\\\\u0000"}',
            Code.NUL_CHARACTER,
            "properties holds a NUL character (\\u0000), which Postgres can't store",
        ),
        (
            nested(MAX_DEPTH + 1),
            Code.TOO_DEEP,
            "properties nests objects and arrays more than 32 levels deep",
        ),
        (
            nested(5000),
            Code.TOO_DEEP,
            "properties nests objects and arrays more than 32 levels deep",
        ),
        (
            '{"n":[1,-1e309]}',
            Code.NUMBER_OUT_OF_RANGE,
            "properties holds the number '-1e309'; numbers may go up to 1e308 and have 16,383"
            " digits after the point",
        ),
        (
            '{"n":[1e-16384]}',
            Code.NUMBER_OUT_OF_RANGE,
            "properties holds the number '1e-16384'; numbers may go up to 1e308 and have 16,383"
            " digits after the point",
        ),
        (
            '{"n":0e16384}',
            Code.NUMBER_OUT_OF_RANGE,
            "properties holds the number '0e16384'; numbers may go up to 1e308 and have 16,383"
            " digits after the point",
        ),
        (
            '{"a":"' + "x" * (MAX_PROPERTIES_BYTES - 7) + '"}',
            Code.TOO_LONG,
            "properties has 1,048,577 bytes; it may have 1,048,576",
        ),
    ],
)
def test_what_postgres_would_not_store_is_told(text: str, code: Code, message: str) -> None:
    assert flaw_of(text) == Flaw(code, message)


def test_digits_after_the_point_are_counted_with_the_exponent() -> None:
    fits = '{"n":0.' + "1" * 16_383 + "}"
    assert flaw_of(fits) is None
    flaw = flaw_of(fits.replace("}", "e-1}"))
    assert flaw is not None
    assert flaw.code == Code.NUMBER_OUT_OF_RANGE


def test_empty_text_becomes_an_empty_object_and_repeats_are_told_each() -> None:
    texts = pa.array(["left out", "", "x", '{"a":1}', "x"]).slice(1)
    kept, flaws = check_properties(texts)
    message = "properties 'x' is not JSON: unexpected character, expected a JSON value"
    flaw = Flaw(Code.INVALID_PROPERTIES, f"{message} at character 1")
    assert kept.to_pylist() == ["{}", "x", '{"a":1}', "x"]
    assert flaws == {1: flaw, 3: flaw}
