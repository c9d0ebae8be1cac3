"""Users: an e-mail address, the hash of a password, and a generation.

The generation (`token_version`) goes up with every change of the password and every logout from all
devices; tokens of an earlier one are void, whatever Redis says.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.accounts.errors import EmailTaken, InvalidEmail, UnknownUser
from app.database.tables import users

MOST_CHARACTERS: Final = 254
# Letters and marks to Unicode's categories, and nothing to the eye: an address with one would look
# like another's. The rest of what it calls Default_Ignorable is of category C.
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
_COLUMNS = (users.c.id, users.c.email, users.c.password_hash, users.c.token_version)


class User(NamedTuple):
    """An account."""

    id: int
    email: str
    password_hash: str
    generation: int


def normalised(email: str) -> str:
    """The one spelling of an address: Unicode form KC, without differences of case.

    Raises:
        InvalidEmail: It is none. Nothing is written to it, so this is about its form only.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", email).casefold())
    local, at, domain = folded.partition("@")
    odd = _UNSEEN.search(folded) or any(unicodedata.category(each)[0] in "CZ" for each in folded)
    if odd or not (local and at and domain) or "@" in domain or len(folded) > MOST_CHARACTERS:
        raise InvalidEmail(field="email")
    return folded


async def create(connection: AsyncConnection, email: str, password_hash: str) -> User:
    """Makes an account for a normalised address.

    Raises:
        EmailTaken: The address has one.
    """
    values = {"email": email, "password_hash": password_hash}
    try:
        async with connection.begin_nested():
            statement = insert(users).values(values).returning(*_COLUMNS)
            row = (await connection.execute(statement)).one()
    except IntegrityError as error:
        raise EmailTaken(field="email") from error
    return _user(row)


async def by_email(connection: AsyncConnection, email: str) -> User | None:
    """The user with a normalised address."""
    statement = select(*_COLUMNS).where(users.c.email == email)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _user(row)


async def by_id(connection: AsyncConnection, user_id: int) -> User:
    """The user with this id.

    Raises:
        UnknownUser: There is none (any more).
    """
    row = (await connection.execute(select(*_COLUMNS).where(users.c.id == user_id))).one_or_none()
    if row is None:
        raise UnknownUser
    return _user(row)


async def all_users(connection: AsyncConnection) -> list[User]:
    """Everybody, in the order they came."""
    return [_user(row) for row in await connection.execute(select(*_COLUMNS).order_by(users.c.id))]


async def rehash(connection: AsyncConnection, user: User, password_hash: str) -> None:
    """Keeps another hash of the same password, unless it was changed meanwhile."""
    same = (users.c.id == user.id) & (users.c.password_hash == user.password_hash)
    await connection.execute(update(users).where(same).values(password_hash=password_hash))


async def set_password(connection: AsyncConnection, user_id: int, password_hash: str) -> User:
    """Keeps the hash of a new password, and begins a generation.

    Raises:
        UnknownUser: There is no such user (any more).
    """
    return await _begin_generation(connection, user_id, {"password_hash": password_hash})


async def begin_generation(connection: AsyncConnection, user_id: int) -> User:
    """Makes every token of the user void.

    Raises:
        UnknownUser: There is no such user (any more).
    """
    return await _begin_generation(connection, user_id, {})


async def remove(connection: AsyncConnection, user_id: int) -> None:
    """Deletes an account and its memberships, if it is there."""
    await connection.execute(delete(users).where(users.c.id == user_id))


async def _begin_generation(
    connection: AsyncConnection, user_id: int, changed: dict[str, str]
) -> User:
    statement = (
        update(users)
        .where(users.c.id == user_id)
        .values(token_version=users.c.token_version + 1, **changed)
        .returning(*_COLUMNS)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise UnknownUser
    return _user(row)


def _user(row: Row[*tuple[Any, ...]]) -> User:
    return User(row.id, row.email, row.password_hash, row.token_version)
