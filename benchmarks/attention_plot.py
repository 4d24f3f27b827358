"""Draw what the attention benchmarks found: docs/images/attention.png, and the table in docs/performance.md.

python benchmarks/attention_plot.py
"""

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from attention_measuring import RESULTS

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "performance.md"
BEGIN, END = "<!-- results: written by benchmarks/attention_plot.py -->\n", "<!-- end of results -->\n"
FORMS = ["plain", "ours", "separable", "materialised", "flex"]
HEADER = (
    "| what | form | ms on a GPU, median (quartiles) | x plain | kept for backward, MB | peak on the GPU, MB |\n"
    "|---|---|---|---|---|---|\n"
)


def main() -> None:
    results = [
        json.loads(path.read_text()) for kind in ("attention", "step") for path in sorted(RESULTS.glob(f"{kind}-*"))
    ]
    draw(results)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table(results) + END + rest.partition(END)[2])


def title(result: dict[str, Any]) -> str:
    settings = result["settings"]
    threads = result["machine"]["threads"]
    device = result["machine"]["gpu"] or f"CPU, {threads} thread{'s' * (threads > 1)}"
    compiled = ", compiled" if settings["compile"] else ""
    if result["what"] == "attention":
        problem = f"B{settings['batch']} H{settings['heads']} N{settings['tokens']} d{settings['head_dim']}"
        return f"attention {problem}, {device}{compiled}"
    return f"step {settings['size']}, {settings['batch']} x {settings['image']} px, {device}{compiled}"


def table(results: list[dict[str, Any]]) -> str:
    lines = [HEADER]
    for result in results:
        on_gpu = result["machine"]["gpu"] is not None  # CPUs are shared and differ: there only ratios tell something
        for name in (name for name in FORMS if name in result["forms"]):
            form = result["forms"][name]
            spread = f"{form['median_ms']:.1f} ({form['low_ms']:.1f} to {form['high_ms']:.1f})" if on_gpu else ""
            peak = f"{form['peak_mb']:.0f}" if "peak_mb" in form else ""
            lines.append(
                f"| {title(result)} | {name} | {spread} | {form['ratio']:.2f} | {form['kept_mb']:.1f} | {peak} |\n"
            )
        if "roofline" in result:
            floor = result["roofline"]["floor_ms"]
            ours = result["forms"]["ours"]["fastest_ms"] / floor
            shown = f"{floor:.1f}" if on_gpu else ""
            lines.append(f"| {title(result)} | floor | {shown} | | | our fastest round is {ours:.2f} x that |\n")
    return "".join(lines)


def draw(results: list[dict[str, Any]]) -> None:
    """One group of bars a result: time by that of plain attention or of plain ViT."""
    figure, axes = plt.subplots(figsize=(8, 0.6 + 0.9 * len(results)), layout="constrained")
    for index, form in enumerate(FORMS):
        bars = [(row, result["forms"][form]["ratio"]) for row, result in enumerate(results) if form in result["forms"]]
        if bars:
            axes.barh([row + 0.16 * index - 0.32 for row, _ in bars], [ratio for _, ratio in bars], 0.15, label=form)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(results)), [title(result) for result in results])
    axes.invert_yaxis()
    axes.set_xlabel("time by that of plain attention or of plain ViT, in the same rounds")
    axes.legend(frameon=False)
    figure.savefig(DOCS / "images" / "attention.png", dpi=110)


if __name__ == "__main__":
    main()
