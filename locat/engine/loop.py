"""The training loop: a task says what a step and an evaluation are, the loop does the rest."""

import logging
import math
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import NoReturn

import torch

from locat.config import TrainingConfig
from locat.config.sets import called
from locat.contract import durable
from locat.contract.errors import Preempted
from locat.contract.job_folder import JobFolder
from locat.contract.usage import CHECKPOINTING, EVALUATING, WAITING
from locat.data.batch import Batch
from locat.data.position import Position
from locat.engine.checkpoints import branch
from locat.engine.checkpoints.checkpoints import Checkpoints
from locat.engine.distributed import Ranks, join_ranks
from locat.engine.early_stop import FILE, EarlyStop
from locat.engine.guards.nonfinite import Findings, NotFiniteError
from locat.engine.guards.throughput import Throughput, slowest
from locat.engine.guards.watchdog import Watchdog
from locat.engine.memory import naming_the_remedy
from locat.engine.profiling import Profile
from locat.engine.progress import Progress
from locat.engine.signals import Interrupted
from locat.engine.spending import Spending
from locat.engine.stopping import Stopping
from locat.engine.strategies import make_strategy, micro_batch_size
from locat.engine.task import Batches, Models, Task
from locat.engine.tracking import tracked
from locat.engine.tracking.metric_log import MetricLog
from locat.engine.update import Update

logger = logging.getLogger(__name__)

DROPPED, BAD_IN_A_ROW = "dropped_updates", "bad_updates_in_a_row"
"""In a checkpoint, beside the task's own state."""
PATIENCE = 1800.0
"""Seconds at least that ranks wait for each other."""
NAMED = 64
"""Samples in an error's one line."""
SLOW = 1.5
"""A rank that takes so many times the median is worth a line in the log."""


def run_training(make_task: Callable[[Ranks], Task], config: TrainingConfig, job: JobFolder) -> None:
    """Join the ranks, keep the MLflow run, train; nothing where the job is done already."""
    if job.results.exists():
        logger.info("%s exists: this job is done already", job.results)
        return
    patience = max(PATIENCE, 2 * config.step_timeout)  # a rank that hangs is the watchdog's to find
    with join_ranks(patience) as ranks, tracked(job, config, ranks.is_main), naming_the_remedy(config, ranks):
        torch.manual_seed(config.seed)
        task = make_task(ranks)
        torch.manual_seed(config.seed + ranks.rank)  # dropped paths must not be the same on all ranks
        train(task, config, job, ranks)


def train(task: Task, config: TrainingConfig, job: JobFolder, ranks: Ranks) -> None:
    """Train from the newest checkpoint, or the start, to the end or to where `early_stop` ends it; then export.

    Raises:
        Preempted: the job was asked to stop, and has saved a checkpoint.
        Superseded: a newer attempt of it has begun.
        NotFiniteError: more updates than allowed were not finite; the state before the last of them is saved.
        ConfigError: a rank's share of the batch cannot be cut into micro-batches.
    """
    with ExitStack() as stack:
        training = Training(task, config, job, ranks, stack)
        metrics = training.run() or training.evaluate()
        if metrics is None or (metrics := training.take_best(metrics)) is None:
            training.give_way()
        weights = training.strategy.full_weights()
        training.wait_for_checkpoint()  # who has results is done for good
        training.stopping.halt_if_superseded()
        if ranks.is_main:
            durable.make_folder(job.outputs, within=job.path)
            training.log_usage()
            if training.ended_early:
                durable.write_json(job.outputs / FILE, training.early_stop.report())
            task.export(weights, metrics)
        ranks.barrier()


