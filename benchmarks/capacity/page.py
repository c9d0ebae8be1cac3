"""docs/capacity.md: what was measured, and the arithmetic that leads from it to a machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.capacity.storing import V4, V7
from benchmarks.markdown import circumstances, table

ROOT: Final = Path(__file__).parents[2]
PUBLISHED: Final = ROOT / "benchmarks/results/capacity.json"
PUBLISHED_REMOVALS: Final = ROOT / "benchmarks/results/removals.json"
PAGE: Final = ROOT / "docs/capacity.md"
A_DAY: Final = (1_000_000, 10_000_000, 100_000_000)
KEPT_DAYS: Final = 90
# A day's events come within a third of it, and a processor should be half idle even then.
PEAK: Final = 3
HEADROOM: Final = 2
_SECONDS: Final = 86_400
_INTRODUCTION: Final = """\
# How large a machine

Written by `make capacity` from what it measured in some minutes,
[capacity.json](../benchmarks/results/capacity.json); don't edit it (`make capacity-page` writes it
from the file alone). Small sizes were measured and large ones worked out, so each table says how.
Measure with properties like your own before you buy: they weigh most. What to do when a table has
grown large is in [growth.md](growth.md).
"""
_STORED: Final = """\
## What an event takes of Postgres

Bytes and microseconds an event, by the senders' kind of ids; properties of some eighty bytes. `log`
is what is written ahead (and again by each checkpoint, and sent to each replica). Processor time is
that of all of Postgres's processes, vacuum included, and of the loader, which decodes, checks and
sends.
"""
_KEY: Final = """\
Random ids (version 4) fall all over the key's index, so every page of it is read and written again
and again, and left a quarter empty; ids in order of time (version 7) are appended. Both are exact.
`reindex index concurrently pk_events` packs the index anew beside everything else.
"""
_MIRROR: Final = "## What a mirror takes\n"
_PARTITIONS: Final = """\
## What partitions cost

By hash of the id. A look is the statement at Postgres that each exact answer waits for; 0 is the
table as it is made.
"""


def page(result: dict[str, Any], removals: dict[str, Any]) -> str:
    """The whole page, as Markdown."""
    return "\n".join([*_parts(result), removals_part(removals)])


def _parts(result: dict[str, Any]) -> Iterator[str]:
    yield _INTRODUCTION
    yield circumstances(result["taken_at"], result["machine"], result)
    yield from _machine(result["storing"])
    stored = result["storing"]["stored"]
    yield _STORED
    yield _bytes(stored)
    yield _KEY
    yield _MIRROR
    yield from _mirror(result["storing"]["builds"])
    yield _PARTITIONS
    heads = ["partitions", "a look, ms", "events/s loaded"]
    rows = [
        [str(each["partitions"]), f"{each['look_ms']:.2f}", f"{each['events_per_second']:,}"]
        for each in result["partitions"]
    ]
    yield table(heads, rows)


def per_event(storing: dict[str, Any], ids: str) -> dict[str, float]:
    """The figures of the largest size, for one kind of ids."""
    found: dict[str, float] = [each for each in storing["stored"] if each["ids"] == ids][-1]
    return found


def gigabytes_of_postgres(one: dict[str, float], events: float) -> float:
    """Table and indexes."""
    return (one["heap"] + one["key"] + one["by_number"] + one["by_time"]) * events / 1e9


def _machine(storing: dict[str, Any]) -> Iterator[str]:
    one, build = per_event(storing, V7), storing["builds"][-1]
    random = per_event(storing, V4)
    bytes_of_mirror = build["bytes_per_event"]
    memory = memory_slope(storing["builds"])
    processor = (one["postgres_us"] + one["loader_us"]) / 1e6
    yield f"""## From events a day to a machine

{KEPT_DAYS} days kept, ids of version 7, one serving process; for version 4 see below.

- **disk of Postgres** = events kept x {gigabytes_of_postgres(one, 1e9):.0f} bytes, and what is
  written ahead, {one["log"]:.0f} bytes an event, for backups or a replica that is away
- **disk of a mirror** = events kept x {bytes_of_mirror} bytes, as at the largest size below (ten
  million take 25 bytes each: [mirror-figures.md](mirror-figures.md)); twice while it is built anew
- **key touched**: the part of the key's index that a day's loads read and write, which should fit
  in memory: {one["key"]:.0f} bytes x a day's events for version 7; {random["key"]:.0f} bytes x all
  events kept for version 4
- **memory of a mirror's process**: {memory[0]:,.0f} MB and {memory[1]:.0f} MB for each million
  events while it is built, until `DUCKDB_MEMORY_MB` and some 400 MB are reached
