"""The whole API against its own description: whatever is sent, no crash and no answer undeclared.

schemathesis makes the requests: examples, the edges of every schema, and random ones, valid and
not. They go over a socket to the server as `tidemark serve` runs it. (Its own decorator gives all
operations one name, of which pytest-xdist runs one.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from schemathesis import Case, GenerationMode
from schemathesis.config import GenerationConfig
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

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
FEW, MANY = 6, 210
Headers = Mapping[str, str]

schemathesis.serializer.alias(
    [media_type for media_type in media_types() if media_type != "application/json"],
    "application/octet-stream",
)


@pytest.fixture(scope="module")
def address(settings: Settings, patience: None) -> Iterator[str]:
    changes: dict[str, object] = {
        name: UNLIMITED for name in Settings.model_fields if name.endswith("rate_limit")
    }
    changes |= {"auth_longest_wait": timedelta(0)}
    with serving(settings.model_copy(update=changes)) as (host, port):
        yield f"http://{host}:{port}"


class Owner:
    """A user with a project, logged in whenever a request has ended the session."""

    CREDENTIALS: Final = {"email": "owner@example.com", "password": "correct horse battery"}

    def __init__(self, address: str) -> None:
        self._auth = f"{address}/api/auth"
        httpx.post(f"{self._auth}/register", json=self.CREDENTIALS).raise_for_status()
        self._log_in()
        project = {"name": "owner's", "timezone": "UTC", "week_start": "monday"}
        made = httpx.post(f"{address}/api/projects", json=project, headers=self.headers)
        self.project_id: int = made.raise_for_status().json()["id"]

    def still_in(self) -> Headers:
        """The headers of the owner, who is logged in."""
        if httpx.get(f"{self._auth}/me", headers=self.headers).status_code == 401:
            self._log_in()
        return self.headers

    def _log_in(self) -> None:
        answer = httpx.post(f"{self._auth}/login", json=self.CREDENTIALS).raise_for_status()
        self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture(scope="module")
def owner(address: str) -> Owner:
    return Owner(address)


def check(case: Case, address: str, headers: Headers) -> None:
    """Sends a request, and holds the answer against the description and HTTP."""
    case.call_and_validate(
        base_url=address, headers=dict(headers), excluded_checks=not_checked(case)
    )


def not_checked(case: Case) -> list[Callable[..., bool | None]]:
    """What a description can't say."""
    # That `from` is before `to`, or that a row of CSV is an event.
    unknown = [positive_data_acceptance]
    # That what is wrong is in the answer.
    skips = (case.query or {}).get("on_reject") == "skip"
    return [*unknown, negative_data_rejection] if skips else unknown


def edges(operation: APIOperation[Any, Any, Any]) -> Iterator[Case]:
    """Requests at the edges of the operation's schemas, within and beyond."""
    return API.iter_coverage_cases(
        operation, generation_modes=list(GenerationMode), generation_config=GenerationConfig()
    )


def modes(operation: APIOperation[Any, Any, Any]) -> list[GenerationMode]:
    """Only what takes something can be given something wrong."""
    takes = [*operation.iter_parameters(), *operation.body]
    return list(GenerationMode) if takes else [GenerationMode.POSITIVE]


def admitted(operation: APIOperation[Any, Any, Any], caller: Caller, owner: Owner) -> Headers:
    """The headers of somebody who may do what an operation does."""
    if operation.path.endswith("/events"):
        return caller.ingest
    return caller.read if "/stats/" in operation.path else owner.still_in()


def bounded(examples: int) -> hypothesis_settings:
    """So many requests, the same ones each time."""
    return hypothesis_settings(
        max_examples=examples,
        stateful_step_count=8,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),
    )


EXAMPLES = pytest.mark.parametrize(
    "examples", [FEW, pytest.param(MANY, marks=[pytest.mark.exhaustive, pytest.mark.timeout(1800)])]
)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
@EXAMPLES
def test_every_answer_is_a_declared_one(
    operation: APIOperation[Any, Any, Any],
    examples: int,
    address: str,
    caller: Caller,
    owner: Owner,
) -> None:
    sent = 0
    headers = admitted(operation, caller, owner)

    def send(case: Case) -> None:
        nonlocal sent
        sent += 1
        check(case, address, headers)

    def send_about_own(case: Case) -> None:
        if "project_id" in (case.path_parameters or {}):
            case.path_parameters["project_id"] = owner.project_id
        send(case)

    for case in edges(operation) if examples == MANY else ():
        send(case)
    for mode in modes(operation):
        about = send_about_own if mode is GenerationMode.POSITIVE else send
        each = examples // len(modes(operation))
        bounded(each)(given(case=operation.as_strategy(mode))(about))()
    print(f"{operation.label}: {sent} requests")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
@EXAMPLES
def test_every_answer_to_a_stranger_is_a_declared_one(
    operation: APIOperation[Any, Any, Any], examples: int, address: str
) -> None:
    for mode in modes(operation):
        strategy, each = operation.as_strategy(mode), examples // len(modes(operation))
        bounded(each)(given(case=strategy)(lambda case: check(case, address, {})))()


@EXAMPLES
def test_every_answer_on_a_way_through_the_api_is_a_declared_one(
    examples: int, address: str, owner: Owner
) -> None:
    """What one answer names, the next request asks about."""
    sent = 0

    class Ways(API.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            self.headers = dict(owner.still_in())

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            return {"base_url": address, "headers": self.headers}

        def validate_response(self, response: Any, case: Case, **_: Any) -> None:
            nonlocal sent
            sent += 1
            case.validate_response(response, excluded_checks=not_checked(case))

    # One by one: within a run Hypothesis goes a way again, and the answers on it differ by then.
    for number in range(examples):
        seed(number)(Ways)
        Ways.run(settings=bounded(1))
    assert sent
    print(f"{sent} requests on {examples} ways")
