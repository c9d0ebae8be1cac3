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
    """The most memory this process has had at once, in MB (Linux).

    Not ru_maxrss, which counts what the parent had when it started this process.
    """
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 / 1e6 if found else float("nan")
