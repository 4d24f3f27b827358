"""Writes the report of pipeline runs: `python -m locat.report RUN_FOLDER... [--output FOLDER]`."""

import argparse
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from locat.contract import durable
from locat.contract.errors import UserError
from locat.report.render import Report, html, markdown, table_of_numbers
from locat.report.scatter import scatter
from locat.report.store import log_report, read_run, results, unknown_tasks
from locat.report.tables import Table, gains, tables


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m locat.report", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_FOLDER")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="by default report/ of the first run")
    parser.add_argument("--tracking-uri", metavar="URI", help="by default where each run is tracked")
    parser.add_argument(
        "--plugins", action="append", default=[], metavar="FOLDER", help="where tasks of a run's plugins are found"
    )
    arguments = parser.parse_args()
    sys.path += arguments.plugins
    folders = [folder.resolve() for folder in arguments.runs]
    try:
        for file in write_report(folders, arguments.output or folders[0] / "report", arguments.tracking_uri):
            print(file)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def write_report(folders: Sequence[Path], output: Path, uri: str | None = None) -> list[Path]:
    """Write the report of these runs into `output`, and add it to each of them in MLflow; the files.

    Raises:
        UserError: MLflow does not tell of a run, no job of them has a number yet, or `output` cannot be written.
    """
    runs = [read_run(folder, uri) for folder in folders]
    for task in unknown_tasks(runs):
        print(f"task {task!r} is not installed here; its numbers are left out", file=sys.stderr)
    made = tables(results(runs))
    if not made:
        names = ", ".join(run.name for run in runs)
        raise UserError(
            f"{names}: MLflow has no numbers yet: no job that evaluates a model is done (`launcher status`)"
        )
    found = {table.key: gained for table in made if (gained := gains(table)) is not None}
    report = Report([run.summary() for run in runs], made, found, dict(_pictures(made)))
    contents = {
        "report.md": markdown(report).encode(),
        "report.html": html(report).encode(),
        "report.csv": table_of_numbers(report).encode(),
        **{f"{key}.png": picture for key, picture in report.figures.items()},
    }
    files = _write(output, contents)
    for run in runs:
        log_report(run, files)
    return files


def _pictures(made: Sequence[Table]) -> Mapping[str, bytes]:
    pictures = {}
    for table in made:
        figure = scatter(table)
        if figure is not None:
            buffer = io.BytesIO()
            figure.savefig(buffer, dpi=120, bbox_inches="tight")
            pictures[table.key] = buffer.getvalue()
    return pictures


def _write(output: Path, contents: Mapping[str, bytes]) -> list[Path]:
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            durable.write_bytes(output / name, content)
    except OSError as error:
        raise UserError(f"{output}: the report cannot be written there: {error.strerror or error}") from error
    return [output / name for name in contents]


if __name__ == "__main__":
    sys.exit(main())
