"""Results in, tables out: which of the paper's tables they belong to, and the cells of these.

A result is told by what it is: task, model, dataset, and how the model was trained; never by the name of a pipeline.
Whatever the paper has no place for gets a table of the same shape, without published numbers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev

from locat.config import TASKS
from locat.contract import published
from locat.report.paper import ADE, CONTEXT, IMAGENET, PAPER, STUFF, Column, PaperTable, Row
from locat.report.results import Origin, Result

SAME_MODEL = frozenset(
    {"class_token", "drop_path_rate", "drop_rate", "dynamic_img_size", "gaug", "global_pool", "num_classes", "prr"}
)
"""Arguments of a model that leave it the paper's, or that its title names already."""
PUBLISHED = (*published.TAB_1, *published.COUNTED)
OWN_CONTEXT = (
    f"{CONTEXT}: measured on the owners' 4,998 and 5,105 images; the paper's loader lists 4,996 and 5,104, with masks "
    "that differ from theirs, and nobody has measured what that does to mIoU."
)
BASELINES = {each.model: each.baseline for each in PUBLISHED if each.baseline}
"""Model with LocAt -> the same without."""
PLAIN = list(BASELINES.values())
ORDER = ("supervised", "segment", "hummingbird", "linear", "knn")
"""Of the tasks among the columns of a table that is not the paper's; others follow by name."""


