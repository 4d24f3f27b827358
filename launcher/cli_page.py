"""The command line as a document, from its own help: `python -m launcher.cli_page > docs/cli.md`."""

import inspect
import re
from collections.abc import Iterator

import click

from launcher.backends import BACKENDS
from launcher.cli import VERBS, cli
from launcher.view.completion import BackendName

INTRODUCTION = """\
# The command line

This page lists every verb of `launcher` with the arguments and options that its `--help` prints. It is generated from
the code (`python -m launcher.cli_page > docs/cli.md`).

RUN is a run's name or the beginning of one; without RUN, a verb takes the newest run. If you leave out an option that
has a variable, the variable sets its value. [status.md](status.md) explains the words that verbs print about runs and
jobs, [exit-codes.md](exit-codes.md) their exit codes. [predict.md](predict.md) describes
`python -m locat predict`, which needs no run.

| verb | what it does |
|---|---|
"""


def text() -> str:
    """The whole document."""
    table = "".join(f"| [`{verb}`](#{verb}) | {about} |\n" for verb, about in VERBS.items())
    return INTRODUCTION + table + "".join(_section(verb) for verb in VERBS)


def _section(verb: str) -> str:
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    context = click.Context(command, info_name=f"launcher {verb}")
    arguments = [_words(each, context) for each in command.params if isinstance(each, click.Argument)]
    usage = " ".join(["launcher", verb, *arguments, "[OPTIONS]"])
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    about = "\n\n".join(_prose(" ".join(paragraph.split())) for paragraph in paragraphs)
    rows = "".join(_row(each, context) for each in command.params if isinstance(each, click.Option))
    return f"\n## {verb}\n\n```text\n{usage}\n```\n\n{about}\n\n| option | default | meaning |\n|---|---|---|\n{rows}"


def _row(option: click.Option, context: click.Context) -> str:
    default = option.get_default(context)
    shown = f"`{default}`" if isinstance(default, str | int | float) and not isinstance(default, bool) else ""
    meaning = " ".join([_prose(option.help or ""), *_remarks(option)])
    cells = (cell.replace("|", "\\|") for cell in (f"`{_words(option, context)}`", shown, meaning))
    return f"| {' | '.join(cells)} |\n"


def _prose(text: str) -> str:
    """A sentence of the help as Markdown that shows it as it is; what it has in backquotes is code in both."""
    between = re.split("(`[^`]*`)", text)
    between[::2] = [re.sub(r"([*_\[\]])", r"\\\1", part).replace("<", "&lt;") for part in between[::2]]
    return "".join(between)


def _remarks(option: click.Option) -> Iterator[str]:
    if isinstance(option.type, BackendName):
        yield f"One of {', '.join(f'`{name}`' for name in BACKENDS.own)}, or of a package that is installed."
    if isinstance(option.type, click.Choice):
        yield f"One of {', '.join(f'`{name}`' for name in option.type.choices)}."
    if option.envvar:
        yield f"Variable: `{option.envvar}`."
    if option.multiple and "repeatable" not in (option.help or ""):
        yield "May be given several times."


def _words(parameter: click.Parameter, context: click.Context) -> str:
    """What is typed: an argument's name, or an option's names and what its value is called."""
    if isinstance(parameter, click.Argument):
        return parameter.make_metavar(context)
    assert isinstance(parameter, click.Option)
    names = ", ".join(sorted(parameter.opts, key=len))
    if parameter.is_flag:
        return names
    if isinstance(parameter.type, BackendName | click.Choice):
        return f"{names} NAME"
    return f"{names} {parameter.make_metavar(context)}"


if __name__ == "__main__":
    print(text(), end="")
