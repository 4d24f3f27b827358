"""Which data a job read and made, by the digests in the manifests that lie beside datasets (locat/data/beton.py)."""

from pathlib import Path

from launcher.plan import Plan, PlannedJob
from launcher.runs.folder import RunFolder
from locat.contract import records
from locat.contract.data_sets import named_sets


class Digests:
    """The datasets of a run's jobs; each manifest is read once."""

    def __init__(self, run: RunFolder, plan: Plan) -> None:
        self._run = run
        self._inside = f"{plan.folder}/"
        self._known: dict[Path, str] = {}

    def read_by(self, job: PlannedJob) -> dict[str, str]:
        """Key of the config -> SHA-256 of the dataset that it names, where that is there.

        Raises:
            FormatError: a manifest is none.
        """
        files = {f"data.{use}": self._here(path) for use, path in named_sets(job.config.get("data") or {})}
        return {key: digest for key, file in files.items() if (digest := self._of(file))}

    def made_by(self, job: PlannedJob) -> dict[str, str]:
        """The same of what lies among the job's outputs."""
        files = sorted(self._run.job(job.name).outputs.glob("*.beton"))
        return {f"outputs.{file.stem}": digest for file in files if (digest := self._of(file))}

    def _here(self, path: str) -> Path:
        """A path as this machine has it: for jobs the folder of runs may be elsewhere."""
        inside = path.startswith(self._inside)
        return self._run.path / path.removeprefix(self._inside) if inside else Path(path)

    def _of(self, dataset: Path) -> str:
        """Empty without a manifest."""
        if dataset not in self._known:
            manifest = dataset.parent / f"{dataset.name}.json"
            with records.intact(manifest):
                try:
                    self._known[dataset] = str(records.read_object(manifest)["sha256"])
                except (FileNotFoundError, NotADirectoryError):
                    self._known[dataset] = ""
        return self._known[dataset]
