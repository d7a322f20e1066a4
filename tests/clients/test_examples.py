"""The examples of docs/clients.md against a running lab. Not part of `make test`.

make test-clients [LAB=lab.yaml]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clients.examples import Example, of_page
from clients.outside import User

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    home = tmp_path_factory.mktemp("user of clients")
    for example in of_page("file"):
        (home / example.told).write_text(example.text)
    return User(home)


@pytest.fixture(scope="module")
def forwarding(user: User) -> Iterator[str]:
    with user.forwarding() as said:
        yield said


@pytest.mark.parametrize("example", of_page("run"), ids=lambda example: example.name)
def test_example(user: User, example: Example) -> None:
    assert example.told in user.run(example.text)


@pytest.mark.parametrize("example", of_page("forward"), ids=lambda example: example.name)
def test_example_through_lab_forward(user: User, forwarding: str, example: Example) -> None:
    assert "socks5h://127.0.0.1:1080" in forwarding, "port 1080 is taken: the page's examples name it"
    assert example.told in user.run(example.text)
