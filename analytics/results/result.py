"""The answer to a question, with its picture."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from analytics.answer import Meta, RowT_co
from analytics.questions.question import Question
from analytics.results.extras import package
from analytics.results.tabular import Tabular

if TYPE_CHECKING:
    import altair as alt

_PIXELS_PER_POINT = 2.0  # sharp on the screens people have


@dataclass(frozen=True, repr=False)
class Result(Tabular, Generic[RowT_co]):
    """Rows in the question's own order, how they came about, and what was asked.

    Attributes:
        question: what was asked.
        rows: the answer, as the question describes it.
        meta: who answered, why, as of when.
    """

    question: Question[RowT_co]
    rows: tuple[RowT_co, ...]
    meta: Meta

    def __len__(self) -> int:
        """How many rows."""
        return len(self.rows)

    def __iter__(self) -> Iterator[RowT_co]:
        """The rows in order."""
        return iter(self.rows)

    def __repr__(self) -> str:
        """What a terminal shows."""
        return f"<{self.title()}: {len(self)} rows, {self.meta.engine}>"

    @abstractmethod
    def plot(self) -> alt.LayerChart:
        """The answer as an Altair chart, which Jupyter and marimo show and which can be changed.

        Raises:
            MissingPackage: altair is not installed.
        """

    def _zone(self) -> str:
        return self.question.project.timezone

    def _save_svg(self, target: Path) -> None:
        target.write_text(_converter().vegalite_to_svg(self._drawn()), encoding="utf-8")

    def _save_png(self, target: Path) -> None:
        target.write_bytes(_converter().vegalite_to_png(self._drawn(), scale=_PIXELS_PER_POINT))

    def _drawn(self) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.plot().to_dict()
        return spec

    writers: ClassVar[Mapping[str, Callable[..., None]]] = {
        **Tabular.writers,
        ".svg": _save_svg,
        ".png": _save_png,
    }


def _converter() -> Any:
    return package("vl_convert", "vl-convert-python", "A picture file")


def charts() -> Any:
    """Altair.

    Raises:
        MissingPackage: it is not installed.
    """
    return package("altair", "altair", "A chart")


def finished(chart: Any, title: Any, width: Any, height: Any) -> alt.LayerChart:
    """The chart with what all of ours have: a quiet frame, and a title at its left."""
    done: alt.LayerChart = (
        chart.properties(title=title, width=width, height=height)
        .configure_view(stroke=None)
        .configure_axis(
            grid=False, domainColor="#999", tickColor="#999", labelColor="#555", titleColor="#555"
        )
        .configure_title(anchor="start", fontSize=14, offset=12)
        .configure_legend(titleColor="#555", labelColor="#555")
    )
    return done
