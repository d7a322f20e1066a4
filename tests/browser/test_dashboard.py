"""A login at the dashboard of a running lab, in a real headless browser. Not part of `make test`.

`make test-browser` starts it by `lab exec`, which works in the build directory and, where the lab has a network
namespace of its own, inside that.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.planning.project import load_plan
from lab.planning.secrets import Secrets

pytest.importorskip("selenium", reason="make test-browser")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.expected_conditions import presence_of_element_located  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

from browser.chrome import log_in, open_browser, wait_s  # noqa: E402

BUILD_DIR = Path.cwd()


@pytest.mark.parametrize("right", [True, False], ids=["right password", "wrong password"])
def test_login(right: bool) -> None:
    plan = load_plan(BUILD_DIR)
    assert plan is not None, f"no lab in {BUILD_DIR}: start this with `lab exec`"
    password = Secrets.of_build_dir(BUILD_DIR, plan)["ADMIN_PASS"] if right else "wrong"
    with open_browser(plan, "--no-proxy-server") as driver:
        wait = WebDriverWait(driver, wait_s(plan))
        log_in(driver, wait, f"http://{plan.nodes[0].env['CONTROLLER_IP']}/horizon/", password)
        if right:
            user = wait.until(presence_of_element_located((By.CSS_SELECTOR, ".user-name")))
            assert user.text == "admin"
        else:
            wait.until(presence_of_element_located((By.CSS_SELECTOR, ".alert-danger, .error")))
            assert "/auth/login" in driver.current_url
