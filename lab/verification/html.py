"""The HTML report: pytest-html's page with the lab's columns. Registered by tests/infra/conftest.py."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import pytest
from pytest_metadata.plugin import metadata_key  # type: ignore[import-untyped]

from lab.planning.plan import management_address

if TYPE_CHECKING:
    from lab.planning.plan import Plan

COLUMNS = ("Node", "Step", "Guide", "Command")


class HtmlReport:
    """Hooks of pytest-html for one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Describe the lab where pytest-html would describe the machine that ran pytest."""
        metadata: dict[str, str] = session.config.stash.get(metadata_key, {})
        plan = self._plan
        metadata.clear()
        metadata["Lab"] = plan.name
        metadata["Release"] = f"{plan.release} on {plan.suite}"
        metadata["Accelerator"] = plan.accelerator
        for node in plan.nodes:
            address = management_address(node)
            virt = f", instances under {node.virt_type}" if node.virt_type else ""
            metadata[node.name] = f"{address}, {node.cpus} CPUs, {node.memory_mib} MiB{virt}"

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str], session: pytest.Session) -> None:
        """Count what ran; pytest-html leaves out what could not be checked."""
        count, failed = session.testscollected, session.testsfailed
        verdict = f"{failed} of {count} checks failed" if failed else f"all {count} checks passed"
        prefix.append(f'<p class="verdict">{verdict}.</p>')

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_report_title(self, report: Any) -> None:
        """Name the lab."""
        report.title = f"Verification of lab {self._plan.name}"

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        """Put the lab's columns in the place of pytest's."""
        cells[1] = '<th class="sortable" data-column-type="testId">Check</th>'
        cells[2:] = [f'<th class="sortable" data-column-type="{name.lower()}">{name}</th>' for name in COLUMNS]

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(self, report: Any, cells: list[str]) -> None:
        """Fill them from what the report carries as properties."""
        facts = dict(getattr(report, "user_properties", ()))  # a file that cannot be read has none
        if "check" not in facts:
            return
        cells[1] = f'<td class="col-testId">{escape(facts["check"])}</td>'
        cells[2:] = [
            f'<td class="col-{name.lower()}">{escape(str(facts.get(name.lower(), "")))}</td>' for name in COLUMNS
        ]

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_html(self, report: Any, data: list[str]) -> None:
        """A check that passed has no log to unfold."""
        if report.passed:
            data.clear()
