"""A handout in a real headless browser: contents, copy buttons, width, dark and light. Needs no lab: `make test-pages`.

Screenshots are in the tests' temporary directories: ARGS="--basetemp DIRECTORY".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from teaching_labs import plan_of

from lab.teaching.handout import Edition, handout
from lab.teaching.pages import html

pytest.importorskip("selenium", reason="make test-pages")

from selenium.webdriver.common.by import By  # noqa: E402

from browser.chrome import open_browser  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome

PLAN = plan_of("epoxy")
DESKTOP, PHONE = (1400, 1000), (390, 844)
_WIDER = """
const width = document.documentElement.clientWidth
return [...document.querySelectorAll('body *')].filter(element =>
  element.getBoundingClientRect().right > width + 1 && !element.closest('.wide, pre, .table')).map(e => e.outerHTML)
"""
_CONTRAST = """
const light = color => {
  const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map(value => value / 255)
    .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}
const page = light(getComputedStyle(document.body).backgroundColor)
const text = light(getComputedStyle(document.querySelector('main p')).color)
return [page, (Math.max(page, text) + 0.05) / (Math.min(page, text) + 0.05)]
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("handout") / "course.html"
    path.write_text(html(handout(PLAN, {}, Edition.STUDENT)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def driver() -> Iterator[Chrome]:
    with open_browser(PLAN) as driver:
        yield driver


def show(driver: Chrome, page: Path, size: tuple[int, int], scheme: str = "light", part: str = "") -> None:
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme_is = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme_is)
    driver.get("about:blank")
    driver.get(f"{page.as_uri()}{part}")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_contents_lead_to_their_chapters(driver: Chrome, page: Path, size: tuple[int, int]) -> None:
    show(driver, page, size)
    contents = driver.find_element(By.CSS_SELECTOR, "nav details")
    links = driver.find_elements(By.CSS_SELECTOR, "nav a")
    assert len(links) == 1 + len(PLAN.steps)
    for link in links:
        if size == PHONE:
            assert contents.get_attribute("open") is None
            driver.find_element(By.CSS_SELECTOR, "nav summary").click()
        name = str(link.get_attribute("href")).partition("#")[2]
        driver.execute_script("arguments[0].click()", link)
        top = driver.execute_script("return document.getElementById(arguments[0]).getBoundingClientRect().top", name)
        end = driver.execute_script("return innerHeight + scrollY >= document.body.scrollHeight - 40")
        assert 0 <= top < 60 or end, name


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_is_wider_than_the_screen(
    driver: Chrome, page: Path, tmp_path: Path, size: tuple[int, int], scheme: str
) -> None:
    show(driver, page, size, scheme, "#50-compute-controller")
    assert driver.execute_script(_WIDER) == []
    widths = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    assert len(set(driver.execute_script(widths))) == 1
    driver.save_screenshot(str(tmp_path / f"{size[0]}-{scheme}.png"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_reader_s_setting(driver: Chrome, page: Path, scheme: str) -> None:
    show(driver, page, DESKTOP, scheme)
    background, contrast = driver.execute_script(_CONTRAST)
    assert (background > 0.9) == (scheme == "light")
    assert contrast > 7


def test_a_copy_button_copies_what_is_beside_it(driver: Chrome, page: Path) -> None:
    show(driver, page, DESKTOP)
    driver.execute_script("""
      window.copies = []
      document.execCommand = () => window.copies.push(document.activeElement.value)
      Object.defineProperty(navigator, 'clipboard', {value: {writeText: async text => window.copies.push(text)}})
    """)
    blocks = driver.find_elements(By.CSS_SELECTOR, "figure.code")
    assert len(blocks) > 50
    for block in blocks[:20]:
        driver.execute_script("arguments[0].click()", block.find_element(By.CSS_SELECTOR, "button.copy"))
    copied = driver.execute_script("return window.copies")
    shown = [driver.execute_script("return arguments[0].querySelector('pre').textContent", b) for b in blocks[:20]]
    assert copied == [text.rstrip("\n") + "\n" for text in shown]


def test_without_the_clipboard_a_selection_is_copied(driver: Chrome, page: Path) -> None:
    show(driver, page, DESKTOP)
    driver.execute_script("""
      window.copies = []
      document.execCommand = () => window.copies.push(document.activeElement.value)
      Object.defineProperty(navigator, 'clipboard', {value: undefined})
      document.querySelector('figure.code button.copy').click()
    """)
    assert driver.execute_script("return window.copies") == [
        driver.execute_script("return document.querySelector('figure.code pre').textContent").rstrip("\n") + "\n"
    ]
    assert driver.execute_script("return document.querySelectorAll('textarea').length") == 0
