"""A login at the dashboard of a running lab, in a real headless browser. Not part of `make test`.

    apt-get install chromium chromium-driver
    .venv/bin/pip install -e '.[browser]'
    .venv/bin/lab exec -- "$PWD/.venv/bin/pytest" "$PWD/tests/browser"

`lab exec` works in the build directory and, where the lab has a network namespace of its own, inside that.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.planning.project import load_plan
from lab.planning.secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("selenium", reason="pip install -e '.[browser]'")

from selenium.webdriver import Chrome, ChromeOptions, ChromeService  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.expected_conditions import presence_of_element_located  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

BUILD_DIR = Path.cwd()
WAIT_S = 30
"""for a page, on a KVM host"""
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server")


@pytest.fixture
def browser() -> Iterator[Chrome]:
    options = ChromeOptions()
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.binary_location = "/usr/bin/chromium"
    driver = Chrome(options=options, service=ChromeService("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.mark.parametrize("right", [True, False], ids=["right password", "wrong password"])
def test_login(browser: Chrome, right: bool) -> None:
    plan = load_plan(BUILD_DIR)
    assert plan is not None, f"no lab in {BUILD_DIR}: start this with `lab exec`"
    password = Secrets.of_build_dir(BUILD_DIR, plan)["ADMIN_PASS"] if right else "wrong"
    wait = WebDriverWait(browser, WAIT_S * max(1.0, plan.wait_factor))
    browser.set_page_load_timeout(WAIT_S * max(1.0, plan.wait_factor))
    browser.get(f"http://{plan.nodes[0].env['CONTROLLER_IP']}/horizon/")
    fields = {"domain": "Default", "username": "admin", "password": password}
    for name, value in fields.items():
        field = wait.until(presence_of_element_located((By.NAME, name)))
        field.clear()
        field.send_keys(value)
    browser.find_element(By.NAME, "password").submit()
    if right:
        user = wait.until(presence_of_element_located((By.CSS_SELECTOR, ".user-name")))
        assert user.text == "admin"
    else:
        wait.until(presence_of_element_located((By.CSS_SELECTOR, ".alert-danger, .error")))
        assert "/auth/login" in browser.current_url
