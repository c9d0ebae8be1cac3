"""What a statement of the analyst's own found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from analytics.answer import Meta
from analytics.results.markup import cell, figure, head, table
from analytics.results.tabular import Tabular, came_about

_SHOWN = 20


@dataclass(frozen=True, repr=False)
class StatementResult(Tabular):
    """Rows in the statement's order.

    Attributes:
        table: the rows as they came.
        meta: who answered, as of when.
    """

    table: pa.Table
    meta: Meta

    @property
    def rows(self) -> tuple[tuple[Any, ...], ...]:
        """The rows as Python values."""
        return tuple(zip(*(column.to_pylist() for column in self.table.columns), strict=True))

    def __len__(self) -> int:
        """How many rows."""
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """The rows in order."""
        return iter(self.rows)

    def __repr__(self) -> str:
        """What a terminal shows."""
        return f"<{self.title()}: {', '.join(self.table.column_names)}>"

    def title(self) -> str:
        """See `Tabular.title`."""
        return f"{len(self):,} rows"

    def arrow(self) -> pa.Table:
        """See `Tabular.arrow`."""
        return self.table

    def _repr_html_(self) -> str:
        shown = self.table.slice(0, _SHOWN)
        sides = ["right" if _is_number(column.type) else "left" for column in shown.columns]
        lines = (
            "".join(
                cell("" if value is None else str(value), f"text-align: {side};")
                for value, side in zip(row.values(), sides, strict=True)
            )
            for row in shown.to_pylist()
        )
        more = f"The first {_SHOWN} of them. " if len(self) > _SHOWN else ""
        body = table((head(shown.column_names, sides), *lines))
        return figure(self.title(), body, more + came_about(self.meta))


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )
