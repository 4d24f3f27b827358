"""MLflow's pages in headless Chromium, as a person has them; `python -m tests.support.mlflow_pages RUN FOLDER`.

Run so, it leaves pictures in FOLDER of what MLflow shows of a tracked run of pipelines/digits.yaml, whose server must
answer under the address that the run knows.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from locat.contract.job_folder import JobFolder
from locat.contract.tracking import ParentRun, TrackingCursor
from locat.engine.tracking.client import MlflowClient
from locat.engine.tracking.columns import SHARED
from locat.engine.tracking.notes import TRAINING_VIEW
from support.browser import TIMEOUT, open_browser

T = TypeVar("T")
NO_ASSISTANT = {"mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true", "mlflow.assistant.panelOpen_v1": "false"}
"""Kept in the browser: the panel of MLflow's assistant is closed, as who has seen it once has it."""
LINE = "//*[local-name() = 'path' and contains(@class, 'js-line')]"
LOADED = "return arguments[0].complete && arguments[0].naturalWidth > 0"


class Pages:
    """What MLflow shows of one pipeline run."""

    def __init__(self, driver: webdriver.Chrome, run: Path) -> None:
        self.driver, self.run, self.parent = driver, run, ParentRun.read(run)
        self._experiment = f"{self.parent.uri}/#/experiments/{self.parent.experiment_id}/runs"

    def experiment(self) -> None:
        """The list of runs with its shared columns, and the jobs' opened below that of the pipeline."""
        self._open(f"{self._experiment}{TRAINING_VIEW}&{SHARED}")
        self.find(f"//*[starts-with(@id, 'cell-') and .//a[contains(., '{self.run.name}')]]//button").click()

    def of_parent(self, tab: str = "") -> None:
        self._open(f"{self._experiment}/{self.parent.run_id}{tab}{TRAINING_VIEW}")

    def of_job(self, job: str, tab: str = "") -> None:
        run_id = TrackingCursor.read(JobFolder(self.run / "jobs" / job)).run_id
        self._open(f"{self._experiment}/{run_id}{tab}{TRAINING_VIEW}")

    def registered_model(self, job: str) -> str:
        """The page of the model that a job left; its name."""
        run_id = TrackingCursor.read(JobFolder(self.run / "jobs" / job)).run_id
        (version,) = MlflowClient(self.parent.uri).search_model_versions(f"run_id = '{run_id}'")
        self._open(f"{self.parent.uri}/#/models/{version.name}/versions/{version.version}{TRAINING_VIEW}")
        return str(version.name)

    def charts(self, section: str) -> None:
        """Wait for a section of the charts that a page shows, with a line drawn in one of them, and go there."""
        head = self.find(f"//*[text()[normalize-space(.) = '{section}']]")
        self.driver.execute_script("arguments[0].scrollIntoView()", head)
        self.find(LINE)

    def follow(self, link: str) -> None:
        """Go where a link of a note leads; a click would open that in a window of its own."""
        address = self.find(f"//td//a[. = '{link}']").get_attribute("href")
        self._open(str(address))

    def find(self, xpath: str) -> WebElement:
        """The first such element, once it is there and shown."""

        def shown(driver: webdriver.Chrome) -> WebElement | None:
            return next((each for each in driver.find_elements(By.XPATH, xpath) if each.is_displayed()), None)

        return self.until(shown, xpath)

    def seen(self, *texts: str) -> None:
        """Wait until the page shows all of these."""

        def absent(driver: webdriver.Chrome) -> set[str]:
            page = driver.find_element(By.TAG_NAME, "body").text
            return {text for text in texts if text not in page}

        self.until(lambda driver: not absent(driver), f"some of {texts}")

    def until(self, condition: Callable[[webdriver.Chrome], T | None], what: str) -> T:
        """What `condition` gives once that is true; elements that are drawn anew meanwhile are looked for again."""
        redrawn = [StaleElementReferenceException]
        wait = WebDriverWait(self.driver, TIMEOUT, ignored_exceptions=redrawn)
        found = wait.until(condition, f"not seen: {what}")
        assert found is not None
        return found

    def picture(self) -> WebElement:
        """The artifact that is shown, once it has loaded."""
        image = self.find("//img[starts-with(@src, 'blob:') or contains(@src, 'get-artifact')]")
        self.until(lambda driver: driver.execute_script(LOADED, image), "a picture")
        return image

    def _open(self, address: str) -> None:
        self.driver.get("about:blank")  # or a mere change behind the # would load nothing
        self.driver.get(address)


@contextmanager
def open_pages(run: Path) -> Iterator[Pages]:
    """A browser for what MLflow has of the pipeline run in this folder."""
    with open_browser() as driver:
        pages = Pages(driver, run)
        driver.get(pages.parent.uri)
        for key, value in NO_ASSISTANT.items():
            driver.execute_script("localStorage.setItem(arguments[0], arguments[1])", key, value)
        yield pages


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.mlflow_pages", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a tracked run of pipelines/digits.yaml")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    arguments = parser.parse_args()
    with open_pages(arguments.run.resolve()) as pages:

        def save(name: str) -> None:
            assert pages.driver.save_screenshot(str(arguments.folder / f"mlflow-{name}.png"))

        pages.experiment()
        pages.seen("compare", "convert")
        save("runs")
        pages.of_parent()
        pages.seen("Description", "locatvit_tiny/top1")
        save("pipeline")
        pages.of_job("pretrain-locatvit_tiny", "/model-metrics")
        pages.charts("train")
        save("charts")
        pages.registered_model("pretrain-locatvit_tiny")
        pages.seen("top1", "Source Run")
        save("model")


if __name__ == "__main__":
    main()
