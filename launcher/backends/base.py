"""What a backend is: the contract between the launcher and a scheduler. docs/extend/backend.md adds one step by step.

A backend renders plans for a scheduler that already exists and asks that scheduler about runs. It keeps no process of
its own: what it must remember is in the run's folder or with the scheduler.

# What runs a job

On the first node of each attempt, in an environment where `launcher` can be imported, the scheduler runs

    python -P -m launcher.attempt [OPTIONS] RUN_FOLDER JOB [-- LAUNCH...]

with the variables of `RunFolder.code`, asked for when the attempt begins: by them the runner and all that it starts are
the code that the run was submitted with, or that `retry --code now` took since. It takes the job's lock, runs the job's
command, writes state.json and exits. The options say what the scheduler does:

1. `--grace SECONDS`: time to checkpoint in after a request to stop; then the runner kills the job. It must be shorter
   than the scheduler's own time between its warning and its SIGKILL, or else no end is recorded
   (Slurm: 50 of 60 s; Kubernetes: 60 of 75 s).
2. `--limits-time`: the scheduler sends SIGUSR1 before `resources.time` is over. Without it the runner watches the time.
3. `--rerun-with COMMAND`: the runner calls it when the job has to run again. Give it where no process watches the run.
   It also means that the runner of the last job tells MLflow how the run ended; without it that is up to the backend
   (`launcher.runs.mlflow_sync`).
4. `--stop-with COMMAND`: asks the job's processes to stop, where SIGTERM to their process group does harm (`srun`).
5. `--python PYTHON`: what `python` in the job's command stands for; a container has its own.
6. `--image IMAGE`: the container image of the job's command, for the record.
7. `--slots N,N`: inherited file descriptors that the job's processes keep open until the last one has died.
8. `-- LAUNCH...`: words in front of the job's command: `srun ...`, `apptainer exec ...`. They start it on every node.

SIGTERM, SIGINT and SIGUSR1 to the runner are requests to stop. Its exit code says what the scheduler does next:

- 0: the job is done; jobs that need it may start.
- 2: its configuration is invalid. It must not run again.
- 75: it was stopped. It runs again, and that is not counted. If state.json has not changed, the runner did nothing:
  another attempt is alive or has begun meanwhile, or the job was cancelled or asked to stop before it began.
- Any other: it failed. It runs again while `failures` of state.json is at most `retries` of the plan.

# What tells how a job stands

1. state.json has one writer, the runner. A backend reads it. Only where a runner died without a word may the one
   process that watches the run write, while it holds the job's lock.
2. Locks (`jobs/JOB/lock`, `supervisor.lock`) are believed on the machine whose processes hold them, and nowhere else:
   a shared file system may hide them. So `RunFolder.observe` and `status_from_folder` are for backends that run jobs
   on this machine. Others join state.json to what the scheduler says (`Observation`) and call `derive`.
3. If state.json says running and the scheduler knows no such attempt, it died. Say so: a run must never wait for it.
4. The files `cancelled` are written before `stop` is called. A runner that starts afterwards sees them and exits.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from launcher.backends.checks import Check
from launcher.backends.errors import BackendError
from launcher.plan import Plan
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState
from launcher.runs.status import RunView
from locat.contract.errors import UserError


class NoLogYetError(UserError):
    """A job has not printed anything; it may when it runs."""


class NoAnswerError(BackendError):
    """A scheduler was asked and did not answer; it may a moment later."""


class Places(NamedTuple):
    """Where jobs find what all runs share."""

    runs: Path
    """Absolute path of the folder of runs, as jobs see it."""
    tracking_uri: str = ""
    """MLflow server, if the pipeline names none; empty: a SQLite store in the folder of runs."""
    sees_folders: bool = True
    """Whether jobs see the folders of the submitting machine by the same paths."""


class Backend(ABC):
    """One scheduler. Constructed without arguments, once per process; that must neither ask the scheduler nor fail."""

    poll: float
    """Seconds between two looks while somebody watches a run: how often the scheduler may be asked."""
    takes_environment: bool = True
    """Whether jobs have the environment of the shell that submits, and secrets with it."""
    runs_here: bool = False
    """Whether jobs run in the process of `submit` or `retry` itself, and so whatever code that one has imported."""
    idle: str = "no job of it is in the queue"
    """What a user reads about a run that has jobs left to run and that no scheduler works on."""

    def places(self, runs: Path) -> Places:
        """Where jobs find the folder of runs that is `runs` here, and MLflow. Pure."""
        return Places(runs.resolve())

    @abstractmethod
    def render(self, plan: Plan) -> str:
        """The text that `submit` hands to the scheduler.

        1. It depends on the plan alone; the same plan gives the same text.
        2. `start` of a new run hands over exactly this text: what `launcher render` shows is what runs.
        """

    @abstractmethod
    def files(self, plan: Plan) -> dict[str, str]:
        """The same text as files: name -> content."""

    @abstractmethod
    def check(self, plan: Plan) -> None:
        """Raise UserError if the plan can never run here.

        1. Called before the run's folder exists. Nothing may be left behind, neither here nor with the scheduler.
        2. A plan that only has to wait for room is fine.
        """

    def notes(self, plan: Plan) -> list[str]:
        """Parts of the plan that have no effect here, one sentence each; `submit` prints them."""
        return []

    @abstractmethod
    def start(self, run: RunFolder) -> str:
        """Have the scheduler run every job that is not done; returns what was done, for the user.

        1. `submit` calls it once the folder is complete, `retry` again at any time, also twice at once.
        2. A job that the scheduler has already must not be handed over a second time.
        3. Jobs start when those they need are done, and not before.
        """

    @abstractmethod
    def look(self, run: RunFolder, plan: Plan) -> RunView:
        """The run as it is now.

        1. It asks the scheduler a fixed number of questions, however many jobs there are; none if all jobs are done.
        2. It changes neither state.json nor the scheduler.
        3. It raises NoAnswerError if the scheduler does not answer. It must not guess.
        """

    def look_all(self, runs: Sequence[tuple[RunFolder, Plan]]) -> list[RunView]:
        """Several runs as they are now, in the same order.

        One run that cannot be asked about must not hide the others: `launcher.runs.status.unanswered` shows such a
        run as it was last recorded.
        """
        return [self.look(run, plan) for run, plan in runs]

    def checks(self) -> Iterator[Check]:
        """What `launcher doctor` looks at besides this machine. What is missing is a `Check`, not an exception."""
        yield from ()

    def adopt(self, runs: Path) -> None:  # noqa: B027
        """Make folders in `runs` for runs that the scheduler knows and this machine does not.

        1. A folder that exists is left as it is.
        2. Others may have written what the scheduler holds: take only plans that `render` could have made.
        """

    def wait(self, run: RunFolder) -> None:
        """Return when a run may look different, at the latest after `poll` seconds."""
        time.sleep(self.poll)

    def log(
        self, run: RunFolder, job: str, rank: int | None, attempt: int | None, follow: bool
    ) -> Iterator[str] | None:
        """Lines of a job's log, each with its line end; None if they are in the run's folder.

        1. Without `follow` it ends with the last line there is; with it, when the attempt has ended.
        2. Lines come as they were written: nothing is dropped, repeated or reordered.

        Raises:
            NoLogYetError: when called, not at the first line.
        """
        return None

    def ended(self, run: RunFolder) -> Mapping[str, JobState] | None:
        """How jobs of a run ended, where what they write is not in its folder here; None where it is. Asks nobody."""
        return None

    def forget(self, run: RunFolder, jobs: Collection[str]) -> None:  # noqa: B027
        """Take from the scheduler what it still has of ended jobs that are to be run again.

        `retry` calls it before `start`. Jobs that run, wait or are done are left alone.
        """

    @abstractmethod
    def stop(self, run: RunFolder, jobs: Collection[str], grace: float) -> None:
        """End these jobs.

        1. Those that wait leave the queue. Those that run are asked to stop, and killed after `grace` seconds.
        2. It returns when all are dead, also those that started meanwhile, and raises UserError if they do not die.
        3. It writes no state: the runner records how its job ended.
        """
