"""pytest's side of the suite: from plan.json to tests, in rounds, with the lab's words for what failed.

pytest in a build directory, or  pytest -p lab.verification.plugin --lab-plan BUILD/plan.json tests/infra

--lab-steps 50-compute-controller,55-compute-node    only these steps
--lab-quick                                          only the cheap checks
--lab-ids-from FILE                                  only the checks named there, one per line

One function of tests/infra asserts one kind of check; each check is a test, in the plan's order. Other tests are the
user's own: they use the fixtures `controller`, `computes`, and one named as each node.
"""

from __future__ import annotations

import inspect
import json
import os
from functools import partial
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from _pytest.runner import runtestprotocol
from pydantic import ValidationError

from lab.base.errors import LabError
from lab.verification import veil
from lab.verification.html import HtmlReport
from lab.verification.outcome import CannotTell, Unknown, Unreachable
from lab.verification.suite import Suite, describe, load, summary
from lab.verification.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from lab.planning.plan import Check

SUITE = pytest.StashKey[Suite]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("lab", "OpenStack Compute lab")
    group.addoption(
        "--lab-plan", metavar="FILE", help="the lab's plan.json (default: LAB_PLAN, or that of the rootdir)"
    )
    group.addoption("--lab-steps", metavar="STEPS", default="", help="only these steps, separated by commas")
    group.addoption("--lab-full", action="store_true", help="show everything, even while an exercise runs on the lab")
    group.addoption("--lab-quick", action="store_true", help="only checks that are cheap")
    group.addoption("--lab-ids-from", metavar="FILE", help="only the checks whose ids the file lists")
    group.addoption("--lab-sockets", metavar="DIR", help="use the ssh connections whose sockets are there")
    group.addoption("--lab-progress", metavar="FILE", help="write each result there as a line of JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Open the lab."""
    config.addinivalue_line("markers", "direct: a test that must not be called twice; it asks while it runs")
    named = config.getoption("--lab-plan") or os.environ.get("LAB_PLAN") or config.rootpath / "plan.json"
    ids, sockets = config.getoption("--lab-ids-from"), config.getoption("--lab-sockets")
    if veil.is_veiled(Path(named).parent) and not config.getoption("--lab-full"):
        raise pytest.UsageError("an exercise runs on this lab: `lab verify` shows what a student may know")
    steps = [step for step in config.getoption("--lab-steps").split(",") if step]
    try:
        suite = load(
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
    config.pluginmanager.register(_fixtures(suite), "lab-fixtures")  # after testinfra's, whose `host` it replaces
    config.stash[SUITE] = suite


def _fixtures(suite: Suite) -> ModuleType:
    """Give a plugin with the fixtures of a lab: `computes`, one named as each node, and a `host` that refuses."""
    fixtures = ModuleType("lab_fixtures")

    def add(name: str, tells: str, give: Callable[[str], object]) -> None:
        def fixture() -> object:
            return give(name)

        fixture.__doc__ = tells
        setattr(fixtures, name, pytest.fixture(name=name)(fixture))

    def refuse(_: str) -> None:
        raise ValueError(f"say which node: the fixtures are computes, {', '.join(suite.hosts)}")

    add("host", "Refuse testinfra's own fixture, which would mean this machine.", refuse)
    add("computes", "testinfra's hosts of all compute nodes, in order.", lambda _: suite.computes)
    for node in suite.hosts:
        add(node, f"testinfra's host for {node}.", suite.hosts.__getitem__)
    return fixtures


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the connections."""
    if SUITE in config.stash:
        config.stash[SUITE].rounds.close()


def pytest_report_header(config: pytest.Config) -> str:
    """Tell what is verified."""
    suite = config.stash[SUITE]
    return f"lab {suite.plan.name}: {len(suite.checks)} of {len(suite.plan.checks)} checks"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each check, of the function for it."""
    if kind := getattr(metafunc.function, "lab_kind", None):
        suite = metafunc.config.stash[SUITE]
        checks = [check for check in suite.checks if suite.assertion(check).kind == kind]
        names = list(inspect.signature(metafunc.function).parameters)
        given = [pytest.param(*map(suite.arguments(check).get, names), id=check.id) for check in checks]
        metafunc.parametrize(names, given)


def check_of(item: pytest.Item) -> Check | None:
    """The check that a test asserts; None for a user's own test, or for a kind that the plan does not use."""
    callspec = getattr(item, "callspec", None)
    return item.config.stash[SUITE].check(callspec.id) if callspec and not own_name(item) else None


def own_name(item: pytest.Item) -> str:
    """Name a user's own test, FILE::TEST; empty for all others."""
    ours = hasattr(getattr(item, "function", None), "lab_kind")
    return "" if ours else f"{file_name(item)}::{item.nodeid.partition('::')[2]}"


def file_name(node: pytest.Item | pytest.Collector) -> str:
    """Name the file of a user's tests, from beside the spec."""
    return f"{node.path.parent.name}/{node.path.name}"


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Tell of a user's file that cannot be read."""
    report = yield
    if report.failed:
        report.longrepr = message = collector.config.stash[SUITE].mask(report.longreprtext)
        _keep(collector.config, file_name(collector), "error", summary_of(message[-300:]), 0.0)
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the checks in the plan's order, and the user's tests after them; drop kinds that the plan does not use."""
    mine = {check.id: item for item in items if (check := check_of(item))}
    ordered = [mine[check.id] for check in config.stash[SUITE].checks if check.id in mine]
    items[:] = ordered + [item for item in items if own_name(item)]


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run each test when what it asks is known; the user's tests of a file together, with its fixtures."""
    suite = session.config.stash[SUITE]
    if session.config.option.collectonly or (
        session.testsfailed and not session.config.option.continue_on_collection_errors
    ):
        return None
    questions = [item for item in session.items if item.get_closest_marker("direct") is None]
    waiting = Waiting(suite.rounds, {item: partial(_evaluate, suite, item) for item in questions})
    for _, group in groupby(session.items, lambda item: own_name(item).partition("::")[0] or item.nodeid):
        tests = list(group)
        waiting.wait_for(tests)
        for item, following in zip(tests, [*tests[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
    return True


def _evaluate(suite: Suite, item: pytest.Item) -> bool:
    """Call a check; set a user's test up, call it and tear it down, without telling anybody. Both run later.

    Tells whether the check fails now, but may soon pass by itself.
    """
    if check := check_of(item):
        return suite.still_to_come(check)
    runtestprotocol(item, log=False, nextitem=None)
    return False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell of a failure in the words of the lab, without traceback; a result goes to --lab-progress at once."""
    report = yield
    suite, check, name, message = item.config.stash[SUITE], check_of(item), own_name(item), ""
    if suite.rounds.evaluating or not (check or name):
        return report
    if report.failed and call.excinfo is not None:
        message = _tell(suite, check, call.excinfo.value, report)
    if report.when == "setup":
        facts = {"check": name, "node": "", "step": name.partition("::")[0], "guide": ""}
        if check is not None:
            facts = {"check": check.id, "node": check.node, "step": check.step, "guide": check.guide}
        item.user_properties += [*facts.items(), ("command", check.command if check else "")]
        report.user_properties = list(item.user_properties)
    if report.when == "call" and call.excinfo is not None and call.excinfo.errisinstance((Unreachable, Unknown)):
        report.when = "setup"  # nobody could tell: pytest calls that an error, not a failure
    if report.when == "call" or report.failed or report.skipped:
        outcome = "error" if report.failed and report.when != "call" else str(report.outcome)
        _keep(item.config, check.id if check else name, outcome, message, report.duration)
    return report


def _keep(config: pytest.Config, name: str, outcome: str, message: str, seconds: float) -> None:
    """Write a result for lab.verification.run, where it reads them."""
    if path := config.getoption("--lab-progress"):
        line = {"id": name, "outcome": outcome, "message": message, "seconds": round(seconds, 2)}
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


def _tell(suite: Suite, check: Check | None, error: BaseException, report: pytest.TestReport) -> str:
    """Put the lab's words into the report, and give them in one line."""
    if check is None and not isinstance(error, CannotTell):  # a user's own test: pytest's words, without secrets
        text = suite.mask(report.longreprtext)
        report.longrepr = text
        report.sections = [(title, suite.mask(content)) for title, content in report.sections]
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        return summary_of(suite.mask(kind + str(error).partition("\n")[0]))
    expected, found = suite.explain(error)
    found += suite.waited(check) if check else ""
    report.longrepr = describe(check, expected, found) if check else f"expected: {expected}\nfound: {found}"
    return summary(expected, found)


def summary_of(text: str) -> str:
    """Give a message as one short line."""
    return " ".join(text.split())[:300]
