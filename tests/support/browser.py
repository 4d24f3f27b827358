"""Headless Chromium, in which tests look at pages as a person has them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

TIMEOUT = 120  # seconds that a page may take on a busy machine
PROGRAMS = ("chromium", "chromedriver")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"),
    *("--window-size=1280,1000", "--hide-scrollbars", "--disable-background-networking"),
)


def missing() -> str:
    """Why no page can be opened here; empty where one can."""
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    return f"no {' and '.join(absent)}: `make browser` installs them" if absent else ""


@contextmanager
def open_browser() -> Iterator[webdriver.Chrome]:
    """One that keeps what it asked of any server in its log of performance."""
    os.environ |= {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}  # Selenium takes Debian's programs, and asks nobody
    options = webdriver.ChromeOptions()
    browser, driver_program = (str(shutil.which(name)) for name in PROGRAMS)
    options.binary_location = browser
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options, Service(driver_program))
    try:
        driver.set_page_load_timeout(TIMEOUT)
        yield driver
    finally:
        driver.quit()
