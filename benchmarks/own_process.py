"""A measurement in a process of its own: nothing that came before it warms or fattens it."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def executor(initializer: Callable[..., None] | None = None, *arguments: Any) -> Any:
    """One fresh process that runs what is submitted to it, one thing after the other."""
    return ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), initializer, initargs=arguments
    )


def in_own_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the function answers in a fresh process; its exceptions come through."""
    with executor() as pool:
        answer: T = pool.submit(function, *args, **kwargs).result()
        return answer


def peak_mb() -> float:
    """The most memory this process has had at once, in MB (Linux), since the last `forget_peak`.

    Not ru_maxrss, which counts what the parent had when it started this process.
    """
    return _status_mb("VmHWM")


def memory_mb() -> float:
    """The memory this process has now, in MB (Linux)."""
    return _status_mb("VmRSS")


def forget_peak() -> None:
    """From now on `peak_mb` counts anew, from what there is now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def _status_mb(name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else float("nan")
