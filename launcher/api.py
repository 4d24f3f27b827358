"""Runs from Python: `launcher.submit(...)` does what `launcher submit` does, and returns the run.

    run = launcher.submit("pipelines/digits.yaml", settings={"defaults.seed": 1})
    run.wait()

Whatever is wrong with what was asked is a `locat.contract.errors.UserError` with the same one sentence that the command
line prints.
"""

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.actions import cancel, logs, retry, wait
from launcher.actions import submit as submission
from launcher.backends import look
from launcher.comparing.numbers import Log
from launcher.plan import DEFAULT_BACKEND, Plan
from launcher.runs import find as runs_in
from launcher.runs.create import check_name
from launcher.runs.find import find_job, folder_of_runs
from launcher.runs.folder import RunFolder
from launcher.runs.status import RunView
from locat.contract.metric_record import Record

_PLUGINS = threading.RLock()
"""Held while the plugins of a pipeline count as installed, which they do in all threads."""


@dataclass(frozen=True)
class Run:
    """A run, by its folder. It goes on when Python ends."""

    path: Path
    """The run's folder."""

    @property
    def name(self) -> str:
        """Its name, by which `launcher status NAME` finds it."""
        return self.path.name

    @property
    def jobs(self) -> list[str]:
        """Names of its jobs; one comes after those that it needs."""
        return [job.name for job in self._plan.jobs]

    def status(self) -> RunView:
        """How it stands now: `status().status` is a word for the run, `status().jobs` has each job's."""
        return look(self._folder, self._plan)

    def wait(self, timeout: float | None = None) -> RunView:
        """How it stands once it has ended, or once nobody sees to it any more (`stopped`).

        Raises:
            TimeoutError: it goes on after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        for view in wait.views(self._folder, self._plan):
            if view.ended or deadline is None or time.monotonic() < deadline:
                last = view
            else:
                raise TimeoutError(f"{self.name} goes on after {timeout:g} s")
        return last

    def logs(self, job: str | None = None, rank: int | None = None, attempt: int | None = None) -> str:
        """What a job has printed: rank 0 of its latest attempt if none is named, and of the job that failed, or runs,
        or ran last."""
        name = find_job(self._plan, job) if job else logs.most_interesting(self.status())
        log = logs.log_of(self._folder, self._plan, name, rank, attempt, follow=False)
        return log.read_text(errors="replace") if isinstance(log, Path) else "".join(log)

    def metrics(self, job: str) -> list[Record]:
        """What a job has recorded, oldest first: each has a `step`, a `time` and `metrics` by their names."""
        log = Log(self._folder.job(find_job(self._plan, job)).metrics)
        return list(log.newest_first([""]))[::-1]

    def outputs(self, job: str) -> Path:
        """The folder of a job's outputs."""
        return self._folder.job(find_job(self._plan, job)).outputs

    def cancel(self, job: str | None = None, grace: float = cancel.GRACE) -> list[str]:
        """Stop it, or only a job and what needs it; returns a sentence for each thing that was done.

        Args:
            grace: seconds to checkpoint in before a running job is killed.
        """
        done: list[str] = []
        cancel.cancel(self._folder, job, grace, done.append)
        return done

    def retry(self, job: str | None = None, force: bool = False, code: str = retry.SUBMITTED) -> list[str]:
        """Go on from what is done; with `job`, only with that job and what it needs. Returns a sentence for each thing
        that was done.

        Args:
            force: also what another machine ran when last heard of; it must be dead.
            code: "submitted", or "now" for the code that is here now.
        """
        done: list[str] = []
        with _PLUGINS:
            retry.retry(self._folder, job, force, code, done.append)
        return done

    @property
    def _folder(self) -> RunFolder:
        return RunFolder(self.path)

    @property
    def _plan(self) -> Plan:
        return self._folder.plan()


def submit(
    pipeline: str | Path | Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    backend: str | None = None,
    runs: str | Path | None = None,
    origin: str | None = None,
) -> Run:
    """Run a pipeline, detached from this process.

    Args:
        pipeline: a file, or what a file says as plain values; its relative paths are from the current folder then.
        settings: dotted key -> value that is put over it, such as {"defaults.seed": 1}.
        name: first part of the run's name; the pipeline's own if None.
        backend: where to run; LAUNCHER_BACKEND or `local` if None.
        runs: folder that holds the runs; LAUNCHER_RUNS or `runs` if None.
        origin: RUN/JOB, RUN/JOB@best or RUN/JOB@STEP of another run, whose checkpoint the job of that name, or the only
            one that trains, goes on from.

    Raises:
        PipelineError: the pipeline is not valid; lists every problem. A UserError as well.
        UserError: it cannot run there.
    """
    backend = backend or os.environ.get("LAUNCHER_BACKEND") or DEFAULT_BACKEND
    folder = _folder_of_runs(runs)
    if name is not None:
        check_name(name)
    values = [f"{key}={json.dumps(value)}" for key, value in (settings or {}).items()]
    source = pipeline if isinstance(pipeline, Mapping) else Path(pipeline)
    with _PLUGINS:
        prepared = submission.prepare([source], values, backend, folder, name, origin)
        ((run, _),) = submission.submit(prepared, values, backend, folder)
    return Run(run.path)


def find(name: str | None = None, runs: str | Path | None = None) -> Run:
    """The run of this name, or of a beginning of it that no other has; this user's newest if None.

    Raises:
        UserError: there is none, or several.
    """
    return Run(runs_in.find(_folder_of_runs(runs), name).path)


def _folder_of_runs(named: str | Path | None) -> Path:
    return folder_of_runs(Path(named or os.environ.get("LAUNCHER_RUNS") or "runs"))
