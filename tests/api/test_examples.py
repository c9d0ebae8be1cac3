"""The description of the API shows by example what goes in and out, and its examples are valid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from app.main import create_app
from app.settings import Settings

# What a reader can tell without an example.
SELF_EXPLAINING = {"boolean", "null"}


def described() -> dict[str, Any]:
    app = create_app(Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing"))
    found: dict[str, Any] = app.openapi()
    return found


DESCRIBED = described()
SCHEMAS: dict[str, Any] = DESCRIBED["components"]["schemas"]


def properties() -> Iterator[Any]:
    for name, schema in SCHEMAS.items():
        for field, about in schema.get("properties", {}).items():
            yield pytest.param(schema, field, about, id=f"{name}.{field}")


def types(about: dict[str, Any]) -> set[str]:
    """What the values of a property may be."""
    parts = about.get("anyOf", [about])
    return {part["type"] for part in parts if "type" in part}


def is_of_others(about: dict[str, Any]) -> bool:
    """Whether its values are described by another schema, which has examples of its own."""
    parts = [*about.get("anyOf", [about]), about.get("items", {})]
    return any("$ref" in part for part in parts)


@pytest.mark.parametrize(("schema", "field", "about"), list(properties()))
def test_every_property_has_a_valid_example(
    schema: dict[str, Any], field: str, about: dict[str, Any]
) -> None:
    whole = schema.get("example", {})
    examples = [*about.get("examples", []), *([whole[field]] if field in whole else [])]
    resolvable = {**about, "components": {"schemas": SCHEMAS}}
    validator = Draft202012Validator(resolvable, format_checker=FormatChecker())
    for example in examples:
        validator.validate(example)

    plain = bool(types(about)) and types(about) <= SELF_EXPLAINING
    assert examples or is_of_others(about) or "enum" in about or plain


@pytest.mark.parametrize("name", [name for name, schema in SCHEMAS.items() if "example" in schema])
def test_an_example_is_what_its_schema_says(name: str) -> None:
    whole = {**SCHEMAS[name], "components": {"schemas": SCHEMAS}}
    Draft202012Validator(whole, format_checker=FormatChecker()).validate(whole["example"])


@pytest.mark.parametrize("path", sorted(DESCRIBED["paths"]))
def test_every_body_of_json_has_an_example(path: str) -> None:
    for about in DESCRIBED["paths"][path].values():
        bodies = [about.get("requestBody", {}), about.get("responses", {}).get("200", {})]
        for body in bodies:
            schema = body.get("content", {}).get("application/json", {}).get("schema", {})
            for part in schema.get("anyOf", [schema]):
                named = part.get("$ref") or part.get("items", {}).get("$ref")
                if named:
                    assert "example" in SCHEMAS[named.rpartition("/")[2]], named
