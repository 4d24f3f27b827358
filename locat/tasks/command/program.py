"""A program that runs as a child of this process: asked to stop when this process is, and ended with it."""

import errno
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from locat.contract.errors import ProgramError

LOOK = 1.0
"""Seconds between two looks whether the program is still to run."""
PATIENCE = 10.0
"""Seconds to stop in for a program that nobody waits for any more."""
NOT_FOUND, NOT_STARTED = 127, 126
"""Exit codes of a program that is not there, and of one that cannot be run, as shells have them."""


class Program:
    """A program in a session of its own, so that a request to stop reaches it once: by this process.

    SIGTERM and SIGUSR1 to this process become one SIGTERM to the program and to what it started; leaving the context
    ends all of them.
    """

    def __init__(self, argv: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> None:
        """Start it, or not if this process is asked to stop before.

        Raises:
            ProgramError: there is no such program, or it cannot be run.
        """
        self._asked = self._passed_on = False
        self._process: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._ask)
        if self._asked:
            return
        try:
            self._process = subprocess.Popen(argv, cwd=cwd, env=environment, start_new_session=True)
        except OSError as error:
            raise _not_run(argv[0], cwd, error) from error
        if self._asked:
            self._pass_on()

    def wait(self, look: Callable[[], None]) -> int:
        """Its exit code, negative for a signal; `look` is called every second and may raise, which ends it."""
        while self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                return self._process.wait(LOOK)
            look()
        return -signal.SIGTERM

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._pass_on()

    def _pass_on(self) -> None:
        if self._process is not None and not self._passed_on:
            self._passed_on = True
            self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self._process is not None:
                os.killpg(self._process.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._pass_on()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
        self._send(signal.SIGKILL)
        self._process.wait()


def _not_run(program: str, cwd: Path, error: OSError) -> ProgramError:
    if error.errno == errno.ENOENT and not cwd.is_dir():
        return ProgramError(f"cannot run {program!r}: its `cwd` {cwd} is no folder here", NOT_STARTED)
    if error.errno == errno.ENOENT:
        where = f"below {cwd}" if "/" in program and not program.startswith("/") else "on this machine, or in its image"
        return ProgramError(
            f"cannot run {program!r}: it, or what its first line names, was not found {where}", NOT_FOUND
        )
    remedy = {
        errno.EACCES: "; make it executable, or name its interpreter first",
        errno.ENOEXEC: "; a script needs a first line `#!INTERPRETER`",
    }.get(error.errno or 0, "")
    return ProgramError(f"cannot run {program!r}: {error.strerror}{remedy}", NOT_STARTED)
