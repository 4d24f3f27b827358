"""One instance of a job: what its references mean, and what its config and environment become."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from launcher.compile import initial_weights
from launcher.compile.combinations import Report
from launcher.compile.matrix import Expansion, Instance
from launcher.compile.origin import Origins
from launcher.compile.references import BadReference, Lookup, ReferenceList, formatted, of_matrix, resolve
from launcher.language.explain import explain
from launcher.language.model import Pipeline
from locat.config import TASKS, JobConfig, Model, TrainingConfig
from locat.contract.batch_share import rank_batch_size
from locat.contract.errors import ConfigError
from locat.contract.job_folder import JobFolder
from locat.contract.problems import KeyPath, known_words, shown
from locat.contract.tracking_uri import located_path

NOT_SEEN = "jobs see no folder of this machine; give the absolute path at which `storage` mounts it"
"""Of a relative path, or one of `~`, where that holds."""


@dataclass(frozen=True)
class CompileContext:
    """What every instance shares."""

    pipeline: Pipeline
    id: str
    folder: Path
    tracking_uri: str
    experiment: str
    instances: Expansion
    report: Report
    sees_folders: bool
    """Whether jobs see the folders of this machine."""

    def job_folder(self, instance: Instance) -> JobFolder:
        return JobFolder(self.folder / "jobs" / instance.name)


class InstanceCompiler:
    """An instance being compiled. `needs` is complete once `config` and `environment` have followed references."""

    def __init__(self, run: CompileContext, instance: Instance) -> None:
        self.run = run
        self.instance = instance
        self.job = run.pipeline.jobs[instance.job]
        self.path: KeyPath = ("jobs", instance.job)
        self.upstream = {need: run.instances.joined(instance, need) for need in self.job.needs}
        for position, need in enumerate(self.job.needs):
            if not self.upstream[need]:
                self.report(("needs", position), self._no_instance(need))

    def report(self, path: KeyPath, message: str) -> None:
        self.run.report((*self.path, *path), message)

    def _no_instance(self, job: str) -> str:
        upstream = self.run.pipeline.jobs[job].matrix
        values = ", ".join(f"{axis}={slug}" for axis, slug in self.instance.slugs.items() if axis in upstream)
        return f"no instance of {job!r} has {values}; give both matrices the same values"

    def needs(self) -> tuple[str, ...]:
        """Names of the instances that come first: those named in `needs`, and those referred to through them."""
        return tuple(dict.fromkeys(found.name for joined in self.upstream.values() for found in joined))

    def lookup(self, reference: str) -> Any:
        """What stands for `${reference}`.

        Raises:
            BadReference: nothing does.
        """
        match reference.split("."):
            case ["matrix", axis, *keys]:
                return of_matrix(self.instance.matrix, axis, keys)
            case ["jobs", job, "outputs", key]:
                upstream = self._of(job)
                output = self._output(job, key)
                paths = [str(self.run.job_folder(found).outputs / output) for found in upstream]
                return paths[0] if len(paths) == 1 else ReferenceList(paths)
        forms = "${matrix.AXIS} and ${jobs.NAME.outputs.KEY}"
        raise BadReference(f"unknown reference ${{{reference}}}; there are {forms}, and $${{ for the text itself")

    def _lookup_for(self, kind: Literal["text", "none"] | None) -> Lookup:
        """`lookup` of a key in which references become this kind of value (`JobConfig.references`)."""

        def as_text(reference: str) -> Any:
            value = self.lookup(reference)
            return value if isinstance(value, str | dict | list) else shown(value)

        def refused(reference: str) -> Any:
            raise BadReference(f"${{{reference}}}: must be the same for every instance of the job; write it out")

        return {None: self.lookup, "text": as_text, "none": refused}[kind]

    def _of(self, job: str) -> list[Instance]:
        """The instances of an upstream job that this one refers to."""
        jobs = self.run.pipeline.jobs
        if job not in jobs:
            raise BadReference(f"no job {job!r}{known_words(job, jobs)}")
        if job == self.instance.job and "outputs" in TASKS[self.job.task].references:
            return [self.instance]
        if job not in self.upstream and not self._waits_for(job):
            raise BadReference(f"{self.instance.job!r} does not wait for {job!r}; add it to `needs`")
        found = self.upstream.setdefault(job, self.run.instances.joined(self.instance, job))
        if not found:
            raise BadReference(self._no_instance(job))
        return found

    def _waits_for(self, job: str) -> bool:
        """Whether `job` is among those that the needed ones need in turn."""
        seen: set[str] = set()
        waiting = list(self.job.needs)
        while waiting:
            need = waiting.pop()
            if need not in seen:
                seen.add(need)
                waiting.extend(self.run.pipeline.jobs[need].needs)
        return job in seen

    def _output(self, job: str, key: str) -> str:
        written = self.run.pipeline.jobs[job]
        outputs = TASKS[written.task].reading(written.config).outputs
        if key not in outputs:
            raise BadReference(f"{job!r} has no output {key!r}{known_words(key, outputs)}")
        return outputs[key]

    def environment(self, omp_threads: int) -> dict[str, str]:
        """The environment variables of this instance; the job's own win."""
        environment = {"OMP_NUM_THREADS": str(omp_threads)}
        given = {("defaults", "env"): self.run.pipeline.defaults.env, (*self.path, "env"): self.job.env}
        for path, variables in given.items():
            for name, value in variables.items():
                try:
                    environment[name] = formatted(value, self.lookup)
                except BadReference as problem:
                    self.run.report((*path, name), str(problem))
        return environment

    def config(self, ranks: int) -> dict[str, Any]:
        """The complete, valid config; what is wrong is reported where it was written."""
        model = TASKS[self.job.task]
        written = self._written(model)
        unresolved: set[KeyPath] = set()

        def report(path: KeyPath, message: str) -> None:
            unresolved.add(path)
            self.run.report(path, message)

        resolved = {
            key: resolve(value, self._lookup_for(model.references.get(key)), path, report)
            for key, (path, value) in written.items()
        }
        model = model.reading(resolved)
        origins = Origins(self.path, written, resolved, self.upstream)
        try:
            config = model.model_validate({**resolved, "task": self.job.task, "tracking": self._tracking()})
        except ValidationError as error:
            for loc, message in explain(error, model):
                path, origin = origins.find(loc)
                if path not in unresolved:
                    self.run.report(path, message + origin)
            return {}
        if isinstance(config, TrainingConfig):
            try:
                rank_batch_size(config.batch_size, ranks)
            except ConfigError as problem:
                path, origin = origins.find(("batch_size",))
                self.run.report(path, f"{problem}{origin}")
        values: dict[str, Any] = self._located(config.model_dump(), config.model_dump(mode="json"), (), origins)
        values.pop("branch", None)  # there is none before `submit --from` sets it
        model_config = getattr(config, "model", None)
        if isinstance(model_config, Model) and model_config.init is not None:
            values["model"]["init"]["source"] = self._initial_weights(model_config.init.source, origins)
        return values

    def _initial_weights(self, source: str, origins: Origins) -> str:
        """What the job takes for the source of its first weights; one that is not there is reported."""
        path, origin = origins.find(("model", "init", "source"))
        if not self.run.sees_folders and initial_weights.depends_on_folder(source):
            self.run.report(path, f"{source!r}: {NOT_SEEN}{origin}")
            return source
        try:
            source = initial_weights.located(source, self.run.pipeline.source.folder_of(path), self.run.folder)
            if self.run.sees_folders:
                initial_weights.check(source, self.run.folder)
        except (ValueError, OSError) as error:
            self.run.report(path, f"{error}{origin}")
        return source

    def _located(self, value: Any, plain: Any, loc: KeyPath, origins: Origins) -> Any:
        """`plain`, the plain form of `value`, with every path in it absolute."""
        if isinstance(value, dict):
            return {
                key: self._located(child, plain[name], (*loc, key), origins)
                for (key, child), name in zip(value.items(), plain, strict=True)
            }
        if isinstance(value, list | tuple):
            return [self._located(child, plain[i], (*loc, i), origins) for i, child in enumerate(value)]
        if not isinstance(value, Path) or (value.is_absolute() or loc[0] == "tracking"):
            return plain
        path, origin = origins.find(loc)
        if not self.run.sees_folders:
            self.run.report(path, f"{plain!r}: {NOT_SEEN}{origin}")
            return plain
        try:
            return str(located_path(value, self.run.pipeline.source.folder_of(path)))
        except ValueError as error:
            self.run.report(path, f"{error}{origin}")
            return plain

    def _written(self, model: type[JobConfig]) -> dict[str, tuple[KeyPath, Any]]:
        """The config's keys as the user gave them, each with where: in `config`, beside it, or in `defaults`."""
        defaults = self.run.pipeline.defaults
        given: dict[str, tuple[KeyPath, Any]] = {
            "strategy": (("defaults", "strategy"), defaults.strategy),
            "seed": (("defaults", "seed"), defaults.seed),
        }
        written = {
            key: (path, value)
            for key, (path, value) in given.items()
            if value is not None and key in model.model_fields
        }
        if self.job.strategy is not None:
            if "strategy" in model.model_fields:
                written["strategy"] = ((*self.path, "strategy"), self.job.strategy)
            else:
                self.report(("strategy",), f"{self.job.task!r} does not train; remove it")
        for key, value in self.job.config.items():
            if key in model.settled:
                self.report(("config", key), f"{key!r} is not set here but {model.settled[key]}; remove it")
            else:
                written[key] = ((*self.path, "config", key), value)
        return written

    def _tracking(self) -> dict[str, Any]:
        return {
            "uri": self.run.tracking_uri,
            "experiment": self.run.experiment,
            "parent": str(self.run.folder),
            "run_tags": {"run_id": self.run.id, "pipeline": self.run.pipeline.name},
            "tags": {
                "job": self.instance.name,
                **{f"matrix.{axis}": slug for axis, slug in self.instance.slugs.items()},
            },
        }
