"""From plan.json to tests: one function per kind of check, one test per check, in the plan's order.

pytest --lab-plan BUILD/plan.json tests/infra        or plain `pytest` in a build directory

--lab-steps 50-compute-controller,55-compute-node    only these steps
--lab-quick                                          only the cheap checks
--lab-ids-from FILE                                  only the checks named there, one per line
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from lab.base.errors import LabError
from lab.planning.plan import Check
from lab.verification.html import HtmlReport
from lab.verification.registry import KINDS
from lab.verification.remote import Connections
from lab.verification.suite import Suite, describe, load, progress_line, summary

if TYPE_CHECKING:
    from collections.abc import Generator

    from lab.verification.facts import NodeFacts

SUITE = pytest.StashKey[Suite]()
CONNECTIONS = pytest.StashKey[Connections]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lab", "OpenStack Compute lab")
    group.addoption(
        "--lab-plan", metavar="FILE", help="the lab's plan.json (default: LAB_PLAN, or that of the rootdir)"
    )
    group.addoption("--lab-steps", metavar="STEPS", default="", help="only these steps, separated by commas")
    group.addoption("--lab-quick", action="store_true", help="only checks that are cheap")
    group.addoption("--lab-ids-from", metavar="FILE", help="only the checks whose ids the file lists")
    group.addoption("--lab-sockets", metavar="DIR", help="use the ssh connections whose sockets are there")
    group.addoption("--lab-progress", metavar="FILE", help="write each result there as a line of JSON")


def pytest_configure(config: pytest.Config) -> None:
    named = config.getoption("--lab-plan") or os.environ.get("LAB_PLAN") or config.rootpath / "plan.json"
    ids, sockets = config.getoption("--lab-ids-from"), config.getoption("--lab-sockets")
    steps = [step for step in config.getoption("--lab-steps").split(",") if step]
    for module in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"{__package__}.{module.stem}")
    try:
        suite, connections = load(
            Path(named),
            steps,
            quick=config.getoption("--lab-quick"),
            ids_file=Path(ids) if ids else None,
            sockets=Path(sockets) if sockets else None,
        )
    except FileNotFoundError as error:
        raise pytest.UsageError(f"{error.filename} is missing: name the lab's plan with --lab-plan FILE") from None
    except (LabError, ValidationError) as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.register(HtmlReport(suite.plan), "lab-html")
    config.stash[SUITE] = suite
    config.stash[CONNECTIONS] = connections


def pytest_unconfigure(config: pytest.Config) -> None:
    if CONNECTIONS in config.stash:
        config.stash[CONNECTIONS].close()


def pytest_report_header(config: pytest.Config) -> str:
    suite = config.stash[SUITE]
    return f"lab {suite.plan.name}: {len(suite.checks)} of {len(suite.plan.checks)} checks"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "check" not in metafunc.fixturenames:
        return
    kind = getattr(metafunc.function, "lab_kind", None)
    selected = metafunc.config.stash[SUITE].checks
    checks = [check for check in selected if (check.kind == kind if kind else check.kind not in KINDS)]
    metafunc.parametrize("check", checks, ids=[check.id for check in checks])


def check_of(item: pytest.Item) -> Check | None:
    """The check that a test asserts; None for the place-holder of a kind that the plan does not use."""
    callspec = getattr(item, "callspec", None)
    check = callspec.params.get("check") if callspec else None
    return check if isinstance(check, Check) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    order = {check.id: number for number, check in enumerate(config.stash[SUITE].checks)}
    mine = [(order[check.id], item) for item in items if (check := check_of(item))]
    items[:] = [item for _, item in sorted(mine, key=lambda pair: pair[0])]


def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.option.collectonly:
        session.config.stash[SUITE].prefetch([check for item in session.items if (check := check_of(item))])


@pytest.fixture
def node(check: Check, request: pytest.FixtureRequest) -> NodeFacts:
    """What is known of the check's node."""
    suite = request.config.stash[SUITE]
    suite.require(check)
    return suite.facts.node(check.node)


@pytest.fixture
def cloud(node: NodeFacts, request: pytest.FixtureRequest) -> NodeFacts:  # noqa: ARG001
    """What is known of the controller, which answers for the whole cloud."""
    return request.config.stash[SUITE].facts.controller


@pytest.fixture
def suite(node: NodeFacts, request: pytest.FixtureRequest) -> Suite:  # noqa: ARG001
    """The whole lab, for checks that compare nodes."""
    return request.config.stash[SUITE]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure is told in the words of the lab, without traceback; a result goes to --lab-progress at once."""
    report = yield
    check = check_of(item)
    if check is None:
        return report
    suite = item.config.stash[SUITE]
    message = ""
    if report.failed and call.excinfo is not None:
        expected, found = suite.explain(call.excinfo.value)
        message = summary(expected, found)
        report.longrepr = describe(check, expected, found)
    if report.when == "setup":
        facts = {"check": check.id, "node": check.node, "step": check.step, "guide": check.guide}
        item.user_properties += [*facts.items(), ("command", check.command)]
        report.user_properties = list(item.user_properties)
    path = item.config.getoption("--lab-progress")
    if path and (report.when == "call" or report.failed or report.skipped):
        outcome = "error" if report.failed and report.when != "call" else str(report.outcome)
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(progress_line(check, outcome, message, report.duration))
    return report
