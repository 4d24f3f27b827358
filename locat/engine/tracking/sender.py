"""The thread that keeps a job's MLflow run while the job runs; nothing it meets reaches the training.

MLflow itself is imported by the thread.
"""

import logging
import threading
import time
from typing import TYPE_CHECKING

from locat.config import JobConfig, Tracking
from locat.contract.errors import Superseded
from locat.contract.fence import Fence
from locat.contract.job_folder import JobFolder
from locat.engine.tracking.state_files import Lifetime, only_sender
from locat.imports import uncollected

if TYPE_CHECKING:
    from locat.engine.tracking.job_run import JobRun

logger = logging.getLogger(__name__)

HEAD_START = 5.0
"""Seconds before MLflow is imported: that takes seconds of Python's lock, which a job's first step would wait for."""
INTERVAL = 2.0  # seconds between two looks at metrics.jsonl
LONGEST_INTERVAL = 60.0  # the same while the server is away: it doubles up to this
SAMPLING_INTERVAL = 5.0  # seconds between two samples of the machine
SILENCE = 10.0  # seconds that the end of a job waits for one answer
FINISH_LIMIT = 60.0  # seconds that a finished job waits in all; one that will run again waits for no more than SILENCE
TRIES_AT_END = 3
PAUSE_AT_END = 1.0  # seconds between two of them

# It logs each of its steps, and a line for each outage beside ours.
logging.getLogger("mlflow.system_metrics").setLevel(logging.CRITICAL)


class Tracker:
    """Replays metrics.jsonl to MLflow from a thread of its own, for as long as the job runs."""

    def __init__(self, job: JobFolder, config: JobConfig, tracking: Tracking) -> None:
        self.job, self.config, self.tracking = job, config, tracking
        self._fence = Fence.here()
        self._lifetime = Lifetime.begin(job)
        self._answered = time.monotonic()
        self._ended, self._imported = threading.Event(), threading.Event()
        self._complete = self._away = self._abandoned = False
        self._thread = threading.Thread(target=self._send_until_end, name="mlflow", daemon=True)
        self._thread.start()

    def finish(self, status: str) -> None:
        """Record that the job ended as `status` (an MLflow RunStatus name), and give the thread time to say so.

        The end of an attempt that was superseded is not the job's.
        It gets up to FINISH_LIMIT while the server answers and SILENCE when it does not. A thread that hangs in a
        request is left behind: what it could not send is on the disk, and `launcher sync` sends it.
        """
        try:
            self._fence.check()
            self._lifetime = self._lifetime.end(self.job, status)
        except Superseded:
            self._abandoned = True
            return
        except OSError as error:  # a full disk; how the job ended does not depend on it
            logger.warning("cannot record that the job is %s: %s", status, error)
            self._abandoned = True
            return
        self._ended.set()
        while self._thread.is_alive() and not self._imported.wait(0.05):
            pass
        self._answered = now = time.monotonic()
        limit = now + (FINISH_LIMIT if status == "FINISHED" else SILENCE)
        while self._thread.is_alive() and now < min(limit, self._answered + SILENCE):
            self._thread.join(0.05)
            now = time.monotonic()
        if not self._complete:
            self._abandoned = True
            logger.warning(
                "MLflow (%s) has not everything of this job; `launcher sync %s` sends what is left",
                self.tracking.uri,
                self.tracking.parent.name,
            )

    def _send_until_end(self) -> None:
        self._ended.wait(HEAD_START)
        with uncollected():
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            from locat.engine.tracking.client import one_line
            from locat.engine.tracking.refusals import reason

        self._imported.set()
        run: JobRun | None = None
        monitor: SystemMetricsMonitor | None = None
        interval, tries = INTERVAL, TRIES_AT_END
        with only_sender(self.job.path) as key:
            while tries:
                ended = self._ended.is_set()
                try:
                    self._fence.check()
                    if run is None:
                        run = self._open(key)
                    run.send_records()
                    if ended:
                        if monitor is not None:
                            monitor.finish()
                        run.end(self._lifetime)
                        self._complete = True
                        return
                    self._say(away=False)
                    interval = INTERVAL
                    if monitor is None:
                        monitor = SystemMetricsMonitor(run.sent.run_id, SAMPLING_INTERVAL, resume_logging=True)
                        monitor.start()
                except Superseded:
                    if monitor is not None:
                        monitor.finish()
                    return
                except Exception as error:  # whatever it is, the training does not depend on it
                    self._say(away=True, why=one_line(error), trouble=reason(self.tracking, self.job, error))
                    interval = min(2 * interval, LONGEST_INTERVAL)
                    tries -= ended
                    if monitor is not None and not ended:
                        monitor.finish()  # it ends by itself when the server is away, and does not come back
                        monitor = None
                if not ended:
                    self._ended.wait(interval)
                elif tries:
                    time.sleep(PAUSE_AT_END)

    def _open(self, key: str) -> "JobRun":
        with uncollected():
            from locat.engine.tracking.job_run import JobRun

        started = self._lifetime.started
        return JobRun(self.job, self.config, self.tracking, key, started, running=True, answered=self._note_answer)

    def _note_answer(self) -> None:
        self._answered = time.monotonic()

    def _say(self, away: bool, why: str = "", trouble: str = "") -> None:
        """One line when the server goes away, one when it is back; none from a thread left behind."""
        if away == self._away or self._abandoned:
            return
        self._away = away
        if trouble:
            logger.warning("MLflow (%s) takes nothing of this job: %s", self.tracking.uri, trouble)
        elif away:
            logger.warning("MLflow (%s) takes nothing now; the job goes on and sends later: %s", self.tracking.uri, why)
        else:
            logger.info("MLflow (%s) takes metrics again", self.tracking.uri)
