"""What is read-only is deleted too, by who owns it."""

from pathlib import Path

from launcher.cleaning.deleting import erase
from support import uids
from support.required import require

READ_ONLY = """
folder = Path(sys.argv[1], "mine")
(folder / "a/b").mkdir(parents=True)
(folder / "a/b/c.py").write_text("")
for path in ("a/b/c.py", "a/b", "a", ""):
    (folder / path).chmod(0o500)
erase(folder)
"""


def test_folders_that_nobody_may_write_to(tmp_path: Path) -> None:
    require(uids.second())
    uids.let_in(tmp_path)
    tmp_path.chmod(0o777)
    imports = "import sys; from pathlib import Path; from launcher.cleaning.deleting import erase"
    code = uids.run_as_nobody(READ_ONLY, str(tmp_path), imports=imports)
    assert code.returncode == 0, code.stderr
    assert not (tmp_path / "mine").exists()


def test_what_a_link_leads_to_stays(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    for path in (folder, elsewhere):
        path.mkdir()
    (elsewhere / "a").touch()
    (folder / "link").symlink_to(elsewhere)
    (tmp_path / "link").symlink_to(elsewhere)
    erase(folder)
    erase(tmp_path / "link")
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["elsewhere", "a"]
