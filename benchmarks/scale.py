"""How far it goes, by formulas and a simulation: prints every number of docs/scale.md.

python benchmarks/scale.py             # the tables
python benchmarks/scale.py --write     # into docs/scale.md, with docs/images/scale.png
"""

import argparse
from pathlib import Path

import scale_tables
from scale_facts import GPUS, MODELS
from scale_failures import INTERVALS, Job, expected, simulated, young_daly
from scale_tables import TABLES, Rows

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "scale.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into the page, and draw its picture")
    if parser.parse_args().write:
        PAGE.write_text(filled(PAGE.read_text()))
        draw()
    else:
        print("\n".join(f"{name}\n{markdown(rows())}" for name, rows in TABLES.items()))


def filled(page: str) -> str:
    """The page with the tables as they are today."""
    for name, rows in TABLES.items():
        begin, end = f"<!-- {name}: written by benchmarks/scale.py -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        page = before + begin + markdown(rows()) + end + rest.partition(end)[2]
    return page


def markdown(rows: Rows) -> str:
    head, *body = rows
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---"] * len(head), *body)).replace("|  |", "| |")


def draw() -> None:
    """Time that is lost by interval: simulated, and to the first order."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for model, colour in zip(MODELS[1:], ("tab:blue", "tab:orange"), strict=True):
        job = Job(scale_tables.between_failures(GPUS), *scale_tables.costs(model, GPUS))
        minutes = [interval / 60 for interval in INTERVALS]
        axes.plot(minutes, [100 * (1 - simulated(job, at)) for at in INTERVALS], "o", color=colour, label=model.name)
        axes.plot(minutes, [100 * (1 - expected(job, at)) for at in INTERVALS], color=colour, linewidth=0.8)
        axes.axvline(young_daly(job) / 60, color=colour, linestyle=":", linewidth=0.8)
    axes.set(xscale="log", yscale="log")
    for axis, ticks in ((axes.xaxis, minutes), (axes.yaxis, (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100))):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_locator(NullLocator())
    axes.set_xlabel("minutes between checkpoints; dotted: Young and Daly")
    axes.set_ylabel("time lost, %; line: to the first order")
    axes.legend(frameon=False)
    figure.savefig(DOCS / "images" / "scale.png", dpi=110)


if __name__ == "__main__":
    main()
