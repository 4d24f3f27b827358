"""What the documents say is so: commands are accepted, files and links are there, quoted messages are printed."""

import ast
import importlib.util
import io
import re
import shlex
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from launcher.cli import VERBS, cli
from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load
from locat.commands import COMMANDS
from locat.report.paper import PAPER, PaperTable
from support.documents import (
    DOCUMENTS,
    HERE,
    NOT_FOLLOWED,
    ON_SLURM,
    ROOT,
    TOOLS,
    block_commands,
    blocks,
    calls,
    lines,
    quoted_commands,
)

PIPELINES = sorted((ROOT / "pipelines").glob("*.yaml"))
FOLDERS = "docs|examples|pipelines|launcher|locat|tests|benchmarks|docker|k8s"
NAMES = ("*.py", "*.yaml", "*.yml", "*.toml", "*.json", "Makefile", "Dockerfile")
CODE = sorted(
    path
    for name in NAMES
    for where in (name, *(f"{folder}/**/{name}" for folder in (*FOLDERS.split("|"), ".github")))
    for path in ROOT.glob(where)
    if path.name != "mkdocs.yml"
)
"""Files that are no documents, but name some. What mkdocs.yml names is below docs/, and mkdocs looks for it."""

by_name = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def commands(path: Path) -> list[str]:
    """Commands in blocks, and those of the launcher wherever they are quoted; of a pipeline those of its header."""
    text = path.read_text()
    if path.suffix == ".yaml":
        header = "\n".join(line[1:].strip() for line in text.splitlines() if line.startswith("#"))
        lines = header.replace("\\\n", " ").splitlines()
        return [re.sub(r"\s{2,}#\s.*", "", line) for line in lines if line.startswith("launcher ")]
    return [*block_commands(text), *quoted_commands(text)]


def refusal(command: str) -> str:
    """Why the command line does not take a `launcher` command; empty if it does."""
    words = shlex.split(command)[1:]
    if words in ([], ["--help"]):
        return ""
    verb = cli.get_command(click.Context(cli), words[0])
    if verb is None:
        return f"there is no verb {words[0]}; there are {', '.join(VERBS)}"
    if words[1:] in ([], ["..."]):
        return ""  # the verb is named, not called
    try:
        verb.make_context(words[0], words[1:])
    except click.exceptions.Exit:
        return ""  # --help
    except click.ClickException as error:
        return error.format_message()
    return ""


@pytest.mark.parametrize("path", [*DOCUMENTS, *PIPELINES], ids=lambda path: path.name)
def test_the_command_line_takes_every_launcher_command(path: Path) -> None:
    found = [command for command in commands(path) if command.split()[0] == "launcher"]
    refused = {command: why for command in found if (why := refusal(command))}
    assert not refused


def test_a_command_that_is_not_there_would_be_noticed() -> None:
    assert "no verb" in refusal("launcher sumbit x.yaml")
    assert "--wacth" in refusal("launcher submit x.yaml --wacth")
    assert "FILE" in refusal("launcher submit --watch")


def test_the_overview_shows_every_verb() -> None:
    overview = commands(ROOT / "docs/overview.md")
    assert {command.split()[1] for command in overview if command[:9] == "launcher "} == {*VERBS}


