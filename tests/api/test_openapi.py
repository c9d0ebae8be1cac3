"""The whole API against its own description: whatever is sent, no crash and no answer undeclared.

schemathesis makes the requests: examples, the edges of every schema, and random ones, valid and
not. They go over a socket to the server as `tidemark serve` runs it. (Its own decorator gives all
operations one name, of which pytest-xdist runs one.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import Case, GenerationMode
from schemathesis.config import GenerationConfig
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.main import create_app
from app.media import media_types
from app.settings import Settings
from tests.api.conftest import Caller
from tests.api.test_sockets import serving

UNLIMITED: Final = 10**9
DESCRIPTION: Final = create_app(Settings(), local=True).openapi()
API: Final = schemathesis.openapi.from_dict(DESCRIPTION)
OPERATIONS: Final[list[APIOperation[Any, Any, Any]]] = [
    found.ok() for found in API.get_all_operations()
]
FEW, MANY = 5, 250
Headers = Mapping[str, str]

schemathesis.serializer.alias(
    [media_type for media_type in media_types() if media_type != "application/json"],
    "application/octet-stream",
)


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[str]:
    generous = {name: UNLIMITED for name in Settings.model_fields if name.endswith("rate_limit")}
    with serving(settings.model_copy(update=generous)) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="module")
def admitted(caller: Caller) -> Callable[[Case], Headers]:
    """The headers of somebody who may do what a request asks for."""

    def headers(case: Case) -> Headers:
        return caller.ingest if case.path.endswith("/events") else caller.read

    return headers


def check(case: Case, address: str, headers: Headers) -> None:
    """Sends a request, and holds the answer against the description and HTTP."""
    # A schema can't say that `from` is before `to`, or that a row of CSV is an event.
    case.call_and_validate(
        base_url=address, headers=dict(headers), excluded_checks=[positive_data_acceptance]
    )


def edges(operation: APIOperation[Any, Any, Any]) -> Iterator[Case]:
    """Requests at the edges of the operation's schemas, within and beyond."""
    return API.iter_coverage_cases(
        operation, generation_modes=list(GenerationMode), generation_config=GenerationConfig()
    )


def modes(operation: APIOperation[Any, Any, Any]) -> list[GenerationMode]:
    """Only what takes something can be given something wrong."""
    takes = [*operation.iter_parameters(), *operation.body]
    return list(GenerationMode) if takes else [GenerationMode.POSITIVE]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
@pytest.mark.parametrize("known", [True, False], ids=["with credentials", "without"])
@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_every_answer_is_a_declared_one(
    operation: APIOperation[Any, Any, Any],
    known: bool,
    examples: int,
    address: str,
    admitted: Callable[[Case], Headers],
) -> None:
    sent = 0

    def send(case: Case) -> None:
        nonlocal sent
        sent += 1
        check(case, address, admitted(case) if known else {})

    for case in edges(operation):
        send(case)
    for mode in modes(operation):
        bounded = hypothesis_settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate),
        )
        bounded(given(case=operation.as_strategy(mode))(send))()
    print(f"{operation.label}: {sent} requests")
