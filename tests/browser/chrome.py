"""A real headless browser, and what it meets in a lab: the dashboard's login, a console."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import presence_of_element_located

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.support.wait import WebDriverWait

    from lab.planning.plan import Plan

WAIT_S = 30
"""for a page, on a KVM host"""
_ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1024")
_CONNECTED = "Connected"
_SCREEN = """
const canvas = document.querySelector('canvas')
if (!canvas || !canvas.width || !canvas.height) return [0, 0, 0]
const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
const colours = new Set(new Uint32Array(pixels.buffer))
return [canvas.width, canvas.height, colours.size]
"""
"""width and height in pixels, and the number of colours: 1 as long as nothing is painted"""


@contextmanager
def open_browser(plan: Plan, *arguments: str) -> Iterator[Chrome]:
    """Start Chromium; it waits for pages at the pace of the lab."""
    options = ChromeOptions()
    for argument in (*_ARGUMENTS, *arguments):
        options.add_argument(argument)
    options.binary_location = "/usr/bin/chromium"
    driver = Chrome(options=options, service=ChromeService("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(wait_s(plan))
    try:
        yield driver
    finally:
        driver.quit()


def wait_s(plan: Plan) -> float:
    """Seconds that a page may take."""
    return WAIT_S * max(1.0, plan.wait_factor)


def log_in(driver: Chrome, wait: WebDriverWait[Chrome], dashboard: str, password: str) -> None:
    """Fill the login form of the dashboard as admin, and send it."""
    driver.get(dashboard)
    fields = {"domain": "Default", "username": "admin", "password": password}
    for name, value in fields.items():
        field = wait.until(presence_of_element_located((By.NAME, name)))
        field.clear()
        field.send_keys(value)
    driver.find_element(By.NAME, "password").submit()


def connected_console(driver: Chrome, wait: WebDriverWait[Chrome]) -> tuple[int, int]:
    """Wait until the noVNC page that is shown is connected and has painted a screen; the size of that in pixels.

    The page that connects by itself says so in its status; newer ones have a button, and the same status.
    """
    wait.until(presence_of_element_located((By.ID, "noVNC_status")))

    def is_painted(_: Chrome) -> bool:
        for button in driver.find_elements(By.ID, "noVNC_connect_button"):
            if button.is_displayed():
                button.click()
        status = driver.find_element(By.ID, "noVNC_status").get_attribute("textContent") or ""
        return status.startswith(_CONNECTED) and driver.execute_script(_SCREEN)[2] > 1

    wait.until(is_painted)
    width, height, _ = driver.execute_script(_SCREEN)
    return width, height
