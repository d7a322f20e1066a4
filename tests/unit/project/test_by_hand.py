"""`make test-by-hand` reads the handout as a person does, and types what it says."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from by_hand.paper import Deed, chapters, typed
from teaching_labs import FULL, plan_of

from lab.teaching import pages
from lab.teaching.handout import Edition, handout
from lab.teaching.translate import LINES

if TYPE_CHECKING:
    from pathlib import Path

PAPER = """
# demo

## 20-database: SQL database

On controller, compute1. Guide: [x](y).
 After 10-environment.

`not a target` because text follows.

```bash
hostname
```

### Configure (on controller)

`/etc/x.conf`

```ini
[a]
b = NOVA_PASS
```

### What to check at the end

```bash
this is not typed
```

## 21-message-queue: Message queue

On controller. Guide: [x](y).

`mariadb nova`

```sql
SELECT 1;
```
"""


def test_a_chapter_is_read_with_its_nodes_and_files() -> None:
    assert chapters(PAPER) == {
        "20-database": [
            Deed(("controller", "compute1"), "bash", "", "hostname"),
            Deed(("controller",), "ini", "/etc/x.conf", "[a]\nb = NOVA_PASS"),
        ],
        "21-message-queue": [Deed(("controller",), "sql", "mariadb nova", "SELECT 1;")],
    }


def test_each_node_has_its_session_and_the_passwords() -> None:
    sessions = list(typed(chapters(PAPER)["20-database"], {"NOVA_PASS": "s3cret", "NOVA_PASSAGE": "no"}))
    assert [node for node, _ in sessions] == ["controller", "compute1", "controller"]
    assert "b = s3cret\n" in sessions[2][1]


@pytest.mark.parametrize(
    ("before", "line", "after"),
    [
        ("a\nprocesses = 8\n", "processes = 1", "a\nprocesses = 1\n"),
        ("#post-buffering = 1\n", "post-buffering = 2", "post-buffering = 2\n"),
        ("pool 2.debian iburst\n", "#pool 2.debian iburst", "#pool 2.debian iburst\n"),
        ("-l 127.0.0.1\n-m 64\n", "-l 10.0.0.11", "-l 10.0.0.11\n-m 64\n"),
        ("processes-max = 2\n", "processes = 1", "processes-max = 2\nprocesses = 1\n"),
        ("", "ARGS='+a none & /b'", "ARGS='+a none & /b'\n"),
        ("ARGS=x\n", "ARGS='+a none & /b'", "ARGS='+a none & /b'\n"),
    ],
)
def test_a_line_takes_the_place_of_one_that_begins_so(before: str, line: str, after: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(before)
    deed = Deed(("controller",), "text", f"{file}: {LINES}", line)
    subprocess.run(["bash", "-euc", deed.script()], check=True)
    assert file.read_text() == after


@pytest.mark.parametrize("lab", FULL, ids=str)
def test_every_chapter_of_every_handout_can_be_typed(lab: tuple[str, tuple[str, ...]]) -> None:
    plan = plan_of(lab[0], lab[1], 1)
    read = chapters(pages.markdown(handout(plan, {}, Edition.STUDENT)))
    assert list(read) == [step.id for step in plan.steps]
    for step in plan.steps:
        nodes = [node for node, _ in typed(read[step.id], {"ADMIN_PASS": "x"})]
        assert set(nodes) == set(step.nodes), step.id
        for _, script in typed(read[step.id], {"ADMIN_PASS": "x"}):
            done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
            assert done.returncode == 0, (step.id, done.stderr)
