"""A browser outside the lab's networks, through `lab forward` as docs/clients.md says. Not part of `make test`.

    make test-browser [LAB=lab.yaml] [ARGS="--basetemp DIRECTORY"]

Screenshots are in the tests' temporary directories.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from clients.examples import of_page
from clients.outside import SPEC, User

from lab.inputs.load import load_spec
from lab.openstack import HTTP_PORT, service_ports
from lab.planning.project import build_dir_of, load_plan
from lab.planning.secrets import Secrets

pytest.importorskip("selenium", reason="make test-browser")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.expected_conditions import (  # noqa: E402
    element_to_be_clickable,
    frame_to_be_available_and_switch_to_it,
)
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

from browser.chrome import connected_console, log_in, open_browser, wait_s  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome

    from lab.planning.plan import Plan

INSTANCE = "instance-compute1"


@dataclass(frozen=True)
class Desktop:
    """A browser on a desktop that reaches the lab through `lab forward` alone."""

    driver: Chrome
    wait: WebDriverWait[Chrome]
    plan: Plan
    password: str
    user: User
    dashboard: str
    """its address, as the page has it"""


@pytest.fixture(scope="module")
def desktop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desktop]:
    build_dir = build_dir_of(SPEC, None, load_spec(SPEC).name)
    plan = load_plan(build_dir)
    assert plan is not None, f"no lab in {build_dir}"
    password = Secrets.of_build_dir(build_dir, plan)["ADMIN_PASS"]
    user = User(tmp_path_factory.mktemp("desktop"))
    (example,) = of_page("browser")
    *options, dashboard = shlex.split(example.text)
    (proxy,) = (word for word in options if word.startswith("--proxy-server="))
    with user.forwarding() as said, open_browser(plan, proxy) as driver:
        assert proxy.rpartition("/")[2] in said, "port 1080 is taken: the page's example names it"
        yield Desktop(driver, WebDriverWait(driver, wait_s(plan)), plan, password, user, dashboard)


def test_the_url_of_a_console_works_as_nova_gives_it(desktop: Desktop, tmp_path: Path) -> None:
    url = desktop.user.run(f"lab exec -- openstack console url show --format value --column url {INSTANCE}")
    desktop.driver.get(url.strip())
    assert min(connected_console(desktop.driver, desktop.wait)) >= 200
    desktop.driver.save_screenshot(str(tmp_path / "console.png"))


def test_the_console_tab_of_the_dashboard(desktop: Desktop, tmp_path: Path) -> None:
    if HTTP_PORT not in service_ports(desktop.plan):
        pytest.skip("this lab has no dashboard: chapters: [dashboard]")
    driver, wait = desktop.driver, desktop.wait
    log_in(driver, wait, desktop.dashboard, desktop.password)
    assert wait.until(element_to_be_clickable((By.CSS_SELECTOR, ".user-name"))).text == "admin"
    driver.get(f"{desktop.dashboard}/project/instances/")
    wait.until(element_to_be_clickable((By.LINK_TEXT, INSTANCE))).click()
    wait.until(element_to_be_clickable((By.PARTIAL_LINK_TEXT, "Console"))).click()
    driver.save_screenshot(str(tmp_path / "tab.png"))
    wait.until(frame_to_be_available_and_switch_to_it((By.CSS_SELECTOR, "iframe")))
    assert min(connected_console(driver, wait)) >= 200
    driver.switch_to.default_content()
    driver.save_screenshot(str(tmp_path / "dashboard.png"))
