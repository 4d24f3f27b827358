"""The documentation as a site: built strictly, read on a phone and a desktop, searched, and all on this machine."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
import yaml
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from launcher import cli_page
from launcher.attempt.command import STOPPED_MARK
from launcher.attempt.run import LAUNCH_LOG, SCHEDULED_AS
from launcher.runs.state import Status
from locat.contract import job_folder
from support import browser
from support.documents import DOCUMENTS, ROOT
from support.http_server import serving
from support.required import require

DOCS = ROOT / "docs"
WIDTHS = {"phone": 390, "desktop": 1280}
"""In pixels of CSS."""
INDEX = "*/search_index.json"
STILL = "const style = document.createElement('style'); style.textContent = '* {transition: none !important}';"
"""Nothing moves after a change of width, or what moves would be measured on its way."""
TOO_WIDE = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", config, "--site-dir", site]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make site` builds; it fails for a broken link or anchor, or a page that the navigation has not."""
    folder = tmp_path_factory.mktemp("site")
    built = build(ROOT / "mkdocs.yml", folder)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> list[str]:
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(partial(Quiet, directory=str(site))) as found:
        yield found


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    require(browser.missing())
    with browser.open_browser() as opened:
        yield opened


@pytest.mark.slow
def test_every_document_is_a_page(pages: list[str]) -> None:
    documents = {path for path in DOCUMENTS if path.parent == ROOT}
    assert len(pages) > len(DOCUMENTS) - len(documents)
    assert {"index.html", "changelog.html", "kubernetes-namespace.html", "decisions/index.html"} <= set(pages)


@pytest.mark.slow
def test_nothing_but_links_and_text_names_another_host(site: Path, pages: list[str]) -> None:
    foreign = re.compile(r"""(?:\bsrc(?:set)?=|<link\b[^>]*\bhref=|\burl\(|@import)\s*["']?(?:https?:)?//[^"')\s>]+""")
    files = [*(site / page for page in pages), *site.rglob("*.css")]
    assert {file.name: found for file in files if (found := foreign.findall(file.read_text()))} == {}


@pytest.mark.slow
def test_no_page_is_wider_than_a_screen_or_asks_another_machine(
    driver: webdriver.Chrome, address: str, pages: list[str]
) -> None:
    wide = []
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": [INDEX]})  # or each page would take a second to read it
    for page in pages:
        driver.get(f"{address}/{page}")
        driver.execute_script(f"{STILL} document.head.append(style)")
        for name, width in WIDTHS.items():
            screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": name == "phone"}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
            if excess := driver.execute_script(TOO_WIDE):
                wide.append((page, name, excess))
    assert not wide
    asked = {url for entry in driver.get_log("performance") if (url := requested(entry)).startswith("http")}
    assert asked >= {f"{address}/{page}" for page in pages}
    assert not [url for url in asked if not url.startswith(f"{address}/")]


def requested(entry: dict[str, str]) -> str:
    """The address that an entry of Chromium's log asks for; empty where it asks for none."""
    event = json.loads(entry["message"])["message"]
    return str(event["params"]["request"]["url"]) if event["method"] == "Network.requestWillBeSent" else ""


@pytest.mark.slow
def test_the_search_finds_a_word(driver: webdriver.Chrome, address: str) -> None:
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    driver.get(f"{address}/index.html")
    field = driver.find_element(By.CSS_SELECTOR, "input.md-search__input")
    field.click()
    field.send_keys("disruptiontarget")
    found = "a.md-search-result__link[href*='kubernetes.html']"
    WebDriverWait(driver, browser.TIMEOUT).until(lambda page: page.find_elements(By.CSS_SELECTOR, found))


