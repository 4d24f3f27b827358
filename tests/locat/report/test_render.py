"""How a report looks, beside files that people have looked at (`REWRITE_GOLDEN=1` writes them anew)."""

import csv
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from locat.report.render import Report, html, markdown, table_of_numbers
from locat.report.results import Origin, Result, RunSummary
from locat.report.tables import gains, tables

GOLDEN = Path(__file__).parent / "golden"
PNG = b"\x89PNG not really"


def report() -> Report:
    """Three seeds of two models on digits, and one seed of a part of Tab. 2."""
    results = []
    numbers = {"vit_tiny_patch16_224": (62.0, 56.2, 53.4), "locatvit_tiny": (69.9, 69.6, 72.2)}
    for model, found in numbers.items():
        for seed, top1 in enumerate(found):
            results.append(result(model, "scikit-learn digits", top1, seed))
    results.append(result("vit_tiny_patch16_224", "CIFAR-100", 73.5, 0))
    results.append(result("locatvit_tiny", "CIFAR-100", 80.5, 0))
    made = tables(results)
    run = RunSummary("digits-1", "digits", "0123456789", "http://mlflow/#/runs/1", 8, (("segment-<b>", "running"),))
    found = {table.key: gained for table in made if (gained := gains(table)) is not None}
    return Report([run], made, found, {"study-1": PNG})


def result(model: str, dataset: str, top1: float, seed: int) -> Result:
    return Result("supervised", model, dataset, {"top1": top1}, Origin("supervised", dataset), (str(seed),))


@pytest.mark.parametrize(
    "name, render", [("report.md", markdown), ("report.html", html), ("report.csv", table_of_numbers)]
)
def test_it_looks_as_it_did(name: str, render) -> None:  # type: ignore[no-untyped-def]
    text = render(report())
    if os.environ.get("REWRITE_GOLDEN"):
        (GOLDEN / name).write_text(text)
    assert text == (GOLDEN / name).read_text()


def test_every_line_of_a_markdown_table_has_as_many_cells() -> None:
    blocks = re.findall(r"(?:^\|.*\n)+", markdown(report()), re.MULTILINE)
    assert len(blocks) == 5  # two tables, their gains, the runs
    for block in blocks:
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_the_page_is_well_formed_and_what_it_shows_is_text() -> None:
    page = html(report())
    opened: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "img", "html"):
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Balance().feed(page)
    assert not opened
    assert "segment-&lt;b&gt; (running)" in page
    assert "data:image/png;base64," in page


def test_numbers_for_programs_are_numbers() -> None:
    rows = list(csv.DictReader(io.StringIO(table_of_numbers(report()))))
    (row,) = (row for row in rows if row["table"] == "study-1" and row["model"] == "locatvit_tiny")
    assert (float(row["mean"]), int(row["n"]), row["seeds"]) == (pytest.approx(70.5667, abs=1e-3), 3, "0 1 2")
    assert row["published"] == row["difference"] == ""
    (row,) = (row for row in rows if (row["table"], row["model"], row["n"]) == ("table-2", "locatvit_tiny", "1"))
    assert float(row["difference"]) == pytest.approx(0.07)
