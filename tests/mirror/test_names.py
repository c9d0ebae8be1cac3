"""Whose events they are: names come whole from Postgres, and no two are taken for one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import pytest

from analytics.mirror import users
from analytics.mirror.columns import read_counted
from tests.mirror.conftest import Write, insert
from tests.mirror.hand_kept import HandKept

LIMIT: Final = timedelta(seconds=10)
# U+00FF and U+07FF are the ones whose bytes come nearest to the separator.
NAMES: Final = ("a", "\x01\x1e", "ÿ", "\u07ff", "\U0010ffff", "☃" * 200, "'\\xff'", ",")


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1"])
@pytest.mark.parametrize("names", [NAMES, NAMES[:1]], ids=["many", "one"])
def test_names_are_read_whole_whatever_the_client_is_set_to(
    mirror: HandKept,
    connect: Write,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    encoding: str,
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", encoding)
    writer = connect()
    writer.execute("set client_encoding to utf8")
    for name in names:
        insert(writer, user=name)
    with mirror.sessions.connection() as connection:
        parameters = {"horizon": 0, "project_id": 1, "most": 100}
        columns = ["user_id", "occurred_at"]
        found, of_all = read_counted(connection, "tail", parameters, columns)
    assert of_all == len(names)
    assert sorted(found["user_id"].to_pylist()) == sorted(names)
    assert len(found["occurred_at"]) == len(names)


def test_another_with_the_same_hash_is_another(
    mirror: HandKept,
    connect: Write,
    exact: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(users, "MOST_BYTES", -1)  # those in memory have hashes of their own
    writer = connect()
    insert(writer, user="ann")
    store = mirror.open_or_build()
    with store.writing() as cursor:
        cursor.execute("update users set name_hash = hash('bob')")
    insert(writer, user="bob")
    exact()
    mirror.sync()
    exact()
    with store.reading(LIMIT) as (cursor, _):
        names = cursor.execute("select user_id from users order by user_key").fetchall()
    assert names == [("ann",), ("bob",)]