@pytest.mark.slow
def test_a_page_that_is_not_as_it_should_be_would_fail_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Start\n[gone](gone.md) [no such heading](#nothing)\n")
    (tmp_path / "docs" / "orphan.md").write_text("# Orphan\n")
    own = {"docs_dir": str(tmp_path / "docs"), "nav": [{"Start": "index.md"}], "hooks": [], "plugins": []}
    config = tmp_path / "mkdocs.yml"
    config.write_text(yaml.safe_dump({"INHERIT": str(ROOT / "mkdocs.yml"), **own, "extra_css": []}))
    built = build(config, tmp_path / "site")
    assert built.returncode == 1
    assert {word for word in ("'gone.md'", "'#nothing'", "orphan.md") if word not in built.stderr} == set()


@pytest.mark.parametrize(
    ("link", "page", "expected"),
    [
        ("[slurm.md](slurm.md#a)", "local.md", "[slurm.md](slurm.md#a)"),
        ("[security](../security.md#secrets)", "extend/command.md", "[security](../security.md#secrets)"),
        ("[results](docs/results.md#x)", "index.md", "[results](results.md#x)"),
        ("![bars](docs/images/comparison.png)", "index.md", "![bars](images/comparison.png)"),
        ("[README](../../README.md)", "extend/task.md", "[README](../index.md)"),
        ("[step 3](../docs/kubernetes.md)", "kubernetes-namespace.md", "[step 3](kubernetes.md)"),
        ("[pipelines/](../pipelines/)", "tutorial.md", "`pipelines`"),
        ("[digits.yaml](../pipelines/digits.yaml)", "tutorial.md", "`pipelines/digits.yaml`"),
        ("[the whole](../pipelines/digits.yaml)", "tutorial.md", "the whole (`pipelines/digits.yaml`)"),
        ("[paper](https://arxiv.org/abs/1)", "index.md", "[paper](https://arxiv.org/abs/1)"),
        ("[gone](../gone.md)", "tutorial.md", "[gone](../gone.md)"),
        ("[elsewhere](/etc)", "tutorial.md", "[elsewhere](/etc)"),
    ],
)
def test_links_lead_on_the_site_where_they_lead_in_the_repository(link: str, page: str, expected: str) -> None:
    spec = importlib.util.spec_from_file_location("site_hook", DOCS / "site.py")
    assert spec is not None and spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    assert hook.for_site(f"{link}\n```\n{link}\n```\n", page) == f"{expected}\n```\n{link}\n```\n"


def test_blocks_in_lists_are_indented_as_both_kinds_of_markdown_take_them() -> None:
    assert not [page.name for page in DOCUMENTS if re.search(r"^ {1,3}```", page.read_text(), re.MULTILINE)]


def test_the_page_of_the_command_line_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (DOCS / "cli.md").read_text() == cli_page.text(), "python -m launcher.cli_page > docs/cli.md"


def test_one_page_explains_every_status_word() -> None:
    def explained(page: Path) -> list[str]:
        rows = page.read_text().partition("## What a backend adds")[0]
        return [word for word in re.findall(r"^\| ([a-z]+) \|", rows, re.MULTILINE) if word != "status"]

    jobs, runs = list(Status), ["running", "stopped", "done", "failed", "cancelled"]
    assert sorted(explained(DOCS / "status.md")) == sorted([*jobs, *runs])
    assert [page.name for page in DOCS.rglob("*.md") if "pending" in explained(page)] == ["status.md"]


def test_the_page_of_exit_codes_has_every_code_of_a_job() -> None:
    page = (DOCS / "exit-codes.md").read_text()
    assert re.findall(r"^\| (\d+) \|", page, re.MULTILINE) == [str(int(code)) for code in job_folder.ExitCode]


def test_the_page_of_the_run_folder_has_every_file_of_a_job() -> None:
    page = (DOCS / "run-folder.md").read_text()
    files = re.findall(r"^([a-z]\S+)  ", job_folder.__doc__ or "", re.MULTILINE)
    assert len(files) > 12
    files += [f"attempts/<n>/{name}" for name in (LAUNCH_LOG, SCHEDULED_AS, STOPPED_MARK)]
    assert not [file for file in files if re.sub("<(.)>", lambda name: name[1].upper(), file) not in page]
