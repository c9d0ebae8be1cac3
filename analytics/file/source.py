"""A Parquet or CSV file, or a table in memory, as the relation `source` of a DuckDB database."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any, Final, TypeAlias

import duckdb
import pyarrow as pa

from analytics.duck import quoted
from analytics.errors import InvalidInput, gist
from analytics.events import COLUMNS

PathLike: TypeAlias = str | os.PathLike[str]

_PARQUET: Final = "create temporary view source as from read_parquet([{files}])"
# Everything as text: what a column means is not for a CSV reader to guess.
_CSV: Final = """
create temporary view source as from read_csv([{files}], all_varchar = true, header = true)"""
_UNREAD: Final = "another type"


@dataclass(frozen=True, slots=True)
class Source:
    """Events that wait to be read.

    Attributes:
        name: what people call it.
        define: makes the relation `source` in a database, and tells the DuckDB types of all its
            columns by name.
    """

    name: str
    define: Callable[[duckdb.DuckDBPyConnection], Mapping[str, str]]


def parquet(path: PathLike) -> Source:
    """A Parquet file, or all that a pattern like `events-*.parquet` matches.

    Raises:
        InvalidInput: there is none.
    """
    return _files(path, _PARQUET)


def csv(path: PathLike) -> Source:
    """A CSV file with a header, plain or in gzip or zstd, or all that a pattern matches.

    Raises:
        InvalidInput: there is none.
    """
    return _files(path, _CSV)


def arrow(table: object, wanted: Mapping[str, str], name: str = "a table") -> Source:
    """Anything that can be had as Arrow: a table, a reader, a Polars frame. `wanted` are renamings.

    Raises:
        InvalidInput: it can't.
    """
    try:
        whole = table if isinstance(table, pa.Table) else pa.table(table)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise InvalidInput(
            f"{type(table).__name__} can't be read as Arrow ({gist(error)}); give a table, a "
            "record batch or its reader"
        ) from error
    for column in COLUMNS:
        if whole.schema.names.count(wanted.get(column, column)) > 1:
            raise InvalidInput(
                f"There are several columns {wanted.get(column, column)!r}; leave one of them",
                field=column,
            )
    chosen = whole.select(_chosen(whole.schema.names, wanted))
    return _registered(chosen, name, whole.schema.names)


def pandas(frame: Any, wanted: Mapping[str, str]) -> Source:
    """A pandas data frame; its index is no column.

    Raises:
        InvalidInput: it is none, or a column holds values that no one type has.
    """
    names = [name for name in getattr(frame, "columns", ()) if isinstance(name, str)]
    chosen = _chosen(names, wanted)
    try:
        table = pa.Table.from_pandas(frame[chosen], preserve_index=False)
    except (TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        raise InvalidInput(
            f"{type(frame).__name__} can't be read as a data frame ({gist(error)}); give each "
            "column one type"
        ) from error
    return _registered(table, "a data frame", names)


def _chosen(names: Sequence[str], wanted: Mapping[str, str]) -> list[str]:
    return [name for name in {wanted.get(each, each): None for each in COLUMNS} if name in names]


def _registered(table: pa.Table, name: str, names: Sequence[str]) -> Source:
    def define(database: duckdb.DuckDBPyConnection) -> Mapping[str, str]:
        types = dict.fromkeys(names, _UNREAD)
        if table.num_columns:
            database.register("source", table)
            types.update(_described(database))
        return types

    return Source(name, define)


def _files(path: PathLike, reader: str) -> Source:
    text = os.fspath(path)
    if "://" in text:
        raise InvalidInput(f"{text} is not a file of this machine; download it and name the file")
    found = [text] if Path(text).is_file() else sorted(glob(os.path.expanduser(text)))  # noqa: PTH111, PTH207 - patterns may be absolute
    if not found or Path(text).is_dir():
        raise InvalidInput(
            f"There is no file {text} (in {Path.cwd()}); name one, or a pattern like 'events-*'"
        )

    def define(database: duckdb.DuckDBPyConnection) -> Mapping[str, str]:
        define_source = reader.format(files=", ".join(map(quoted, found)))
        try:
            database.execute(define_source)
        except duckdb.Error as error:
            raise unreadable(error, text) from error
        return _described(database)

    return Source(Path(text).name, define)


def unreadable(error: duckdb.Error, name: str) -> InvalidInput:
    """What to say when DuckDB can't make sense of a source."""
    return InvalidInput(f"{name} can't be read: {gist(error)}; is it what it is called?")


def _described(database: duckdb.DuckDBPyConnection) -> dict[str, str]:
    rows = database.execute("describe source").fetchall()
    return {name: kind for name, kind, *_ in rows}
