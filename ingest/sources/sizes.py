"""How large Arrow columns are once their values stand one behind the other.

A dictionary's value may be used, and a view's bytes be pointed to, by every row: a file of some
kilobytes may so hold terabytes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_VIEW_BYTES = 16


def decoded_bytes(column: pa.Array) -> int:  # noqa: PLR0911 - one for each kind of type
    """Bytes of the values, at least; within structs, lists and maps at most."""
    kind = column.type
    if not len(column):
        return 0
    if isinstance(kind, pa.BaseExtensionType):
        return decoded_bytes(column.storage)
    if pa.types.is_dictionary(kind):
        return _dictionary_bytes(column)
    if pa.types.is_string_view(kind):
        return int(_view_lengths(column).sum())
    if pa.types.is_struct(kind):
        return len(column) + sum(map(decoded_bytes, column.flatten()))
    if pa.types.is_map(kind):
        first, last = column.offsets[0].as_py(), column.offsets[-1].as_py()
        inside = (column.keys.slice(first, last - first), column.items.slice(first, last - first))
        return sum(map(decoded_bytes, inside)) + 4 * len(column)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return decoded_bytes(column.flatten()) + 4 * len(column)
    return int(column.nbytes)


def _dictionary_bytes(column: pa.DictionaryArray) -> int:
    values = column.dictionary
    if not len(values) or pa.types.is_integer(values.type):
        return 8 * len(column)
    if pa.types.is_string_view(values.type):
        lengths = pa.array(_view_lengths(values))
    elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        lengths = pc.binary_length(values)
    else:
        return decoded_bytes(values) * len(column)
    return int(pc.sum(lengths.take(column.indices)).as_py() or 0)


def _view_lengths(column: pa.Array) -> npt.NDArray[np.int64]:
    """How long each text of a column of views is: the first number of a view."""
    numbers = np.frombuffer(column.buffers()[1], np.int32)[:: _VIEW_BYTES // 4]
    return numbers[column.offset : column.offset + len(column)].astype(np.int64)
