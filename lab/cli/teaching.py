"""The verbs of the course on paper: `handout`, `graph`, `coverage`. No lab needs to run, or to exist."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003  (typer reads annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from lab.base import durable, errors
from lab.cli.options import DEFAULT_SPEC, AsJson, BuildDir, SpecFile, require_place
from lab.terminal import progress as ui

if TYPE_CHECKING:
    from lab.planning.plan import Plan

PANEL = "Teaching"


class PageFormat(StrEnum):
    """What `lab handout` writes."""

    HTML = "html"
    MARKDOWN = "md"
    PDF = "pdf"


class GraphFormat(StrEnum):
    """What `lab graph` writes."""

    SVG = "svg"
    MERMAID = "mermaid"
    DOT = "dot"


Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write into this file instead of the terminal.", metavar="FILE")
]


def register(app: typer.Typer) -> None:
    """Give the command line these verbs."""
    app.command(rich_help_panel=PANEL)(handout)
    app.command(rich_help_panel=PANEL)(graph)
    app.command(rich_help_panel=PANEL)(coverage)


def handout(
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    teacher: Annotated[
        bool, typer.Option("--teacher/--student", help="With all passwords of the lab, or with ADMIN_PASS only.")
    ] = False,
    form: Annotated[PageFormat, typer.Option("--format", help="A page, text, or pages to print.")] = PageFormat.HTML,
    output: Output = None,
) -> None:
    """Write the course for this lab: each chapter with its commands, files, and what to check at the end."""
    from lab.teaching import pages
    from lab.teaching.handout import Edition
    from lab.teaching.handout import handout as write
    from lab.verbs.opening import planned

    if output is not None:
        require_place(output)
    elif form is PageFormat.PDF:
        raise errors.UsageError("a PDF is for a file, not for the terminal", hint="add --output handout.pdf")
    lab = planned(file, build_dir)
    course = write(lab.plan, lab.secrets, Edition.TEACHER if teacher else Edition.STUDENT)
    if form is PageFormat.PDF:
        _give(pages.pdf(course), output, private=True)
    else:
        page = pages.markdown(course) if form is PageFormat.MARKDOWN else pages.html(course)
        _give(page.encode(), output, private=True)


def graph(
    file: SpecFile = DEFAULT_SPEC,
    form: Annotated[
        GraphFormat, typer.Option("--format", help="A picture, or text for another program that draws it.")
    ] = GraphFormat.SVG,
    output: Output = None,
) -> None:
    """Draw the lab: nodes, networks, services with their ports, and who talks to whom."""
    from lab.teaching.drawing import svg
    from lab.teaching.graph_text import dot, mermaid
    from lab.teaching.topology import topology

    if output is not None:
        require_place(output)
    draw = {GraphFormat.SVG: svg, GraphFormat.MERMAID: mermaid, GraphFormat.DOT: dot}[form]
    _give(draw(topology(_plan(file))).encode(), output)


def coverage(file: SpecFile = DEFAULT_SPEC, as_json: AsJson = False) -> None:
    """Show the guide's Compute chapter statement by statement: the step that does it, the checks that prove it."""
    from lab.teaching.coverage import cover
    from lab.terminal.coverage import print_coverage

    found = cover(_plan(file))
    if as_json:
        ui.print_json(found.as_dict())
    else:
        print_coverage(found)
    if not found.good:
        raise typer.Exit(errors.CHECK_FAILED)


def _plan(file: Path) -> Plan:
    """Decide the lab of a spec, for what is known of this host; nothing is touched."""
    from lab.inputs.load import load_spec
    from lab.verbs.opening import plan_of

    return plan_of(load_spec(file))


def _give(content: bytes, output: Path | None, *, private: bool = False) -> None:
    """Print a text; or write a file, readable by its owner alone if it may hold a password, and say where.

    What is no regular file, as /dev/stdout, is written to and keeps its mode: it belongs to the machine.
    """
    if output is None:
        typer.echo(content.decode(), nl=False)
        return
    if private and (output.is_file() or not output.exists()):
        durable.write_bytes(output, content, mode=0o600)
    else:
        output.write_bytes(content)
    typer.echo(f"wrote {output}")
