"""What scopes and roles allow, and what a refusal says."""

from __future__ import annotations

import pytest

from analytics.events import ProjectId
from analytics.project import Project
from app.accounts.access import ALLOWED, Caller, Permission, Role
from app.accounts.errors import Forbidden
from app.accounts.keys import Scope

PROJECT = Project(ProjectId(1), "shop")


def test_a_higher_role_may_all_that_a_lower_one_may() -> None:
    assert ALLOWED[Role.VIEWER] < ALLOWED[Role.MEMBER] < ALLOWED[Role.OWNER] == set(Permission)


def test_a_key_sends_or_asks_and_nothing_else() -> None:
    assert ALLOWED[Scope.INGEST] == {Permission.SEND_EVENTS}
    assert ALLOWED[Scope.READ] == {Permission.ASK_QUESTIONS}


def test_every_scope_and_role_has_its_line() -> None:
    assert set(ALLOWED) == {*Scope, *Role}
    assert len(ALLOWED) == len(Scope) + len(Role)


@pytest.mark.parametrize(
    ("holds", "permission", "message"),
    [
        (
            Scope.READ,
            Permission.SEND_EVENTS,
            "This key has the scope read; to send events takes a key of the scope ingest.",
        ),
        (
            Scope.INGEST,
            Permission.MANAGE_KEYS,
            "This key has the scope ingest; to manage API keys takes a signed-in owner or member.",
        ),
        (
            Role.VIEWER,
            Permission.SEND_EVENTS,
            "You are viewer of this project; to send events takes the role owner or member.",
        ),
    ],
)
def test_a_refusal_says_what_would_do(
    holds: Role | Scope, permission: Permission, message: str
) -> None:
    with pytest.raises(Forbidden) as caught:
        Caller(PROJECT, holds).require(permission)
    assert str(caught.value) == message


def test_callers_are_told_apart_by_name() -> None:
    callers = [
        Caller(PROJECT, Scope.READ, key_id=7),
        Caller(PROJECT, Role.OWNER, user_id=7),
        Caller(PROJECT, Role.OWNER),
    ]
    assert [caller.name for caller in callers] == ["key:7", "user:7", "benchmark"]
