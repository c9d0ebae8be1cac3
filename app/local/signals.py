"""Signals around servers: SIGTERM as an exception, and signals put off where they'd do harm."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_Handler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP leave the block the way Ctrl-C does: by an exception in the main thread.

    SIGTERM ends a Python process on the spot by default, with no `finally` run. Here it raises
    SystemExit with the shell's number for it (143; 129 for SIGHUP), so blocks are left in order and
    the servers stop cleanly. Ctrl-C keeps raising KeyboardInterrupt. A signal that is ignored
    (SIGHUP under nohup) stays ignored. Outside the main thread, where Python allows no handlers,
    this changes nothing.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    with _handlers((signal.SIGTERM, signal.SIGHUP), leave):
        yield


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP wait; the first that came is delivered at the end of the block.

    For short or bounded stretches that must not be left half-way: between starting a process and
    noting it down, and while servers are being stopped.
    """
    waiting: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        waiting.append(number)

    with _handlers((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), note):
        yield
    if waiting:
        signal.raise_signal(waiting[0])


@contextlib.contextmanager
def _handlers(numbers: tuple[signal.Signals, ...], handler: _Handler) -> Iterator[None]:
    """Set one handler for some signals and put the former ones back."""
    former: dict[signal.Signals, _Handler | int] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                now = signal.getsignal(number)
                # None means a handler set from C, which Python couldn't put back.
                if now is not None and now is not signal.SIG_IGN:
                    former[number] = now
                    signal.signal(number, handler)
        yield
    finally:
        for number, old in former.items():
            signal.signal(number, old)