@dataclass(frozen=True)
class Cell:
    """What was found of one model in one column, and what the paper says."""

    values: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    """Seeds -> percent."""
    published: float | None = None

    @property
    def mean(self) -> float | None:
        return mean(self.values.values()) if self.values else None

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds (of a sample); None of fewer than two."""
        return stdev(self.values.values()) if len(self.values) > 1 else None

    @property
    def difference(self) -> float | None:
        """The mean less the published number, in points."""
        return None if self.mean is None or self.published is None else self.mean - self.published


@dataclass(frozen=True)
class Line:
    """One row of a table."""

    group: str
    """The model's size in the paper's tables; empty in others."""
    label: str
    model: str
    cells: tuple[Cell, ...]
    origin: Origin | None = None
    """How the model was trained; None where nothing was found."""

    @property
    def name(self) -> str:
        """What readers know it by: `Tiny LocAtViT`."""
        return f"{self.group} {self.label}".strip()

    @property
    def seeds(self) -> int:
        """The most values of one cell."""
        return max(len(cell.values) for cell in self.cells)


@dataclass(frozen=True)
class Table:
    """One table of a report."""

    key: str
    """Of files and anchors, such as `table-1`."""
    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    @property
    def has_published(self) -> bool:
        return any(cell.published is not None for line in self.lines for cell in line.cells)


def tables(results: Sequence[Result]) -> list[Table]:
    """The paper's tables that these results belong to, then tables of what is in none of them.

    Of the paper's, those are left out whose results another one shows as well.
    """
    results = sorted(results, key=lambda result: (result.ended, result.run, result.job))
    listed = {paper: {id(result) for result in results if _lists(paper, result)} for paper in PAPER}
    shown: list[PaperTable] = []
    for paper in sorted(PAPER, key=lambda each: (-len(listed[each]), each.number)):
        if listed[paper] and not any(listed[paper] <= listed[other] for other in shown):
            shown.append(paper)
    anywhere = set().union(*listed.values())
    studies: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        studies.setdefault((result.origin.task, result.origin.dataset), []).append(result)
    unlisted = [each for each in studies.values() if any(id(result) not in anywhere for result in each)]
    return [
        *(_paper_table(paper, results) for paper in sorted(shown, key=lambda each: each.number)),
        *(_study(f"study-{number}", each) for number, each in enumerate(unlisted, 1)),
    ]


def gains(table: Table) -> Table | None:
    """What LocAt adds to each model, in points: seed by seed where both have the same; None without any pair."""
    lines = []
    for plain, other in pairs(table):
        cells = tuple(_gain(*cells) for cells in zip(plain.cells, other.cells, strict=True))
        if any(cell.values for cell in cells):
            lines.append(Line(other.group, f"{other.label} - {plain.label}", other.model, cells, other.origin))
    if not lines:
        return None
    return Table(f"{table.key}-gains", f"{table.title}: points gained by LocAt", table.columns, tuple(lines))


def pairs(table: Table) -> list[tuple[Line, Line]]:
    """Models without and with LocAt of which something was found, where it is clear which belong together."""
    found: dict[tuple[str, str, object], list[Line]] = {}
    for line in table.lines:
        if line.origin is not None:
            found.setdefault((line.group, line.model, _recipe(line.origin)), []).append(line)
    return [
        (plain[0], other[0])
        for (group, model, recipe), other in found.items()
        if len(other) == len(plain := found.get((group, BASELINES.get(model, ""), recipe), [])) == 1
    ]


def _recipe(origin: Origin) -> Origin:
    """How a model was trained, but for which model."""
    return Origin(origin.task, origin.dataset, tuple(each for each in origin.settings if each[0] != "model.name"))


def _gain(plain: Cell, other: Cell) -> Cell:
    published = None
    if plain.published is not None and other.published is not None:
        published = other.published - plain.published
    if plain.values.keys() == other.values.keys():
        return Cell({seeds: other.values[seeds] - plain.values[seeds] for seeds in plain.values}, published)
    if plain.mean is None or other.mean is None:
        return Cell({}, published)
    return Cell({("means",): other.mean - plain.mean}, published)


def _lists(paper: PaperTable, result: Result) -> bool:
    return any(row.model == result.model for row in paper.rows) and any(
        _belongs(paper, column, result) for column in paper.columns
    )


def _belongs(paper: PaperTable, column: Column, result: Result) -> bool:
    """Whether this is a number of this column; what the origin does not tell, as of released weights, is believed."""
    trained_on = IMAGENET if column.dataset in (ADE, CONTEXT, STUFF) else column.dataset
    return (
        _is_of(column, result)
        and result.origin.task in ("", paper.origin)
        and result.origin.dataset in ("", trained_on)
        and not _other_architecture(result.origin)
    )


def _is_of(column: Column, result: Result) -> bool:
    """Whether this is a number of a column, however its model was trained."""
    told = (result.task, result.dataset, result.variant)
    return (column.task, column.dataset, column.variant) == told and column.metric in result.metrics


def _other_architecture(origin: Origin) -> bool:
    arguments = (key.removeprefix("model.args.") for key, _ in origin.settings if key.startswith("model.args."))
    return any(argument not in SAME_MODEL for argument in arguments)


def _paper_table(paper: PaperTable, results: Sequence[Result]) -> Table:
    """Every row of the paper's table; several of a row whose model was trained in several ways."""
    notes: dict[str, None] = {}
    lines: list[Line] = []
    shown: list[Result] = []
    for row in paper.rows:
        own = [
            result
            for result in results
            if result.model == row.model and any(_belongs(paper, column, result) for column in paper.columns)
        ]
        lines += _lines(row, paper.columns, own, notes)
        shown += own
    columns = _with_protocols(paper.columns, shown)
    if any(
        cell.values
        for line in lines
        for cell, column in zip(line.cells, paper.columns, strict=True)
        if column.dataset == CONTEXT
    ):
        notes[OWN_CONTEXT] = None
    return Table(f"table-{paper.number}", f"Tab. {paper.number}: {paper.title}", columns, tuple(lines), (*notes,))


def _with_protocols(columns: Sequence[Column], results: Sequence[Result]) -> tuple[Column, ...]:
    """The columns, each with the protocols by which its numbers were measured, and the variant of its task."""
    named = []
    for column in columns:
        own = [result for result in results if _is_of(column, result)]
        config = TASKS.get(column.task)
        variant = column.variant or (config.usual if config and own else "")
        how = ", ".join([*sorted({result.protocol for result in own if result.protocol}), *filter(None, [variant])])
        named.append(column._replace(label=f"{column.label} ({how})") if how else column)
    return tuple(named)


def _study(key: str, results: Sequence[Result]) -> Table:
    columns = sorted(
        {column for result in results for column in _columns(result)},
        key=lambda column: (_rank(column.task), column.dataset, len(column.metric), column.metric, column.variant),
    )
    notes: dict[str, None] = {}
    lines: list[Line] = []
    for model in sorted({result.model for result in results}, key=_place):
        own = [result for result in results if result.model == model]
        lines += _lines(Row("", model, model, ()), columns, own, notes)
    return Table(key, _title(results[0].origin), _with_protocols(columns, results), tuple(lines), (*notes,))


