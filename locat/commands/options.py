"""Options that several commands have."""

import click

model = click.option(
    "--model",
    "source",
    required=True,
    metavar="FOLDER|hf-hub:OWNER/NAME",
    help="A job's outputs, or a model of the Hub.",
)