class Training:
    """What happens between the first step and the last."""

    def __init__(self, task: Task, config: TrainingConfig, job: JobFolder, ranks: Ranks, stack: ExitStack) -> None:
        self.task, self.config, self.job, self.ranks = task, config, job, ranks
        self.stopping = Stopping(ranks)
        self.profile = stack.enter_context(Profile(config.profile, job, ranks, task.total_steps))
        self.micro_batch = micro_batch_size(config, ranks)
        self.checkpoints = stack.enter_context(
            Checkpoints(job.checkpoints, config.checkpoints, ranks, config.decisive(), config.as_today)
        )
        branch.begin(self.checkpoints, job, config, task.train_loader.batches_per_epoch)
        if self.checkpoints.newest is None:
            task.begin()
        self.strategy = make_strategy(config, ranks, task.model, task.shadow, task.frozen_until)
        self.models = Models(self.strategy.module, self.strategy.shadow)
        self.watchdog = stack.enter_context(Watchdog(config.step_timeout, ranks))
        self.throughput = Throughput(ranks.device)
        self.early_stop = EarlyStop(config.early_stop)
        self.position = self._restore()
        self.spending = stack.enter_context(Spending(job, self.position.step, ranks.is_main))
        # After it: what led to the restored state was logged before that was saved.
        self.log = MetricLog(job.metrics) if ranks.is_main else None
        self.unsettled: list[Update] = []
        """Updates since the host last looked at what the device made of them."""
        self.suspect: float | None = None
        """The rank that was slow when last reported."""

    def run(self) -> dict[str, float] | None:
        """Every step that is left, with the evaluations, metrics and checkpoints that are due between them.

        What the last evaluation found, where training ends early after it; else None.
        """
        config, task = self.config, self.task
        self.models.trained.train()
        total, found = task.total_steps, None
        begun, shown, memory = self.position.step, self.ranks.is_main, self.ranks.gpu_memory
        if self.owes_evaluation:
            if (owed := self.evaluate()) is None:
                self.give_way()
            self.checkpoints.judge(self.position, owed)
        with (
            Progress(self.job, "train", total, "step", begun, shown, memory) as progress,
            closing(task.batches(self.position)) as batches,  # the process must not end while threads decode
        ):
            while self.position.step < total and not self.early_stop.reached:
                self.profile.begin(self.position.step)
                self.watchdog.enter(self.position.step, "waits for its data")
                with self.throughput.waiting(), self.spending.on(WAITING):
                    batch, after = next(batches)
                self.watchdog.enter(self.position.step, "computes")
                self._update(batch)
                self.watchdog.enter(self.position.step, "waits for the other ranks")
                self.position, step = after, after.step
                progress.advance_to(step)
                self.spending.at(step)
                stopping = self.stopping.is_asked()
                is_last, found = step == total, None
                if step % config.log_every == 0 or is_last:
                    self._report()
                self.watchdog.rest()
                if step % task.evaluate_every == 0 and not is_last and not stopping:
                    found = self.evaluate()
                    stopping = found is None
                judged = found is not None and (config.checkpoints.best in found or self.early_stop.reached)
                if step % config.checkpoints.every_steps == 0 or is_last or stopping or judged:
                    self._save(found or {})
                if stopping:
                    self.give_way()
                if self.profile.end(step, is_last or self.early_stop.reached):
                    self.throughput.restart()
        if self.ended_early:
            self.early_stop.tell(total)
        return found

    @property
    def ended_early(self) -> bool:
        """Whether `early_stop` has ended the training before its last step."""
        return self.early_stop.reached and self.position.step < self.task.total_steps

    def evaluate(self) -> dict[str, float] | None:
        """What the task finds of the models as they are now, logged; None if some rank is asked to stop meanwhile."""
        self._settle()
        if (found := self._find()) is None:
            return None
        if self.task.best:
            self.task.best.see(found)
        self.early_stop.see(self.position.step, found)
        if self.log:
            self.log.append(self.position.step, {f"val/{name}": value for name, value in found.items()})
            numbers = ", ".join(f"{key} {value:.4f}" for key, value in found.items())
            logger.info("step %d: %s", self.position.step, numbers)
        self.throughput.restart()
        return found

    def take_best(self, metrics: dict[str, float]) -> dict[str, float] | None:
        """At the end, of which `metrics` were found: take up the weights that the config asks to leave.

        What is found of these; None if some rank is asked to stop meanwhile.
        """
        if self.config.checkpoints.export == "last":
            return metrics
        self.wait_for_checkpoint()
        self.checkpoints.judge(self.position, metrics)
        best = self.checkpoints.restore_best(self.strategy)
        if best is None:
            return metrics
        self.task.load_state(best.task_state)
        logger.info("leaves the weights of step %d", best.position.step)
        return self._find()

    def _find(self) -> dict[str, float] | None:
        """What the task finds of the models as they are now; None if some rank is asked to stop meanwhile."""
        self.models.trained.eval()
        try:
            with self.spending.on(EVALUATING, is_long=True), torch.no_grad(), self.strategy.autocast():
                return self.task.evaluate(self.models, self._interruptible)
        except Interrupted:
            return None
        finally:
            self.models.trained.train()

    def _interruptible(self, batches: Batches) -> Batches:
        """The batches, until some rank is asked to stop."""
        for batch in batches:
            if self.stopping.is_asked():
                raise Interrupted
            yield batch

    def _loss(self, piece: Batch) -> torch.Tensor:
        with self.throughput.forward():
            return self.task.loss(self.models, piece, self.position)

    def _update(self, batch: Batch) -> None:
        task, strategy, step = self.task, self.strategy, self.position.step
        strategy.begin(step, lr := task.learning_rate(step), task.weight_decay(step))
        loss = strategy.accumulate(self._loss, list(batch.split(self.micro_batch)))
        norm = strategy.update()
        if strategy.shadow is not None:
            strategy.follow(task.shadow_momentum(step))
        task.after_update(step, strategy.guard.dropping)
        self.unsettled.append(Update(self.position, batch.index, lr, loss, norm))
        self.throughput.count(self.config.batch_size)

    def _report(self) -> None:
        """Log the last update and how fast it goes."""
        update, own = self.unsettled[-1], self.ranks.gather(self.throughput.own)
        values = {
            "train/loss": self.ranks.mean(update.loss),
            "train/lr": update.lr,
            "train/grad_norm": update.norm.item(),
            "train/epoch": self.position.epoch,
            "train/dropped_updates": self._settle().dropped,
            **self.throughput.metrics(),
            **self.checkpoints.metrics(),
        }
        if len(own) > 1:
            values |= (lag := slowest(own))
            self._name_slow(lag, own)
        if self.log:
            self.log.append(self.position.step, values)
        self.throughput.restart()

    def _name_slow(self, lag: dict[str, float], own: list[float]) -> None:
        """Warn when a rank is slow twice running; the first steps compile and fill caches."""
        slow = lag["ranks/slowest"] if lag["ranks/slowest_to_median"] > SLOW else None
        if slow is not None and slow == self.suspect:
            times = ", ".join(f"{seconds:.2f}" for seconds in own)
            logger.warning("rank %d holds the others up: seconds for data and forward passes: %s", slow, times)
        self.suspect = slow

    def _settle(self) -> Findings:
        """Learn what became of the updates so far.

        Raises:
            NotFiniteError: more than allowed; the state before the last of them is saved.
        """
        findings = self.strategy.guard.findings()
        if findings.since_last_good is not None:
            bad = self.unsettled[-findings.since_last_good]
            self.position = bad.position
            before = replace(findings, dropped=findings.dropped - 1, in_a_row=findings.in_a_row - 1)
            self._begin_checkpoint({}, before)
            raise NotFiniteError(self._accusation(bad, self.wait_for_checkpoint()))
        self.unsettled.clear()
        return findings

    def _accusation(self, bad: Update, saved: bool) -> str:
        told = self.ranks.gather((bad.loss.item(), bad.samples.tolist()))
        guilty = [samples for loss, samples in told if not math.isfinite(loss)] or [samples for _, samples in told]
        names = [str(sample) for part in guilty for sample in part]
        logger.error("samples of the batch that is not finite: %s", ", ".join(names))
        samples = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more (see the log)" if names[NAMED:] else "")
        losses = ", ".join(f"{loss:g}" for loss, _ in told)
        return (
            f"step {bad.position.step + 1}: loss (of each rank: {losses}) or gradients are not finite, and "
            f"skip_nonfinite allows {self.config.skip_nonfinite} such steps; samples {samples} of "
            f"{called(self.config.data.train)}; "
            + (f"the state before it is saved (step {bad.position.step})" if saved else "its state could not be saved")
            + "; look at the samples, lower optimizer.lr, or allow some with skip_nonfinite"
        )

    def _save(self, metrics: dict[str, float]) -> None:
        self._begin_checkpoint(metrics, self._settle())
        self.throughput.restart()

    def _begin_checkpoint(self, metrics: dict[str, float], updates: Findings) -> None:
        best = self.task.best.state() if self.task.best else {}
        counts = {DROPPED: torch.tensor(updates.dropped), BAD_IN_A_ROW: torch.tensor(updates.in_a_row)}
        state = {**self.task.state(), **best, **self.early_stop.state(), **counts}
        with self.spending.on(CHECKPOINTING):
            self.checkpoints.save(self.strategy, self.position, state, metrics)

    def _restore(self) -> Position:
        position, state, evaluated = self.checkpoints.restore(self.strategy, self.task.train_loader.start)
        if state:
            in_a_row = int(state.pop(BAD_IN_A_ROW, 0))  # older checkpoints have none
            self.strategy.guard.resume(int(state.pop(DROPPED)), in_a_row)
            self.task.load_state(state)
            self.early_stop.load_state(state)
        if evaluated:  # perhaps after the checkpoint was written
            self.early_stop.see(position.step, evaluated)
        if self.task.best:
            self.task.best.load_state(state)
            if evaluated:
                self.task.best.see(evaluated)
        # Who is asked to stop saves first.
        step, every = position.step, self.task.evaluate_every
        self.owes_evaluation = 0 < step < self.task.total_steps and step % every == 0 and not evaluated
        return position

    def wait_for_checkpoint(self) -> bool:
        """Wait until the checkpoint that was begun is written; whether it is complete, and True if there was none."""
        with self.spending.on(CHECKPOINTING):
            return self.checkpoints.wait()

    def log_usage(self) -> None:
        """Log what the job has spent its time on, at its end."""
        if self.log:
            self.log.append(self.position.step, self.spending.metrics())

    def give_way(self) -> NoReturn:
        """Ask to be run again, once the checkpoint that was begun is written."""
        saved = self.wait_for_checkpoint()
        step = self.position.step
        raise Preempted(f"asked to stop; checkpoint of step {step} {'saved' if saved else 'could not be saved'}")
