"""Numbers out of Thrift's compact protocol, in which Parquet writes its footer and page headers.

Stricter than Arrow's own reader: a field that is there twice, of another type than it should be, or
of a number out of range is damage. So both read the same numbers, or only Arrow reads none.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from analytics.errors import InvalidInput

I32: Final = 5
I64: Final = 6

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_FIXED: Final = {_BYTE: 1, _DOUBLE: 8}
_BITS: Final = {4: 16, I32: 32, I64: 64}
_MAX_FIELD: Final = 0x7FFF
_MAX_DEPTH: Final = 64

Wanted = int | Mapping[int, "Wanted"] | Sequence["Wanted"]
"""What is read of a value: I32, I64, {field: wanted} of a struct, [wanted] of a list."""


class EndsEarly(Exception):
    """The data end within a value."""


class ThriftReader:
    """Reads values one behind the other.

    Attributes:
        at: Where the next one begins.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def struct(self, wanted: Mapping[int, Wanted]) -> dict[int, Any]:
        """The wanted fields that are set; others are passed over.

        Raises:
            EndsEarly: There is less data than the struct is long.
            InvalidInput: It is damaged.
        """
        try:
            found = self._struct(wanted, 0)
        except IndexError:
            raise EndsEarly from None
        if self.at > len(self._data):
            raise EndsEarly
        return found

    def _struct(self, wanted: Mapping[int, Wanted], depth: int) -> dict[int, Any]:
        found: dict[int, Any] = {}
        seen: set[int] = set()
        field = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            field = field + step if step else self._number(16)
            if field in seen or not 0 <= field <= _MAX_FIELD:
                raise _damaged()
            seen.add(field)
            if field in wanted:
                found[field] = self._wanted(kind, wanted[field], depth)
            elif kind not in (_TRUE, _FALSE):  # a boolean field is its own value
                self._skip(kind, depth)
        return found

    def _wanted(self, kind: int, wanted: Wanted, depth: int) -> Any:
        if kind == _STRUCT and isinstance(wanted, Mapping):
            return self._struct(wanted, self._deeper(depth))
        if kind == _LIST and isinstance(wanted, Sequence):
            inner, size = self._list_head()
            return [self._wanted(inner, wanted[0], self._deeper(depth)) for _ in range(size)]
        if isinstance(wanted, int) and kind == wanted:
            return self._number(_BITS[kind])
        raise _damaged()

    def _skip(self, kind: int, depth: int) -> None:
        if kind in _BITS:
            self._varint()
        elif kind == _BINARY:
            size = self._varint()
            self.at += size
        elif kind == _STRUCT:
            self._struct({}, self._deeper(depth))
        elif kind in (_LIST, _SET):
            inner, count = self._list_head()
            for _ in range(count):
                self._skip(_BYTE if inner in (_TRUE, _FALSE) else inner, self._deeper(depth))
        elif kind in _FIXED:
            self.at += _FIXED[kind]
        else:  # Parquet has no maps
            raise _damaged()

    def _list_head(self) -> tuple[int, int]:
        head = self._byte()
        size = head >> 4
        return head & 15, self._varint() if size == 15 else size

    def _number(self, bits: int) -> int:
        """A signed number: 0, -1, 1, -2, ... are written 0, 1, 2, 3, ..."""
        written = self._varint()
        if written >> bits:
            raise _damaged()
        return (written >> 1) ^ -(written & 1)

    def _varint(self) -> int:
        """Seven bits a byte, the lowest first; the eighth says that another follows."""
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift >= 64:
                raise _damaged()

    def _byte(self) -> int:
        byte = self._data[self.at]
        self.at += 1
        return byte

    @staticmethod
    def _deeper(depth: int) -> int:
        if depth == _MAX_DEPTH:
            raise _damaged()
        return depth + 1


def _damaged() -> InvalidInput:
    return InvalidInput("The Parquet data is damaged; make the file anew")
