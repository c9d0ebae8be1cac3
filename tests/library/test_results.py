"""What comes back: rows, frames, pictures and files, and what is said where a package lacks."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from xml.etree import ElementTree as ET

import altair as alt
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from analytics import Analytics
from analytics.errors import InvalidInput, MissingPackage
from analytics.results.markup import HATCH
from analytics.results.tabular import Tabular
from tests.data import data_set, event_table
from tests.library.conftest import WEB
from tests.library.tables import table

ROOT = Path(__file__).parents[2]
LAST = "2024-06-29"
PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def sample() -> Iterator[Analytics]:
    with Analytics.from_arrow(event_table(data_set("rete_ecom"))) as sample:
        yield sample


@pytest.fixture(params=["dau", "top_events", "retention", "sql"])
def result(request: pytest.FixtureRequest, sample: Analytics) -> Tabular:
    found: Tabular = {
        "dau": sample.dau,
        "top_events": sample.top_events,
        "retention": sample.retention,
        "sql": lambda: sample.sql("from users order by user_id limit 30"),
    }[request.param]()
    return found


def test_frames_say_what_the_rows_say(result: Tabular, sample: Analytics) -> None:
    rows = result.arrow().to_pylist()
    assert len(rows) > 5
    assert result.polars().to_dicts() == rows
    frame = result.pandas()
    assert list(frame.columns) == result.arrow().column_names
    for name in frame.columns:
        values = [None if value is pd_missing(value) else value for value in frame[name].tolist()]
        assert [getattr(each, "date", lambda e=each: e)() for each in values] == [
            row[name] for row in rows
        ]


def pd_missing(value: object) -> object:
    """The value itself where it stands for none."""
    return value if str(value) == "<NA>" else object()


def test_columns_are_typed(sample: Analytics) -> None:
    assert str(sample.dau().arrow().schema) == "day: date32[day]\ndau: int64"
    assert str(sample.top_events().arrow().schema) == "event_type: string\ncount: int64"
    assert str(sample.retention().arrow().schema) == (
        "cohort: date32[day]\nsize: int64\nweek: int64\nactive: int64\npercent: double\n"
        "complete: bool"
    )


def test_retention_has_a_row_for_each_cell_and_none_where_it_is_unknown(sample: Analytics) -> None:
    answer = sample.retention("2024-06-10", window=4, today=LAST)
    rows = [tuple(row.values()) for row in answer.arrow().to_pylist()]
    assert rows == [
        (date(2024, 6, 10), 2, 0, 2, 100.0, True),
        (date(2024, 6, 10), 2, 1, 2, 100.0, True),
        (date(2024, 6, 10), 2, 2, 0, 0.0, False),
        (date(2024, 6, 10), 2, 3, None, None, False),
    ]


def test_results_survive_pickling_and_are_read_like_sequences(result: Tabular) -> None:
    again = pickle.loads(pickle.dumps(result))  # noqa: S301 - our own
    assert again == result
    assert len(list(again)) == len(again.rows) == len(again)
    assert repr(again).startswith("<")


def test_files_say_what_the_rows_say(result: Tabular, tmp_path: Path) -> None:
    assert pa.parquet.read_table(result.save(tmp_path / "x.parquet")) == result.arrow()
    text = pa.csv.read_csv(result.save(str(tmp_path / "x.CSV")))
    assert text.column_names == result.arrow().column_names
    assert text.num_rows == result.arrow().num_rows
    page = result.save(tmp_path / "x.html").read_text("utf-8")
    assert result._repr_html_() in page
    assert not re.search(r"<script|https?://|<link|@import", page)


def test_html_is_well_formed(result: Tabular) -> None:
    ET.fromstring(result._repr_html_())  # noqa: S314 - our own


def test_html_escapes_what_events_say() -> None:
    events = table(event_type=["<b>bold</b>", "<script>", "x"], user_id=["<u>", "b", "c"])
    with Analytics.from_arrow(events) as held:
        for result in (held.top_events(), held.sql("from events")):
            assert "<script" not in result._repr_html_()
            assert "&lt;b&gt;bold" in result._repr_html_()


@pytest.mark.parametrize("name", ["dau", "top_events", "retention"])
def test_pictures_are_drawn(sample: Analytics, name: str, tmp_path: Path) -> None:
    result = getattr(sample, name)()
    assert isinstance(result.plot(), alt.LayerChart)
    assert result.save(tmp_path / "x.png").read_bytes().startswith(PNG)
    picture = result.save(tmp_path / "x.svg").read_text("utf-8")
    assert result.title() in picture
    ET.fromstring(picture)  # noqa: S314 - our own


def test_answers_without_rows_have_pictures_too(tmp_path: Path) -> None:
    with Analytics.from_arrow(table().slice(0, 0)) as held:
        for result in (held.dau(), held.top_events(), held.retention(), held.sql("from events")):
            assert result._repr_html_()
            assert result.save(tmp_path / "x.csv").exists()
        for result in (held.dau(), held.top_events(), held.retention()):
            assert result.save(tmp_path / "x.svg").exists()


def test_days_of_the_chart_are_not_moved_by_the_readers_zone(sample: Analytics) -> None:
    spec = sample.dau("2024-06-01", "2024-06-10").plot().to_dict()
    scales = {layer["encoding"]["x"]["scale"]["type"] for layer in spec["layer"]}
    assert scales == {"utc"}


def test_weekly_average_is_of_the_seven_days_up_to_each(sample: Analytics) -> None:
    answer = sample.dau("2024-06-01", "2024-06-10")
    users = [row.dau for row in answer]
    averages = answer.weekly_average()
    assert averages[:6] == [None] * 6
    assert averages[6:] == [sum(users[i : i + 7]) / 7 for i in range(4)]
    drawn = answer.plot().to_dict()
    assert [each["average"] for each in drawn["data"]["values"]] == averages
    assert {layer["encoding"]["y"]["field"] for layer in drawn["layer"]} == {"users", "average"}


def test_cells_of_weeks_that_have_not_ended_are_hatched(sample: Analytics) -> None:
    answer = sample.retention("2024-05-06", window=8, today=LAST)
    open_cells = sum(not c.complete and c.active is not None for row in answer for c in row.weeks)
    assert open_cells == len(answer) > 3
    assert answer._repr_html_().count(HATCH) == open_cells
    ended = sample.retention("2024-05-06", window=2, today=LAST)
    assert HATCH not in ended._repr_html_()
    drawn = answer.plot().to_dict()
    [values] = drawn["datasets"].values() if "datasets" in drawn else [drawn["data"]["values"]]
    assert sum(not each["complete"] for each in values) == open_cells
    assert all(each["percent"] is not None for each in values)


def test_file_of_another_kind_is_refused(sample: Analytics, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"x.pdf is no file .* \.csv, \.parquet, \.html, \.svg"):
        sample.dau().save(tmp_path / "x.pdf")
    with pytest.raises(InvalidInput, match=r"end its name in \.csv, \.parquet, \.html$"):
        sample.sql("from users").save(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("module", "use", "install"),
    [
        ("pandas", lambda answer, _: answer.pandas(), "pip install pandas"),
        ("polars", lambda answer, _: answer.polars(), "pip install polars"),
        ("altair", lambda answer, _: answer.plot(), "pip install altair"),
        (
            "vl_convert",
            lambda answer, to: answer.save(to / "x.png"),
            "pip install vl-convert-python",
        ),
    ],
)
def test_missing_package_is_named(
    sample: Analytics,
    module: str,
    use,
    install: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as Python marks what can't be imported
    with pytest.raises(
        MissingPackage, match=rf"{install}, or .*pip install 'tidemark\[notebook\]'"
    ):
        use(sample.dau(), tmp_path)


def modules_after(program: str) -> set[str]:
    """The top-level modules that a fresh Python has imported behind the program."""
    show = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    run = [sys.executable, "-c", f"{program}\n{show}"]
    return set(
        subprocess.run(run, check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()
    )


def test_importing_takes_only_what_is_needed() -> None:
    heavy = {"pyarrow", "duckdb", "numpy", "psycopg"}
    optional = {"pandas", "polars", "altair", "vl_convert", "IPython"}
    assert not modules_after("import analytics") & (heavy | optional | WEB)
    assert not modules_after("from analytics import Analytics") & (optional | WEB)


def test_library_works_without_the_web_packages_and_reads_no_environment() -> None:
    program = f"""
import os, sys
for name in {sorted(WEB)}:
    sys.modules[name] = None  # as Python marks what can't be imported
os.environ.clear()
from analytics import Analytics
with Analytics.from_csv("app/local/sample/rete_ecom.csv.gz") as sample:
    assert len(sample.dau()) == 30
    assert "svg" in sample.dau()._repr_html_()
"""
    assert "analytics" in modules_after(program)


def test_frame_of_polars_is_one(sample: Analytics) -> None:
    assert isinstance(sample.dau().polars(), pl.DataFrame)
    assert str(sample.dau().pandas()["day"].dtype).startswith("datetime64")