@by_name
def test_every_other_command_leads_to_something(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in block_commands(document.read_text()):
        first, *words = shlex.split(command)
        match first:
            case "make":
                assert words[0] in targets, command
            case "python" if words[0] == "-m":
                assert importlib.util.find_spec(words[1]) is not None, command
                assert words[1] != "locat" or words[2] in COMMANDS, command
            case "python":
                script = words[0]
                there = (ROOT / script).exists() or (ROOT / "examples" / script).exists()
                assert there or f"# {script}\n" in document.read_text(), command
            case _:
                assert first == "launcher" or first in TOOLS, f"{command}: of what is it?"


def followed_elsewhere() -> set[str]:
    """What the tests of docs/tutorial.md, docs/own-masks.md, docs/kubernetes.md and docs/extend/ take from them."""
    tutorial, kubernetes = (blocks((ROOT / "docs" / name).read_text()) for name in ("tutorial.md", "kubernetes.md"))
    followed = (ROOT / "docs" / "own-masks.md", *(ROOT / "docs" / "extend").glob("*.md"))
    pages = [blocks(page.read_text()) for page in followed]
    verbs, setup, run_it = [lines(block) for language, block in kubernetes if not language][:3]
    return {
        *verbs[1:5],
        *setup,
        *run_it,
        *(line for page in (tutorial, *pages) for language, block in page if language == "sh" for line in lines(block)),
    }


@by_name
def test_every_command_is_followed_by_a_test_or_known_not_to_be(document: Path) -> None:
    known = HERE.keys() | ON_SLURM.keys() | NOT_FOLLOWED.keys() | followed_elsewhere()
    assert not [command for command in calls(document.read_text()) if command not in known]


def test_what_no_test_follows_is_in_the_documents() -> None:
    said = {command for document in DOCUMENTS for command in calls(document.read_text())}
    assert said >= NOT_FOLLOWED.keys()
    assert not NOT_FOLLOWED.keys() & (HERE.keys() | ON_SLURM.keys() | followed_elsewhere())


@by_name
def test_files_that_are_named_are_there(document: Path) -> None:
    text = document.read_text()
    named = set(re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./*-]*[\w/*])", text))
    missing = {name for name in named if not list(ROOT.glob(name.rstrip("/")))}
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    missing |= set(re.findall(r"\btest_\w+\.py\b", text)) - tests
    assert not missing


def prose(path: Path) -> str:
    """What a file says to its reader: a Python file's comments, docstrings and names below docs/, else all of it."""
    text = path.read_text(errors="replace")
    if path.suffix != ".py":
        return text
    comments = (
        token.string for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT
    )
    docstrings = (
        node.value.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    )
    return "\n".join([*comments, *docstrings, *re.findall(r"\bdocs/[\w./-]+", text)])


def unknown_citations(path: Path, text: str) -> Iterator[str]:
    """Documents that are named and not there, beside the file or above it, and sections that they do not have."""
    for name, section in re.findall(r"(?<![\w./-])([\w./-]+\.md)\b(?:'s)?(?: section (\d+))?", text):
        found = [folder / name for folder in path.parents if (folder / name).is_file() and folder.is_relative_to(ROOT)]
        if not found:
            yield name
        elif section and not re.search(rf"^## {section}\. ", found[0].read_text(), re.MULTILINE):
            yield f"{name} section {section}"


def test_documents_that_the_code_cites_are_there() -> None:
    assert len(CODE) > 300
    missing = {
        str(path.relative_to(ROOT)): found for path in CODE if (found := [*unknown_citations(path, prose(path))])
    }
    assert not missing


def test_a_citation_that_leads_nowhere_would_be_noticed() -> None:
    here = ROOT / "locat" / "tasks" / "segment.py"
    said = "method.md section 4; docs/method.md section 4; docs/method.md section 99; README.md"
    assert [*unknown_citations(here, said)] == ["method.md", "docs/method.md section 99"]


@pytest.mark.parametrize("table", PAPER, ids=lambda table: f"Tab. {table.number}")
def test_published_numbers_of_the_method_page_are_those_of_the_report(table: PaperTable) -> None:
    page = (ROOT / "docs" / "method.md").read_text().partition("\n## 6.")[2].partition("\n## 7.")[0]
    part = re.split(r"^Tab\. \d, ", page, flags=re.MULTILINE)[table.number]
    published = Counter(f"{number:.2f}" for row in table.rows for number in row.published)
    assert not published - Counter(re.findall(r"\d+\.\d\d", part))


def anchors(path: Path) -> set[str]:
    """What a link to a heading of the document may end in."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "k8s" / "README.md"], ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" in target:
            continue
        file, _, heading = target.partition("#")
        path = (document.parent / file).resolve() if file else document
        if not path.exists() or (heading and path.suffix == ".md" and heading not in anchors(path)):
            broken.append(target)
    assert not broken


@by_name
def test_pipelines_in_documents_are_valid(document: Path, tmp_path: Path) -> None:
    """Whole ones compile; of others the text must be YAML."""
    for number, (language, block) in enumerate(blocks(document.read_text())):
        if language == "yaml":
            values = yaml.safe_load(block)
            if "name" in values and "jobs" in values and "include" not in values:
                file = tmp_path / f"{number}.yaml"
                file.write_text(block)
                compile_pipeline(load(file), "run", tmp_path)


def printable(source: Path) -> str:
    """The strings of a Python file joined as the interpreter would; what is put into them is `...`."""
    text = re.sub(r"\"\s*\n\s*f?\"", "", source.read_text())
    return re.sub(r"\{[^{}\n]*\}|%[sdg]", "...", text).replace('\\"', '"')


def test_messages_in_the_troubleshooting_page_are_printed_by_the_code() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ") and "you see" not in line]
    code = "\n".join(printable(path) for part in ("launcher", "locat") for path in sorted((ROOT / part).rglob("*.py")))
    quoted = [message for row in rows if "torch's own" not in row[0] for message in re.findall(r"`([^`]+)`", row[0])]
    assert len(quoted) > 30
    assert not [message for message in quoted if message not in code]
