"""Several processes that serve one socket, and the one that holds it and keeps them.

The socket stays open from the first to the last of them, so no caller is refused while one takes
the place of another. SIGHUP puts a new process in the place of each, one after the other, the new
one ready before the old one stops: with the program, the environment's files and the secrets as
they are now.

A worker is the same command in a process of its own. It writes a line when it is ready, and stops
when its standard input ends: when this process is gone, however it went.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from prometheus_client.multiprocess import mark_process_dead

from app.draining import IDLE_SECONDS, REQUEST_SECONDS
from app.serving import NotStarted
from app.settings import Settings

READY: Final = b"ready\n"
START_SECONDS: Final = 120.0
"""How long a worker may take to get ready."""
CLOSE_SECONDS: Final = 15.0
"""How long a worker may take to close files and connections, when its requests are over."""
LONG_LIFE_SECONDS: Final = 60.0
LONGEST_WAIT_SECONDS: Final = 30.0
_COMMAND: Final = ("-c", "from app.cli.start import run; run()", "worker")
_METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"

log = logging.getLogger(__name__)


class Workers:
    """Keeps so many workers on a socket."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        """Takes the settings that say how many, and the socket."""
        self._count = settings.workers
        self._patience = (
            settings.shutdown_notice.total_seconds() + IDLE_SECONDS + REQUEST_SECONDS
        ) + CLOSE_SECONDS
        self._listener = listener
        self._serving: list[_Worker] = []
        self._running: set[_Worker] = set()
        self._ended: asyncio.Queue[_Worker | None] = asyncio.Queue()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM; a second one kills what is not done yet.

        Raises:
            NotStarted: A worker of the first ones did not get ready; its log says why.
        """
        with ExitStack() as stack:
            stack.enter_context(_handlers_kept())
            metrics = stack.enter_context(tempfile.TemporaryDirectory(prefix="tidemark-metrics-"))
            asyncio.run(self._run(Path(metrics)))

    def stop(self) -> None:
        """Stop, asked from another thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    async def _run(self, metrics: Path) -> None:
        loop = self._loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._ended.put_nowait, None)
        keeping = asyncio.create_task(self._keep(metrics))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((keeping, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in (keeping, stopping):
            task.cancel()
        await asyncio.wait((keeping, stopping))
        await asyncio.gather(*(self._end(worker) for worker in self._running))
        if not keeping.cancelled():
            keeping.result()

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def _keep(self, metrics: Path) -> None:
        first = (self._started(metrics) for _ in range(self._count))
        self._serving = list(await asyncio.gather(*first))
        log.info("workers.ready", extra={"workers": [w.process.pid for w in self._serving]})
        while True:
            ended = await self._ended.get()
            if ended is None:
                await self._renew(metrics)
            elif ended in self._serving:
                await self._replace(ended, metrics)

    async def _renew(self, metrics: Path) -> None:
        """A new worker for each, one after the other; where one doesn't start, the others stay."""
        for old in tuple(self._serving):
            try:
                new = await self._started(metrics)
            except NotStarted:
                log.exception("workers.renewal_given_up", extra={"still_serving": old.process.pid})
                return
            self._serving[self._serving.index(old)] = new
            await self._end(old)
            log.info("worker.renewed", extra={"old": old.process.pid, "new": new.process.pid})

    async def _replace(self, dead: _Worker, metrics: Path) -> None:
        log.error(
            "worker.died", extra={"worker": dead.process.pid, "code": dead.process.returncode}
        )
        place, wait = self._serving.index(dead), 0.0 if dead.lived_long() else 1.0
        while True:
            await asyncio.sleep(wait)
            try:
                new = self._serving[place] = await self._started(metrics)
            except NotStarted:
                wait = min(max(1.0, wait * 2), LONGEST_WAIT_SECONDS)
                log.exception("worker.not_replaced", extra={"next_try_seconds": wait})
            else:
                log.info("worker.replaced", extra={"old": dead.process.pid, "new": new.process.pid})
                return

    async def _started(self, metrics: Path) -> _Worker:
        """A new worker that answers requests.

        Raises:
            NotStarted: It doesn't.
        """
        descriptor = self._listener.fileno()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *_COMMAND,
            str(descriptor),
            stdin=PIPE,
            stdout=PIPE,
            pass_fds=(descriptor,),
            env={**os.environ, _METRICS: str(metrics)},
            # Ctrl-C in a terminal goes to a whole group; here only to this process, which passes on
            # what its workers shall do.
            start_new_session=True,
        )
        worker = _Worker(process)
        self._running.add(worker)
        worker.watch = asyncio.create_task(self._watch(worker, metrics))
        said = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                said = await worker.says()
        if said != READY:
            await self._end(worker)
            raise NotStarted
        return worker

    async def _watch(self, worker: _Worker, metrics: Path) -> None:
        await worker.process.wait()
        self._running.discard(worker)
        mark_process_dead(worker.process.pid, str(metrics))  # type: ignore[no-untyped-call] # theirs
        self._ended.put_nowait(worker)

    async def _end(self, worker: _Worker) -> None:
        """Has a worker stop, kills it if that takes too long."""
        with suppress(ProcessLookupError):
            worker.process.terminate()
        hurry = asyncio.create_task(self._hurry.wait())
        try:
            await asyncio.wait(
                (worker.watch, hurry), timeout=self._patience, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            hurry.cancel()
            if not worker.watch.done():
                log.error("worker.killed", extra={"worker": worker.process.pid})
                worker.process.kill()
        await worker.watch


class _Worker:
    """One process."""

    watch: asyncio.Task[None]

    def __init__(self, process: Process) -> None:
        self.process = process
        self._since = asyncio.get_running_loop().time()

    async def says(self) -> bytes:
        """Its line that it is ready; empty if it ended before."""
        assert self.process.stdout is not None  # noqa: S101 - a pipe
        return await self.process.stdout.readline()

    def lived_long(self) -> bool:
        return asyncio.get_running_loop().time() - self._since > LONG_LIFE_SECONDS


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """A loop leaves the default handlers behind; what runs afterwards needs those from before."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
