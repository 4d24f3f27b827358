"""Hand-written bad files: each begins with the lines it must be refused with (`# expect: LINE:COLUMN: ...`)."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from launcher.cli import cli
from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load
from locat.contract.problems import PipelineError

BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_file_is_refused_with_place_key_and_remedy(path: Path) -> None:
    lines = path.read_text(errors="replace").splitlines()
    expected = [f"{path}:{line.removeprefix('# expect: ')}" for line in lines if line.startswith("# expect: ")]
    assert expected

    with pytest.raises(PipelineError) as error:
        compile_pipeline(load(path), "run", Path("/runs"))

    assert str(error.value).splitlines() == expected


@pytest.mark.parametrize("backend", ["local", "slurm"])
def test_bad_files_are_not_submitted_and_nothing_is_created(tmp_path: Path, backend: str) -> None:
    folder = tmp_path / "runs"
    for path in BAD:
        refused = CliRunner().invoke(cli, ["submit", str(path), "--backend", backend, "--runs-dir", str(folder)])
        assert refused.exit_code == 2, path
        assert not folder.exists(), path
    good = Path(__file__).parents[3] / "pipelines/digits.yaml"
    refused = CliRunner().invoke(cli, ["submit", str(good), str(BAD[0]), "--runs-dir", str(folder)])
    assert refused.exit_code == 2 and not folder.exists(), "all are valid, or none is submitted"


def test_secrets_are_not_repeated() -> None:
    with pytest.raises(PipelineError) as error:
        load(Path(__file__).parent / "bad/secret.yaml", ["jobs.convert.env.API_KEY=sk-12345"])
    assert "API_KEY" in str(error.value)
    assert not any(secret in str(error.value) for secret in ("hf_abc", "hunter2", "sk-12345"))
