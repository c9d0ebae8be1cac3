"""Event ids made from the rows themselves, for files that have none.

The id is uuid5(ROWS, content), where content is the row's other columns of an event, as they came,
each behind the other with a NUL between; for the second, third, ... of equal rows the ordinal
follows behind one more NUL. So the same file gives the same ids whenever it is loaded, and two
equal rows of it are two events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha1
from typing import Final
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingest.identifiers import fixed_bytes
from ingest.sources.source import RawBatch, Source
from ingest.texts import as_texts

ROWS: Final = uuid5(NAMESPACE_URL, "urn:tidemark:row")

_BYTES: Final = 16
Keys = npt.NDArray[np.uint64]


class WithDerivedIds:
    """A source whose rows get ids of their own making."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ids = RowIds()

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """As of the source within."""
        return self._source.ignored_columns

    def batches(self, max_rows: int) -> Iterator[RawBatch]:
        """As of the source within, with a column event_id.

        Raises:
            InvalidInput: As of the source within.
        """
        for batch in self._source.batches(max_rows):
            ids = self._ids.of(batch.columns)
            yield replace(batch, columns={"event_id": ids, **batch.columns})


class RowIds:
    """Ids for one row after the other. Remembers eight bytes of each row it has seen."""

    def __init__(self) -> None:
        self._runs: list[Keys] = []

    def of(self, columns: Mapping[str, pa.Array]) -> pa.FixedSizeBinaryArray:
        """The ids of the next rows, 16 bytes each."""
        contents = _contents(columns)
        digests = _digests(contents)
        keys = digests[:, :8].copy().view(np.uint64)[:, 0]
        ordinals = self._ordinals(keys)
        repeated = np.flatnonzero(ordinals)
        if len(repeated):
            again = [
                contents[row] + b"\0" + str(ordinal).encode()
                for row, ordinal in zip(repeated.tolist(), ordinals[repeated].tolist(), strict=True)
            ]
            digests[repeated] = _digests(again)
        return fixed_bytes(digests)

    def _ordinals(self, keys: Keys) -> npt.NDArray[np.int64]:
        """How many rows with its key came before each row, here or in earlier batches."""
        order = np.argsort(keys, kind="stable")
        ranked = keys[order]
        first = np.searchsorted(ranked, ranked)
        ordinals = np.empty(len(keys), np.int64)
        ordinals[order] = np.arange(len(keys)) - first
        for run in self._runs:
            ordinals += np.searchsorted(run, keys, "right") - np.searchsorted(run, keys, "left")
        self._remember(ranked)
        return ordinals

    def _remember(self, ranked: Keys) -> None:
        """Keeps runs in order of size, each at least twice the next, so that they stay few."""
        while self._runs and len(self._runs[-1]) < 2 * len(ranked):
            ranked = np.sort(np.concatenate([self._runs.pop(), ranked]))
        self._runs.append(ranked)


def _contents(columns: Mapping[str, pa.Array]) -> list[bytes]:
    texts = [as_texts(column) for name, column in columns.items() if name != "event_id"]
    joined = pc.binary_join_element_wise(*texts, "\0", null_handling="replace")
    contents: list[bytes] = joined.cast(pa.binary()).to_pylist()
    return contents


def _digests(contents: list[bytes]) -> npt.NDArray[np.uint8]:
    """uuid5(ROWS, content) of each, as rows of 16 bytes."""
    begun = sha1(ROWS.bytes, usedforsecurity=False)
    digests = bytearray()
    for content in contents:
        digest = begun.copy()
        digest.update(content)
        digests += digest.digest()[:_BYTES]
    result = np.frombuffer(digests, np.uint8).reshape(-1, _BYTES)
    result[:, 6] = result[:, 6] & 0x0F | 0x50  # the version, 5
    result[:, 8] = result[:, 8] & 0x3F | 0x80  # the variant
    return result
