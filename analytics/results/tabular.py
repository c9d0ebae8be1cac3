"""What every result can do: be a table of Arrow, pandas or Polars, and be saved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from analytics.answer import Meta
from analytics.errors import InvalidInput
from analytics.results.extras import package
from analytics.results.markup import page

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


class Tabular(ABC):
    """Columns of a result, and the facts about how it came about. It can be pickled."""

    meta: Meta

    @abstractmethod
    def arrow(self) -> pa.Table:
        """The rows in their order, a column for each of their fields."""

    @abstractmethod
    def _repr_html_(self) -> str:
        """What notebooks show."""

    @abstractmethod
    def title(self) -> str:
        """What the result shows, in a few words."""

    def pandas(self) -> pd.DataFrame:
        """The rows as a pandas data frame: days are datetime64, missing numbers <NA>.

        Raises:
            MissingPackage: pandas is not installed.
        """
        pandas = package("pandas", "pandas", "A data frame")
        frame: pd.DataFrame = self.arrow().to_pandas(
            date_as_object=False,
            types_mapper={
                pa.int64(): pandas.Int64Dtype(),
                pa.float64(): pandas.Float64Dtype(),
                pa.bool_(): pandas.BooleanDtype(),
            }.get,
        )
        return frame

    def polars(self) -> pl.DataFrame:
        """The rows as a Polars data frame.

        Raises:
            MissingPackage: polars is not installed.
        """
        polars = package("polars", "polars", "A Polars data frame")
        frame: pl.DataFrame = polars.from_arrow(self.arrow())
        return frame

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the result to a file, in the form that its name ends in; where it is now.

        .csv and .parquet hold the rows, .html the page that a notebook shows, which needs nothing
        from elsewhere. Answers to questions also go as .png and .svg, their picture.

        Raises:
            InvalidInput: the name ends in nothing of these.
            MissingPackage: a picture needs a package that is not installed.
            OSError: the file can't be written.
        """
        target = Path(fspath(path)).expanduser()
        write = self.writers.get(target.suffix.lower())
        if write is None:
            known = ", ".join(self.writers)
            raise InvalidInput(f"{target.name} is no file to save this to; end its name in {known}")
        write(self, target)
        return target

    def _save_csv(self, target: Path) -> None:
        pyarrow.csv.write_csv(self.arrow(), target)

    def _save_parquet(self, target: Path) -> None:
        pyarrow.parquet.write_table(self.arrow(), target)

    def _save_html(self, target: Path) -> None:
        target.write_text(page(self.title(), self._repr_html_()), encoding="utf-8")

    writers: ClassVar[Mapping[str, Callable[..., None]]] = {
        ".csv": _save_csv,
        ".parquet": _save_parquet,
        ".html": _save_html,
    }


def came_about(meta: Meta) -> str:
    """One line on who answered, why, how fast and as of when."""
    as_of = meta.as_of.strftime("%Y-%m-%d %H:%M:%S")
    lag = f", {meta.lag_seconds:g} s behind" if meta.lag_seconds else ""
    return f"{meta.engine}: {meta.reason}; {meta.elapsed_ms:,.1f} ms; as of {as_of} UTC{lag}"