- **cores of loading** = events a day / {_SECONDS:,} s x {processor * 1e6:.1f} us x {PEAK} (a day's
  events come within a third of it) x {HEADROOM} (half idle at that). Files and large bodies; JSON
  of a few events costs more ([ingest-http.md](ingest-http.md)). One core more for questions and
  syncs, and one for vacuum
"""
    heads = [
        "events a day",
        "kept",
        "Postgres",
        "log a day",
        "mirror",
        "key touched",
        "key touched, version 4",
        "cores of loading",
    ]
    rows = []
    for events in A_DAY:
        kept = events * KEPT_DAYS
        cores = events / _SECONDS * processor * PEAK * HEADROOM
        rows.append(
            [
                f"{events:,}",
                f"{kept / 1e9:,.2f} billion",
                f"{gigabytes_of_postgres(one, kept):,.0f} GB",
                f"{one['log'] * events / 1e9:,.1f} GB",
                f"{bytes_of_mirror * kept / 1e9:,.1f} GB",
                f"{one['key'] * events / 1e9:,.2f} GB",
                f"{random['key'] * kept / 1e9:,.0f} GB",
                f"{cores:,.3f}",
            ]
        )
    yield table(heads, rows)


def memory_slope(builds: list[dict[str, Any]]) -> tuple[float, float]:
    """Megabytes of a building process without events, and for each million more."""
    small, large = builds[0], builds[-1]
    peaks = [max(each["peak_mb"]) for each in (small, large)]
    slope = (peaks[1] - peaks[0]) / ((large["events"] - small["events"]) / 1e6)
    return peaks[0] - slope * small["events"] / 1e6, slope


def _bytes(stored: list[dict[str, Any]]) -> str:
    columns = {
        "table": "heap",
        "key": "key",
        "key, reindexed": "key_reindexed",
        "by number": "by_number",
        "by time": "by_time",
        "log": "log",
        "Postgres, us": "postgres_us",
        "loader, us": "loader_us",
    }
    rows = []
    for each in stored:
        figures = [f"{each[name]:.1f}" for name in columns.values()]
        rows.append([each["ids"], f"{each['events']:,}", *figures])
        rows[-1].append(f"{each['events_per_second']:,}")
    return table(["ids", "events", *columns, "events/s"], rows)


def _mirror(builds: list[dict[str, Any]]) -> Iterator[str]:
    heads = ["events", "bytes an event", "build, s", "events/s", "memory of the process, MB"]
    rows = [
        [
            f"{each['events']:,}",
            f"{each['bytes_per_event']}",
            f"{each['seconds'][0]:.1f}",
            f"{each['rows_per_second'][0]:,}",
            f"{max(each['peak_mb']):,.0f}",
        ]
        for each in builds
    ]
    yield table(heads, rows)


def removals_part(found: dict[str, Any]) -> str:
    """The part of the page about many removals at once, as Markdown."""
    many, memory, sent = found["removed"], found["memory_mb"], found["sent"]
    built = {cause: times for cause, times in found["built_for"].items() if cause != "first"}
    rows = [
        [phase, engine, f"{each['answers']:,}"]
        + [f"{each[name] / 1000:.2f}" for name in ("median_ms", "longest_ms")]
        for phase, engines in found["asked"].items()
        for engine, each in engines.items()
    ]
    return f"""## Ten million removals at once

`make capacity-removals`, a run of its own. {
        circumstances(found["taken_at"], found["machine"], found)
    }
One `DELETE` of {many:,} of {found["events"]:,} events took {found["delete_seconds"]} s,
{found["trigger_seconds"]} of them to log the removals, which took
{found["log_bytes"] / many:.0f} bytes each on disk, {found["wal_bytes"] / many:.0f} of
write-ahead log and {found["temp_bytes"] / many:.0f} of temporary files. A sync takes on a
million removals. These were more, so the mirror was given up and built from what is left (cause:
{", ".join(built)}; removals followed one by one: {found["followed"]:,}). From the commit it took {
        found["back_seconds"]
    } s to its next exact
answer, and {found["pruned_seconds"]} s until the log of removals was gone
({len(found["prunings"])} transactions). The process had {memory["ready"]} MB before and
{memory["most"]} at most. A sender wrote {sent["events"]:,} events meanwhile, and waited
{sent["longest_ms"] / 1000:.2f} s at most.

{table(["asked", "answered by", "answers", "median, s", "longest, s"], rows)}
Every answer was one that SQL gives: of before until the commit, of after from then on.
"""
