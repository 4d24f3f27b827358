"""Arguments that several verbs take."""

from pathlib import Path

import click

runs_option = click.option(
    "--runs-dir",
    "runs",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="LAUNCHER_RUNS",
    show_envvar=True,
    default="runs",
    show_default=True,
    help="Folder that holds the runs.",
)
run_argument = click.argument("reference", metavar="[RUN]", required=False)
file_argument = click.argument("file", type=click.Path(path_type=Path))
set_option = click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a key of the pipeline; repeatable."
)