def _title(origin: Origin) -> str:
    if not origin.task:
        return f"Models with weights of {origin.dataset or 'other origin'}"
    config = TASKS.get(origin.task)
    trained = (config and config.trained) or f"trained by {origin.task}"
    return f"Models {trained} on {origin.dataset or 'other origin'}"


def _rank(task: str) -> tuple[int, str]:
    return (ORDER.index(task) if task in ORDER else len(ORDER)), task


def _columns(result: Result) -> Iterator[Column]:
    """The columns of a result that the paper has no table for: its headlines."""
    config = TASKS.get(result.task)
    for metric in result.metrics:
        if config and (label := config.column(metric)) is not None:
            yield Column(f"{result.dataset} {label}", result.task, result.dataset, metric, result.variant)


def _place(model: str) -> tuple[int, int, str]:
    """Order of models: as in the paper, variants after their model, others last."""
    known = [*BASELINES.values(), *BASELINES]
    name = model.split(",")[0]
    pair = BASELINES.get(name, name)
    return (PLAIN.index(pair) if pair in PLAIN else len(PLAIN), known.index(name) if name in known else 0, model)


def _lines(row: Row, columns: Sequence[Column], results: Sequence[Result], notes: dict[str, None]) -> Iterator[Line]:
    """A row's lines: one for each way in which its model was trained, or one without any number."""
    published: Sequence[float | None] = row.published or (None,) * len(columns)
    ways = _ways(list(dict.fromkeys(result.origin for result in results)))
    if not ways:
        yield Line(row.group, row.label, row.model, tuple(Cell({}, number) for number in published))
    for way, difference in zip(ways, differences([way[0] for way in ways]), strict=True):
        label = f"{row.label} ({difference})" if difference else row.label
        own = [result for result in results if result.origin in way]
        cells = (
            Cell(_values(label, column, own, notes), number) for column, number in zip(columns, published, strict=True)
        )
        yield Line(row.group, label, row.model, tuple(cells), way[0])


def _ways(origins: list[Origin]) -> list[list[Origin]]:
    """Origins that share a line: all of them, if each is on a dataset of its own (Tab. 2), or else none."""
    datasets = {origin.dataset for origin in origins}
    if origins and "" not in datasets and len(datasets) == len(origins):
        return [origins]
    return [[origin] for origin in origins]


def differences(origins: Sequence[Origin]) -> list[str]:
    """In what each of several ways of training differs from the others: `epochs=2, optimizer.lr=0.001`."""
    if len(origins) < 2:
        return [""] * len(origins)
    settings = [dict(origin.settings) for origin in origins]
    known = [each for each in settings if each]
    keys = sorted({key for each in known for key in each})
    differing = [key for key in keys if len({each.get(key) for each in known}) > 1]
    return [
        ", ".join(f"{key}={each[key]}" for key in differing if key in each) if each else "weights from elsewhere"
        for each in settings
    ]


def _values(
    label: str, column: Column, results: Iterable[Result], notes: dict[str, None]
) -> dict[tuple[str, ...], float]:
    """Seeds -> percent; of two results of the same seeds the later one, which a note says."""
    own = [result for result in results if _is_of(column, result)]
    found: dict[tuple[str, ...], Result] = {}
    for result in _of_one_content(label, column, own, notes):
        if (earlier := found.get(result.seeds)) is not None:
            kept, left = (f"{each.job} of {each.run}" for each in (result, earlier))
            notes[f"{label}: {left} is left out: {kept} has the same seeds and is newer."] = None
        found[result.seeds] = result
    ways = list(dict.fromkeys(result.settings for result in found.values()))
    if len(ways) > 1:
        told = "; ".join(differences([Origin(settings=way) for way in ways]))
        notes[f"{label}, {column.label}: the seeds were not evaluated alike: {told}."] = None
    return {seeds: found[seeds].metrics[column.metric] for seeds in sorted(found)}


def _of_one_content(label: str, column: Column, results: Sequence[Result], notes: dict[str, None]) -> Iterator[Result]:
    """Those that were evaluated on the same images as the newest: datasets may share a name, but no mean."""
    newest = next((result for result in reversed(results) if result.contents), None)
    for result in results:
        if newest is None or result.contents in ("", newest.contents):
            yield result
        else:
            left, kept = (f"{each.job} of {each.run}" for each in (result, newest))
            told = f"{left} is left out: it was evaluated on other images than {kept}, which is newer"
            notes[f"{label}, {column.label}: {told}; give own datasets a `label` each."] = None
