"""Write the numbers and pictures of README.md and docs/results.md that `pipelines/digits.yaml` gives.

python benchmarks/readme.py               # from the record and the finished run of its first seed, run if it is missing
python benchmarks/readme.py --measure     # run every seed of this commit first, and record what came out

The record is benchmarks/results/digits.json. Runs are looked for in LAUNCHER_RUNS, or in runs/.
"""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from readme_pictures import SHARES, draw

import launcher
from launcher.runs.find import list_runs
from locat.contract.comparison import Comparison

ROOT = Path(__file__).parents[1]
PIPELINE = "pipelines/digits.yaml"
RECORD = Path(__file__).parent / "results" / "digits.json"
SEEDS = (0, 1, 2)
MODELS = {"vit_tiny_patch16_224": "ViT", "locatvit_tiny": "LocAtViT"}
METRICS = {"top1": "top-1 %", "miou": "mIoU %"}
Numbers = dict[str, dict[str, float]]
"""Model -> metric -> percent."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="run every seed first, and record the numbers")
    anew = parser.parse_args().measure or not RECORD.exists()
    record = measure() if anew else json.loads(RECORD.read_text())
    record["leads"] = draw(run_of(record["runs"][0]), MODELS, record)
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    for page, tables in PAGES.items():
        path = ROOT / page
        path.write_text(filled(path.read_text(), record, tables))


def measure() -> dict[str, Any]:
    """The record of this commit. SystemExit where the checkout is not a commit, or a run fails."""
    commit = git("rev-parse", "HEAD")
    if git("status", "--porcelain", "launcher", "locat", "pipelines"):
        raise SystemExit("commit launcher/, locat/ and pipelines/ first: the record names the commit it is of")
    runs = [{"seed": seed, "commit": commit, "metrics": numbers(submitted(seed))} for seed in SEEDS]
    return {"pipeline": PIPELINE, "date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count(), "runs": runs}


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def submitted(seed: int) -> launcher.Run:
    """A run of the pipeline with this seed, done. SystemExit where it fails."""
    run = launcher.submit(ROOT / PIPELINE, {"defaults.seed": seed}, name=f"digits-{seed}", backend="local")
    print(f"seed {seed}: waiting for {run.name}", flush=True)
    if (status := run.wait().status) != "done":
        raise SystemExit(f"{run.name}: {status}; see `launcher logs {run.name}`")
    return run


def numbers(run: launcher.Run) -> Numbers:
    """What a run's job `compare` left; nothing where it left nothing."""
    table = Comparison.read(run.path / "jobs" / "compare" / "outputs")
    rows = table.rows if table else []
    return {str(row["model"]): {metric: float(row[metric]) for metric in METRICS if metric in row} for row in rows}


def run_of(recorded: Mapping[str, Any]) -> launcher.Run:
    """The finished run that gave a record's numbers; run now if it is not there. SystemExit where that gives others."""
    folder = Path(os.environ.get("LAUNCHER_RUNS", ROOT / "runs"))
    for found in list_runs(folder):
        if alike(numbers(run := launcher.Run(found.path)), recorded["metrics"]):
            return run
    run = submitted(recorded["seed"])
    if not alike(numbers(run), recorded["metrics"]):
        raise SystemExit(f"{run.name} has other numbers than {RECORD.name}; measure all seeds again with --measure")
    return run


def alike(one: Numbers, other: Numbers) -> bool:
    """Whether both read the same in the tables."""
    return [*shown(one)] == [*shown(other)]


def shown(values: Numbers) -> Iterator[str]:
    for model in MODELS:
        for metric in METRICS:
            yield f"{model} {metric} {values.get(model, {}).get(metric, float('nan')):.1f}"


def spread(record: Mapping[str, Any], model: str, metric: str) -> str:
    """Mean and standard deviation over the record's seeds."""
    values = [run["metrics"][model][metric] for run in record["runs"]]
    return f"{mean(values):.1f} ± {stdev(values):.1f}"


def means(record: Mapping[str, Any]) -> str:
    """A row per model."""
    lines = [f"| {PIPELINE}, {len(record['runs'])} seeds | {' | '.join(METRICS.values())} |", "|---|---|---|"]
    for model, name in MODELS.items():
        cells = [spread(record, model, metric) for metric in METRICS]
        best = [f"**{cell}**" if model == "locatvit_tiny" else cell for cell in cells]
        lines.append(f"| {name} | {' | '.join(best)} |")
    return "".join(f"{line}\n" for line in lines)


def seeds(record: Mapping[str, Any]) -> str:
    """A row per seed, with the commit that it was measured at; then the means."""
    columns = [(model, metric) for metric in METRICS for model in MODELS]
    titles = [f"{MODELS[model]} {METRICS[metric]}" for model, metric in columns]
    lines = [f"| seed | commit | {' | '.join(titles)} |", "|---|---|" + "---|" * len(titles)]
    for run in record["runs"]:
        cells = [f"{run['metrics'][model][metric]:.1f}" for model, metric in columns]
        lines.append(f"| {run['seed']} | {run['commit'][:7]} | {' | '.join(cells)} |")
    lines.append(f"| mean ± sd | | {' | '.join(spread(record, *column) for column in columns)} |")
    return "".join(f"{line}\n" for line in lines)


def leads(record: Mapping[str, Any]) -> str:
    """How the scenes of the picture were chosen, and which model is ahead how often."""
    found = record["leads"]
    places = [f"{100 * share:.0f}" for share in SHARES]
    return (
        f"These are not the best scenes: of {found['scenes']:,} never seen in training, ordered by LocAtViT's lead\n"
        f"over ViT, they are those at {', '.join(places[:-1])} and {places[-1]} %. LocAtViT is ahead in "
        f"{found['LocAtViT']:,} scenes, ViT in {found['ViT']:,}.\n"
    )


PAGES = {"README.md": {"means": means, "leads": leads}, "docs/results.md": {"seeds": seeds}}
"""Page -> name of a table in it -> what writes that."""


def filled(page: str, record: Mapping[str, Any], tables: Mapping[str, Any]) -> str:
    """A page with its tables as the record has them."""
    for name, table in tables.items():
        begin, end = f"<!-- {name}: written by `make readme` -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        page = before + begin + table(record) + end + rest.partition(end)[2]
    return page


if __name__ == "__main__":
    main()
