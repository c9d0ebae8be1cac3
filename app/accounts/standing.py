"""Where signed-in users stand now: their generation, and their roles in projects.

Asked of Postgres for every request, those of the same moment in one statement, and never kept:
whoever was removed from a project or had their password changed is out at once, on every server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from analytics.events import ProjectId
from analytics.project import Project
from app.accounts.access import Role
from app.accounts.projects import project_of
from app.database.looks import Looks


class Asked(NamedTuple):
    """A user, and the project that their request names, if it does."""

    user_id: int
    project_id: ProjectId | None


class Membership(NamedTuple):
    """A project that a user belongs to, and as what."""

    project: Project
    role: Role


@dataclass(slots=True)
class Standing:
    """What holds of a user at this moment.

    Attributes:
        email: normalised.
        generation: `token_version`; tokens of an earlier one are void.
        memberships: in the project asked about, or, if none was named, in the first two: enough to
            see whether there is only one.
    """

    email: str
    generation: int
    memberships: list[Membership] = field(default_factory=list)


STANDINGS: Final = """/* tidemark standings */
    select asked.number, users.email, users.token_version, member.*
    from unnest($1::int[], $2::int[])
        with ordinality as asked (user_id, project_id, number)
    join users on users.id = asked.user_id
    left join lateral (
        select members.role, projects.id, projects.name, projects.timezone, projects.week_start
        from members join projects on projects.id = members.project_id
        where members.user_id = users.id
            and (asked.project_id is null or members.project_id = asked.project_id)
        order by members.project_id
        limit 2
    ) as member on true
    order by asked.number, member.id
"""


async def standings(looks: Looks, asked: Sequence[Asked]) -> list[Standing | None]:
    """Where each stands; None for users that there aren't (any more)."""
    found: dict[int, Standing] = {}
    different = list(dict.fromkeys(asked))
    users = [each.user_id for each in different]
    for row in await looks.rows(STANDINGS, users, [each.project_id for each in different]):
        standing = found.setdefault(row.number, Standing(row.email, row.token_version))
        if row.role is not None:
            standing.memberships.append(Membership(project_of(row), Role(row.role)))
    number = {each: place for place, each in enumerate(different, 1)}
    return [found.get(number[each]) for each in asked]
