"""Printing what ranks write to their log files, so that `kubectl logs` shows it too."""

import sys
import threading
from pathlib import Path
from types import TracebackType

from launcher.attempt.run import LAUNCH_LOG, SCHEDULED_AS
from launcher.backends.kubernetes.logs import tagged
from locat.contract.job_folder import JobFolder, rank_logs

POLL = 0.5
"""Seconds between two looks."""


class LogPrinter:
    """While it is entered, prints the lines of the attempt that the cluster calls `scheduled_as`."""

    def __init__(self, job: JobFolder, scheduled_as: str) -> None:
        self._job = job
        self._scheduled_as = scheduled_as
        self._read: dict[Path, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(POLL):
            self._print(whole_lines=True)
        self._print(whole_lines=False)

    def _print(self, whole_lines: bool) -> None:
        for mark in self._job.attempts.glob(f"*/{SCHEDULED_AS}"):
            if mark.read_text() == self._scheduled_as:
                ranks = rank_logs(mark.parent)
                for log in sorted([*ranks, mark.parent / LAUNCH_LOG]):
                    self._print_new(log, ranks.get(log), whole_lines)
        sys.stdout.flush()

    def _print_new(self, log: Path, rank: int | None, whole_lines: bool) -> None:
        if not log.exists():
            return
        with log.open("rb") as file:
            file.seek(self._read.get(log, 0))
            text = file.read()
        if whole_lines:
            text = text[: text.rfind(b"\n") + 1]
        self._read[log] = self._read.get(log, 0) + len(text)
        for line in text.decode(errors="replace").splitlines():
            print(line if rank is None else tagged(rank, line))
