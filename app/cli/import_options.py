"""The options of `tidemark import`, and what they mean for a load."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from analytics.calendar import zone
from analytics.errors import InvalidInput, UnknownZone
from analytics.events import COLUMNS
from ingest.columns import ColumnOptions

MAX_BATCH_ROWS = 1_000_000


class Properties(StrEnum):
    """Where properties come from."""

    COLUMN = "column"
    """The column of that name."""
    REST = "rest"
    """All columns that an event doesn't have, and that one."""


class EventId(StrEnum):
    """Where event ids come from."""

    COLUMN = "column"
    """The column of that name."""
    AUTO = "auto"
    """The rows' content."""


FilesArgument = Annotated[
    list[str],
    typer.Argument(
        help="Files, patterns like 'events-*.parquet', or - for the standard input.",
        show_default=False,
    ),
]
ProjectNameOption = Annotated[
    str | None,
    typer.Option("--project", help="Name of the project; with --url the key says it."),
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="csv, ndjson, json, arrow or parquet, also with .gz or .zst behind it. "
        "Default: what the file's name ends in.",
    ),
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="COLUMN=NAME",
        help="The file's own name for a column of an event, like user_id=customer_id; repeatable.",
    ),
]
ZoneOption = Annotated[
    str | None,
    typer.Option(
        "--assume-timezone", metavar="ZONE", help="IANA time zone of times that name none."
    ),
]
PropertiesOption = Annotated[
    Properties,
    typer.Option(
        "--properties-from",
        help="rest: fold all columns that an event doesn't have into properties.",
    ),
]
EventIdOption = Annotated[
    EventId,
    typer.Option(
        "--event-id", help="auto: make ids from the rows' content, for files that have none."
    ),
]
BatchSizeOption = Annotated[
    int, typer.Option("--batch-size", min=1, max=MAX_BATCH_ROWS, help="Most rows to a commit.")
]
RejectsOption = Annotated[
    Path | None,
    typer.Option(
        "--rejects",
        metavar="PATH",
        help="New NDJSON file for rejected rows. Default: NAME.rejects.ndjson in this folder.",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Write nothing; say what would become of the rows.")
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        envvar="TIDEMARK_URL",
        help="Load through the API of a Tidemark elsewhere, like https://host:8000; needs --key.",
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        envvar="TIDEMARK_KEY",
        help="With --url: a key of the scope ingest, which says whose the events are.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def column_options(
    mapping: list[str], properties_from: Properties, event_id: EventId
) -> ColumnOptions:
    """Which columns of a file are those of an event.

    Raises:
        typer.BadParameter: The options can't be meant together, or map nothing.
    """
    try:
        return ColumnOptions(
            names=dict(map(_mapping, mapping)),
            rest=properties_from is Properties.REST,
            derive_ids=event_id is EventId.AUTO,
        )
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from error


def project_name(name: str | None) -> str:
    """The name, which is needed where no key says whose the events are.

    Raises:
        typer.BadParameter: There is none.
    """
    if name is None:
        raise typer.BadParameter("name the project: --project NAME (or --url and --key)")
    return name


def assumed_zone(name: str | None) -> ZoneInfo | None:
    """The zone of this name.

    Raises:
        typer.BadParameter: There is none.
    """
    try:
        return None if name is None else zone(name)
    except UnknownZone as error:
        raise typer.BadParameter(str(error)) from error


def _mapping(text: str) -> tuple[str, str]:
    column, _, name = text.partition("=")
    if column not in COLUMNS or not name:
        raise typer.BadParameter(
            f"{text!r} maps nothing; write a column of an event ({', '.join(COLUMNS)}), = and the"
            " file's own name for it: user_id=customer_id"
        )
    return column, name
