"""Input that is something else than it was announced as, told by its first bytes."""

from __future__ import annotations

from typing import Final

from analytics.errors import InvalidInput

_MARKS: Final = {
    b"\x1f\x8b": "gzip data; give it a name that ends in .gz",
    b"\x28\xb5\x2f\xfd": "zstd data; give it a name that ends in .zst",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
    b"PAR1": "Parquet; give it a name that ends in .parquet",
    b"ARROW1": "Arrow data; give it a name that ends in .arrow",
    b"PK\x03\x04": "a zip file (perhaps a spreadsheet); export it as CSV",
}


def refuse_other_content(first: bytes) -> None:
    """Refuses text that begins as no text does.

    Raises:
        InvalidInput: It is named, with what to do.
    """
    for mark, meaning in _MARKS.items():
        if first.startswith(mark):
            raise InvalidInput(f"The file is {meaning}")
