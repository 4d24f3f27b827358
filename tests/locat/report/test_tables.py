"""Results in, tables out."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locat.contract.published import COUNTED
from locat.contract.published import TAB_1 as COSTS
from locat.report.paper import PAPER, TAB_1, TAB_4
from locat.report.results import Origin, Result
from locat.report.tables import BASELINES, Table, gains, pairs, tables

MODELS = ("vit_tiny_patch16_224", "locatvit_tiny")


def supervised(model: str, top1: float, dataset: str = "ImageNet-1K", seed: int = 0, **settings: object) -> Result:
    return result("supervised", model, dataset, {"top1": top1, "top5": 99.0}, dataset, (str(seed),), settings)


def segment(model: str, miou: float, dataset: str = "ADE20K", of: str = "ImageNet-1K", seed: int = 0) -> Result:
    return result("segment", model, dataset, {"miou": miou, "aacc": 99.0}, of, (str(seed), "0"), {})


def result(
    task: str,
    model: str,
    dataset: str,
    metrics: dict[str, float],
    trained_on: str,
    seeds: tuple[str, ...],
    settings: dict[str, object],
    how: str = "supervised",
) -> Result:
    told = tuple(sorted((key.replace("__", "."), str(value)) for key, value in settings.items()))
    return Result(task, model, dataset, metrics, Origin(how, trained_on, told), seeds, job=task, run="run")


def keys(found: Iterable[Table]) -> list[str]:
    return [table.key for table in found]


def cells(table: Table, model: str) -> list[tuple[float | None, float | None, float | None]]:
    """Mean, published number and difference of each column of the only line of a model."""
    (line,) = (line for line in table.lines if line.model == model)
    return [(cell.mean, cell.published, cell.difference and round(cell.difference, 6)) for cell in line.cells]


def test_numbers_stand_beside_the_published_ones_and_what_is_missing_is_missing() -> None:
    (table,) = tables([supervised("vit_tiny_patch16_224", 72.0), segment("locatvit_tiny", 23.5)])
    assert table.key == "table-1" and len(table.lines) == 20
    assert cells(table, "vit_tiny_patch16_224") == [
        (None, 17.30, None),
        (None, 33.71, None),
        (None, 20.29, None),
        (72.0, 72.39, -0.39),
    ]
    assert cells(table, "locatvit_tiny")[0] == (23.5, 23.47, 0.03)
    assert all(cell.mean is None for line in table.lines for cell in line.cells if "tiny" not in line.model)


def test_a_column_names_the_protocols_of_its_numbers() -> None:
    by_release = replace(segment("locatvit_tiny", 23.5), protocol="release")
    by_both = [by_release, replace(segment("vit_tiny_patch16_224", 17.5), protocol="exact")]
    for results, label in (
        ([by_release], "ADE20K mIoU (release, frozen)"),
        (by_both, "ADE20K mIoU (exact, release, frozen)"),
    ):
        (table,) = tables(results)
        assert [column.label for column in table.columns][:2] == [label, "PASCAL Context mIoU"]
    (table,) = tables([replace(segment("mine", 9.0), protocol="exact")])
    assert [column.label for column in table.columns] == ["ADE20K mIoU (exact, frozen)"]


def test_a_trained_backbone_has_a_column_of_its_own_and_no_place_in_the_papers_tables() -> None:
    frozen = replace(segment("locatvit_tiny", 23.5), protocol="exact")
    trained = replace(frozen, metrics={"miou": 41.0}, variant="trained upernet", job="other")
    (paper,) = tables([frozen])
    assert cells(paper, "locatvit_tiny")[0] == (23.5, 23.47, 0.03)
    with_both, study = tables([frozen, trained])
    assert with_both == paper
    assert [column.label for column in study.columns] == [
        "ADE20K mIoU (exact, frozen)",
        "ADE20K mIoU (exact, trained upernet)",
    ]
    assert [cell.mean for cell in study.lines[0].cells] == [23.5, 41.0]


def test_numbers_on_pascal_context_say_that_its_images_are_not_the_papers() -> None:
    (table,) = tables([segment("locatvit_tiny", 38.0, "PASCAL Context")])
    assert any("4,998 and 5,105" in note and "4,996 and 5,104" in note for note in table.notes)
    (table,) = tables([segment("locatvit_tiny", 23.0)])
    assert not table.notes


def test_the_spread_is_that_of_the_seeds() -> None:
    (table,) = tables([supervised("locatvit_tiny", top1, seed=seed) for seed, top1 in enumerate((73.0, 74.0, 75.0))])
    (line,) = (line for line in table.lines if line.model == "locatvit_tiny")
    assert (line.seeds, line.cells[3].mean, line.cells[3].spread) == (3, 74.0, 1.0)
    assert line.cells[0].spread is None


@pytest.mark.parametrize("paper", PAPER, ids=lambda paper: f"Tab. {paper.number}")
def test_the_results_of_a_whole_table_make_that_table_alone(paper) -> None:  # type: ignore[no-untyped-def]
    found = [
        result(
            column.task,
            row.model,
            column.dataset,
            {column.metric: number},
            "ImageNet-1K" if column.task in ("segment", "knn", "linear") else column.dataset,
            ("0",) if column.task == "supervised" else ("0", "0"),
            {},
            paper.origin,
        )
        for row in paper.rows
        for column, number in zip(paper.columns, row.published, strict=True)
    ]
    (table,) = tables(found)
    assert table.key == f"table-{paper.number}"
    assert all(cell.difference == 0 for line in table.lines for cell in line.cells)


def test_a_table_whose_results_another_one_shows_as_well_is_left_out() -> None:
    both = [supervised(model, 73.0) for model in MODELS]
    assert keys(tables(both)) == ["table-1"]  # Tab. 4 has them, too
    assert keys(tables([*both, supervised("locatvit_tiny, prr=False", 73.0)])) == ["table-4"]
    assert keys(tables([*both, supervised("locatvit_tiny", 78.0, "mini-ImageNet")])) == ["table-1", "table-2"]


def test_what_the_paper_does_not_have_gets_a_table_without_published_numbers() -> None:
    digits = "scikit-learn digits"
    found = [
        each for model in MODELS for each in (supervised(model, 60.0, digits), segment(model, 25.0, digits, digits))
    ]
    (table,) = tables(found[::-1])
    assert table.title == "Models trained on scikit-learn digits" and not table.has_published
    assert [column.label for column in table.columns] == [f"{digits} top-1", f"{digits} mIoU (frozen)"]
    assert [line.label for line in table.lines] == list(MODELS)
    assert cells(table, "locatvit_tiny") == [(60.0, None, None), (25.0, None, None)]


def test_an_unknown_variant_stands_beside_what_it_is_a_variant_of() -> None:
    known = supervised("locatvit_tiny", 78.0, "mini-ImageNet")
    found = tables([known, supervised("locatvit_tiny, gaug=rotated", 79.0, "mini-ImageNet")])
    assert keys(found) == ["table-2", "study-1"]
    assert [line.model for line in found[1].lines] == ["locatvit_tiny", "locatvit_tiny, gaug=rotated"]


def test_another_architecture_of_the_same_name_is_not_the_papers_model() -> None:
    (table,) = tables([supervised("locatvit_tiny", 50.0, model__args__depth=4)])
    assert table.key == "study-1"
    (table,) = tables([supervised("locatvit_tiny", 50.0, model__args__drop_path_rate=0.1)])
    assert table.key == "table-1"


def test_a_backbone_that_learnt_without_labels_is_not_the_papers_supervised_one() -> None:
    metrics = {"top1_k10": 60.0, "top1_k20": 61.0}
    with_labels, without = (
        result("knn", "locatvit_small", "ImageNet-1K", metrics, "ImageNet-1K", ("0", "0"), {}, how)
        for how in ("supervised", "dino")
    )
    assert keys(tables([without])) == ["table-3"]
    (table,) = tables([with_labels])
    assert [column.label for column in table.columns] == ["ImageNet-1K 10-NN", "ImageNet-1K 20-NN"]


def test_released_weights_are_believed_to_be_what_they_are_called() -> None:
    (table,) = tables([Result("segment", "convit_base", "ADE20K", {"miou": 23.0}, Origin(), ("/models/convit", "0"))])
    assert table.key == "table-5"
    assert cells(table, "convit_base")[0] == (23.0, 23.08, -0.08)


def test_a_model_trained_here_does_not_share_a_line_with_released_weights() -> None:
    released = Result("segment", "locatvit_tiny", "ADE20K", {"miou": 23.0}, Origin(), ("/models/it", "0"))
    (table,) = tables([released, supervised("locatvit_tiny", 73.0, epochs=300, batch_size=1024)])
    labels = [line.label for line in table.lines if line.model == "locatvit_tiny"]
    assert labels == ["LocAtViT (weights from elsewhere)", "LocAtViT"]


def test_ways_of_training_are_lines_of_their_own_that_say_in_what_they_differ() -> None:
    found = [supervised("vit_tiny_patch16_224", top1, epochs=epochs) for epochs, top1 in ((2, 10.0), (300, 72.0))]
    (table,) = tables(found)
    assert [line.label for line in table.lines][:3] == ["ViT (epochs=2)", "ViT (epochs=300)", "LocAtViT"]


def test_of_two_results_of_one_seed_the_newer_one_counts_and_a_note_says_so() -> None:
    older, newer = supervised("locatvit_tiny", 70.0), supervised("locatvit_tiny", 74.0)
    older = Result(**{**older.__dict__, "run": "first", "ended": 1.0})
    newer = Result(**{**newer.__dict__, "run": "second", "ended": 2.0})
    (table,) = tables([newer, older])
    assert cells(table, "locatvit_tiny")[3][0] == 74.0
    assert table.notes == (
        "LocAtViT: supervised of first is left out: supervised of second has the same seeds and is newer.",
    )


def test_seeds_that_were_not_evaluated_alike_are_noted() -> None:
    first, second = (segment("locatvit_tiny", 23.0, seed=seed) for seed in (0, 1))
    other = Result(**{**second.__dict__, "settings": (("iterations", "10"),)})
    (table,) = tables([Result(**{**first.__dict__, "settings": (("iterations", "20000"),)}), other])
    assert table.notes == (
        "LocAtViT, ADE20K mIoU: the seeds were not evaluated alike: iterations=20000; iterations=10.",
    )


def test_gains_are_seed_by_seed_where_both_have_the_same() -> None:
    found = [supervised(MODELS[0], top1, seed=seed) for seed, top1 in enumerate((70.0, 60.0))]
    found += [supervised(MODELS[1], top1, seed=seed) for seed, top1 in enumerate((71.0, 63.0))]
    (table,) = tables(found)
    gained = gains(table)
    assert gained is not None and [line.label for line in gained.lines] == ["LocAtViT - ViT"]
    cell = gained.lines[0].cells[3]
    assert sorted(cell.values.values()) == [1.0, 3.0] and cell.published == pytest.approx(1.55)

    (table,) = tables(found[:3])
    gained = gains(table)
    assert gained is not None and list(gained.lines[0].cells[3].values.values()) == [6.0]  # of the means
    assert gains(tables(found[:2])[0]) is None


def test_only_what_was_trained_alike_is_a_pair() -> None:
    plain = supervised(MODELS[0], 70.0, model__name=MODELS[0], epochs=300)
    alike = supervised(MODELS[1], 74.0, model__name=MODELS[1], epochs=300)
    longer = supervised(MODELS[1], 74.0, model__name=MODELS[1], epochs=600)
    assert [(one.model, other.model) for one, other in pairs(tables([plain, alike, longer])[0])] == [MODELS]
    assert not pairs(tables([plain, longer])[0])


MANY = st.lists(
    st.builds(
        Result,
        task=st.sampled_from(("supervised", "segment", "linear", "hummingbird")),
        model=st.sampled_from((*MODELS, "locatvit_tiny, prr=False", "locatvit_tiny, gaug=isotropic", "somebodys")),
        dataset=st.sampled_from(("ImageNet-1K", "mini-ImageNet", "CIFAR-100", "ADE20K", "digits")),
        metrics=st.fixed_dictionaries({"top1": st.floats(0, 100), "miou": st.floats(0, 100)}),
        origin=st.builds(
            Origin,
            st.sampled_from(("", "supervised", "dino")),
            st.sampled_from(("", "ImageNet-1K", "digits")),
            st.sampled_from(((), (("epochs", "2"),), (("model.args.depth", "4"),))),
        ),
        seeds=st.sampled_from((("0",), ("1",))),
    ),
    max_size=12,
    unique_by=lambda result: (result.task, result.model, result.dataset, result.origin, result.seeds),
)


@given(MANY)
def test_whatever_was_found_is_shown(results: list[Result]) -> None:
    shown = [
        (line.model, column.task, column.dataset, column.metric, seeds, value)
        for table in tables(results)
        for line in table.lines
        for column, cell in zip(table.columns, line.cells, strict=True)
        for seeds, value in cell.values.items()
    ]
    for one in results:
        found = {(one.model, one.task, one.dataset, metric, one.seeds, value) for metric, value in one.metrics.items()}
        assert found & set(shown)


def test_no_results_make_no_tables() -> None:
    assert tables([]) == []


def test_every_model_with_locat_has_one_without() -> None:
    assert BASELINES["locatswin_base"] == "swin_base_patch4_window7_224"
    assert len(BASELINES) == (len(COSTS) + len(COUNTED)) / 2
    assert all("locat" in model and "locat" not in plain for model, plain in BASELINES.items())
    assert {row.model for row in TAB_1.rows} <= {*BASELINES, *BASELINES.values()}
    assert len(TAB_4.rows) == 14


def test_columns_and_titles_say_how_a_number_came_about() -> None:
    own = Origin("own_task", "digits")
    (table,) = tables(
        [
            Result("knn", "vit", "digits", {"top1_k5": 1.0, "top5_k5": 2.0}, own, ("0", "0")),
            Result("linear", "vit", "digits", {"top1": 1.0}, own, ("0", "0")),
            Result("hummingbird", "vit", "digits", {"miou": 1.0, "aacc": 2.0}, own, ("0", "0")),
            Result("own_task", "vit", "digits", {"top1": 1.0}, own, ("0",)),
        ]
    )
    assert [column.label for column in table.columns] == [
        "digits mIoU by retrieval",
        "digits top-1, linear",
        "digits 5-NN",
    ]
    assert table.title == "Models trained by own_task on digits"


def test_datasets_that_only_share_their_name_are_never_averaged() -> None:
    def on(contents: str, seed: int, top1: float) -> Result:
        return replace(supervised("vit", top1, "flowers", seed), contents=contents, job=f"job-{seed}", ended=seed)

    (table,) = tables([on("a", 0, 80.0), on("b", 1, 20.0), on("b", 2, 22.0), on("", 3, 24.0)])
    ((cell,),) = (line.cells for line in table.lines)
    assert sorted(cell.values.values()) == [20.0, 22.0, 24.0]
    (note,) = table.notes
    assert "job-0 of run is left out: it was evaluated on other images than job-2 of run, which is newer" in note
