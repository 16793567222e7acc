"""Running compilers: with a time limit, and never longer than the process that wants their result."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from logsig_codegen.errors import CompilerError

LIMIT = "LOGSIG_CODEGEN_COMPILER_SECONDS"
DEFAULT_LIMIT = 1800.0
UNLIMITED = "none"
_SHELL = "/bin/sh"
# Runs "$@" in the process group of this shell, and kills the group as soon as the pipe on the standard input is closed,
# which the system does when the process at its other end dies, however it dies.
_GUARD = """
exec 3<&0 </dev/null
{ read -r line <&3; kill -KILL 0; } 2>/dev/null &
"$@" 3<&-
status=$?
exec 2>/dev/null
kill -KILL $!
wait $!
exit $status
"""
_NOT_RUN = (126, 127)  # what a shell returns for a command that it cannot run
_MOST_OUTPUT = 1 << 20
_lock = threading.Lock()
_pipes: set[int] = set()  # the ends that this process holds; a forked child must not keep them open


@dataclass(frozen=True)
class Finished:
    """What became of a command.

    Attributes
    ----------
    command : tuple of str
    status : int, optional
        The exit status; ``None`` where it ran past the limit.
    limit : float, optional
        That limit, in seconds.
    stdout, stderr : str
        What it printed, up to a mebibyte each.
    """

    command: tuple[str, ...]
    status: int | None
    limit: float | None
    stdout: str
    stderr: str

    def failure(self, what: str) -> str:
        """What went wrong, a sentence; empty if nothing did."""
        if self.status is None:
            return f"{what} was stopped after {self.limit:g} seconds (${LIMIT} sets the limit)."
        return f"{what} failed with status {self.status}." if self.status else ""


class Crew:
    """Commands that run for one purpose, in several threads: when the block ends, by an exception too, so do they."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._threads: list[threading.Thread] = []
        self._over = False

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *exception: object) -> None:
        with _lock:
            self._over = True
            for process in self._running:
                _kill(process)
        for thread in self._threads:
            thread.join()

    def each(
        self,
        commands: Sequence[Sequence[str]],
        folder: Path,
        workers: int,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[Finished]:
        """:meth:`run` all commands, ``workers`` at a time; what became of them, in their order.

        Nobody waits for the threads when the process ends, as ``concurrent.futures`` would.
        """
        waiting: SimpleQueue[tuple[Sequence[str], Future[Finished]]] = SimpleQueue()
        results: list[Future[Finished]] = []
        for command in commands:
            results.append(Future())
            waiting.put((command, results[-1]))

        def work() -> None:
            with contextlib.suppress(Empty):
                while True:
                    command, result = waiting.get_nowait()
                    try:
                        result.set_result(self.run(command, folder, environment=environment))
                    except BaseException as error:
                        result.set_exception(error)

        for _ in range(min(workers, len(commands))):
            self._threads.append(threading.Thread(target=work, daemon=True))
            self._threads[-1].start()
        for result in results:
            yield result.result()

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        limit: float | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Finished:
        """Run a command in a folder; ``limit``: seconds, if not the usual number.

        Raises
        ------
        CompilerError
            If it cannot be run.
        ValueError
            If the variable with the limit is no number.
        """
        limit = time_limit() if limit is None else limit
        with tempfile.TemporaryFile(dir=folder) as out, tempfile.TemporaryFile(dir=folder) as err:
            with self._started(tuple(command), folder, environment, out.fileno(), err.fileno()) as process:
                status = _wait(process, limit)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read(_MOST_OUTPUT).decode(errors="replace"))
        if status in _NOT_RUN and os.path.exists(_SHELL):
            raise CompilerError(f"{command[0]!r} cannot be run: {texts[1].strip()}", command=tuple(command))
        return Finished(tuple(command), status, limit, *texts)

    @contextlib.contextmanager
    def _started(
        self, command: tuple[str, ...], folder: Path, environment: Mapping[str, str] | None, out: int, err: int
    ) -> Iterator[subprocess.Popen[bytes]]:
        guarded = os.path.exists(_SHELL)
        ours, theirs = os.pipe()[::-1]
        with _lock:
            _pipes.add(ours)
        process = None
        try:
            with _lock:
                if self._over:
                    raise CompilerError("the build was given up", command=command)
                process = subprocess.Popen(
                    (_SHELL, "-c", _GUARD, _SHELL, *command) if guarded else command,
                    cwd=folder,
                    env=environment,
                    stdin=theirs if guarded else subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=guarded,
                )
                self._running.add(process)
            yield process
        except OSError as error:
            raise CompilerError(f"{command[0]!r} cannot be run: {error}", command=command) from error
        finally:
            with _lock:
                if process is not None:
                    self._running.discard(process)
                    _kill(process)
                if ours in _pipes:
                    _pipes.discard(ours)
                    os.close(ours)
            os.close(theirs)


def run(
    command: Sequence[str],
    folder: Path,
    *,
    limit: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """:meth:`Crew.run` of one command alone."""
    with Crew() as crew:
        return crew.run(command, folder, limit=limit, environment=environment)


def time_limit() -> float | None:
    """Seconds that a compiler may take: ``$LOGSIG_CODEGEN_COMPILER_SECONDS``, by default 1800; ``None``: any number.

    Raises
    ------
    ValueError
        If the variable is no positive number.
    """
    text = os.environ.get(LIMIT, "").strip()
    if text.lower() == UNLIMITED:
        return None
    try:
        seconds = float(text or DEFAULT_LIMIT)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < threading.TIMEOUT_MAX:
        raise ValueError(f"${LIMIT}: expected a positive number of seconds, or {UNLIMITED}, got {text!r}")
    return seconds


def _wait(process: subprocess.Popen[bytes], limit: float | None) -> int | None:
    """The exit status, or ``None`` where the limit was reached; ``subprocess`` itself would look 20 times a second."""
    late = threading.Event()

    def stop() -> None:
        late.set()
        _kill(process)

    timer = None if limit is None else threading.Timer(limit, stop)
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        status = process.wait()
    finally:
        if timer is not None:
            timer.cancel()
    return None if late.is_set() else status


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process, and on POSIX its group, however far it is."""
    if process.poll() is None:
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg") and os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for descriptor in _pipes:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _pipes.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
