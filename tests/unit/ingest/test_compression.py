"""gzip and zstd: what is in them, and what may be wrong with them."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable

import pytest

from analytics.errors import InvalidInput
from ingest.errors import ContentTooLarge
from ingest.sources.compression import ByteStream, Capped, Gunzip, Unzstd
from tests.format_matrix import as_zstd

CONTENT = b"".join(b"%d,some text\n" % number for number in range(50_000))


class OneByteAtATime(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 1))


def gunzip(data: bytes, size: int = 1 << 16, opened: type[io.BytesIO] = io.BytesIO) -> bytes:
    stream = Gunzip(opened(data))
    return b"".join(iter(lambda: stream.read(size), b""))


@pytest.mark.parametrize("size", [1 << 10, 1 << 16, 1 << 24])
def test_content_is_what_was_packed(size: int) -> None:
    assert gunzip(gzip.compress(CONTENT), size) == CONTENT


def test_no_more_is_unpacked_than_was_asked_for() -> None:
    stream = Gunzip(io.BytesIO(gzip.compress(bytes(10_000_000))))
    assert len(stream.read(1000)) == 1000


def test_members_one_behind_the_other_are_one_content() -> None:
    packed = gzip.compress(b"a\n") + gzip.compress(b"") + gzip.compress(b"b\n") + bytes(512)
    assert gunzip(packed) == b"a\nb\n"
    assert gunzip(packed, opened=OneByteAtATime) == b"a\nb\n"


def test_empty_member_is_empty_content() -> None:
    assert gunzip(gzip.compress(b"")) == b""


@pytest.mark.parametrize("kept", [0, 5, 20, -9, -1])
def test_cut_off_data_is_refused(kept: int) -> None:
    packed = gzip.compress(CONTENT)
    with pytest.raises(InvalidInput, match=r"The gzip data ends too early, after [\d,]+ bytes"):
        gunzip(packed[:kept])


def test_other_data_is_refused_as_not_gzip() -> None:
    with pytest.raises(InvalidInput, match="is named as gzip, but isn't gzip"):
        gunzip(b"event_id,occurred_at\n")


def test_damaged_data_is_refused_with_its_place() -> None:
    packed = bytearray(gzip.compress(CONTENT))
    packed[-6] ^= 1
    with pytest.raises(InvalidInput, match=r"is damaged after [\d,]+ bytes .*incorrect data check"):
        gunzip(bytes(packed))


def test_something_else_behind_the_data_is_refused() -> None:
    with pytest.raises(InvalidInput, match="is damaged after 788,890 bytes"):
        gunzip(gzip.compress(CONTENT) + b"more")


def unzstd(data: bytes, size: int = 1 << 16, opened: type[io.BytesIO] = io.BytesIO) -> bytes:
    stream = Unzstd(opened(data))
    return b"".join(iter(lambda: stream.read(size), b""))


@pytest.mark.parametrize("size", [1 << 10, 1 << 16, 1 << 24])
def test_zstd_content_is_what_was_packed(size: int) -> None:
    assert unzstd(as_zstd(CONTENT), size) == CONTENT
    assert unzstd(as_zstd(b"a\n") + as_zstd(b"b\n"), size, OneByteAtATime) == b"a\nb\n"


@pytest.mark.parametrize("kept", [1, 5, 20, -9, -1])
def test_cut_off_zstd_is_refused(kept: int) -> None:
    with pytest.raises(InvalidInput, match=r"The zstd data ends too early, after [\d,]+ bytes"):
        unzstd(as_zstd(CONTENT)[:kept])


def test_other_data_is_refused_as_not_zstd() -> None:
    with pytest.raises(InvalidInput, match="is named as zstd, but isn't zstd"):
        unzstd(b"event_id,occurred_at\n")


def test_what_follows_a_zstd_frame_is_no_content() -> None:
    with pytest.raises(InvalidInput, match=r"The zstd data is damaged after [\d,]+ bytes of conte"):
        unzstd(as_zstd(CONTENT) + b"more")


def test_an_error_of_the_stream_below_stays_what_it_is() -> None:
    class Unreadable(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        Unzstd(Unreadable()).read(10)


@pytest.mark.parametrize("unpacked", [Gunzip, Unzstd])
def test_a_bomb_is_cut_off_where_it_is_allowed_to_reach(
    unpacked: Callable[[io.BytesIO], ByteStream],
) -> None:
    packed = {Gunzip: gzip.compress, Unzstd: as_zstd}[unpacked](bytes(50_000_000))
    stream = Capped(unpacked(io.BytesIO(packed)), 1_000_000)
    assert sum(len(stream.read(250_000)) for _ in range(4)) <= 1_000_000
    with pytest.raises(ContentTooLarge, match="holds more than 1,000,000 bytes, decompressed"):
        list(iter(lambda: stream.read(250_000), b""))


def test_content_of_just_the_allowed_size_is_read() -> None:
    stream = Capped(io.BytesIO(b"abc"), 3)
    assert (stream.read(10), stream.read(10)) == (b"abc", b"")
