"""A handout as Markdown, as one HTML page that needs nothing else, and as PDF."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import BashLexer, IniLexer, SqlLexer, TextLexer

from lab.base.errors import HostError
from lab.diagnosis import pdf as pdf_needs

if TYPE_CHECKING:
    from lab.teaching.handout import Handout
    from lab.teaching.translate import Block

_HERE = Path(__file__).parent
_LIGHT, _DARK = "xcode", "github-dark"
"""Pygments' styles"""
_INI = (".conf", ".cnf", ".ini", "/lab", ".cfg")


def markdown(course: Handout) -> str:
    """Write it as Markdown."""
    text = _environment(autoescape=False).get_template("handout.md.j2").render(course=course, fence=_fence)
    return re.sub(r"\n{3,}", "\n\n", text)


def section(course: Handout, step: str) -> str:
    """Write one chapter of it as Markdown."""
    only = replace(course, chapters=tuple(chapter for chapter in course.chapters if chapter.id == step))
    return markdown(only).partition(f'<a id="{step}"></a>\n')[2].lstrip()


def html(course: Handout) -> str:
    """Write it as one page: styles, script and drawing are in it."""
    page = _environment(autoescape=True).get_template("handout.html.j2")
    return page.render(
        course=course,
        prose=_prose,
        code=_code,
        drawing=Markup(course.drawing.split("?>", 1)[-1]),
        css=Markup(_read("handout.css") + _colours()),
        script=Markup(_read("handout.js")),
    )


def pdf(course: Handout) -> bytes:
    """Write it as PDF.

    Raises:
        HostError: WeasyPrint, or a library that it needs, is not installed.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # where a library is missing, it prints advice of its own
            from weasyprint import HTML
    except (ImportError, OSError) as error:
        lacking = pdf_needs.missing()
        commands = [f"`{command}`" for command in pdf_needs.repair(lacking).splitlines()]
        run_them = f"run {', then '.join(commands)}; or " if commands else ""
        raise HostError(
            f"a PDF needs {' and '.join(lacking) or 'libraries'}, which this machine does not have",
            detail="" if lacking else str(error).splitlines()[0],
            hint=f"{run_them}print the HTML page from a browser",
        ) from None
    written = HTML(string=html(course)).write_pdf()
    assert isinstance(written, bytes)
    return written


def _environment(*, autoescape: bool) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.StrictUndefined,
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _prose(text: str) -> Markup:
    """Render a paragraph: only `code` is markup in it, everything else is text."""
    renderer = MarkdownIt("zero").enable("backticks")
    return Markup(renderer.renderInline(text))


def _code(text: str, kind: str, title: str = "") -> Markup:
    """Colour code as its kind wants it."""
    lexers = {"shell": BashLexer, "rest": BashLexer, "sql": SqlLexer, "ini": IniLexer}
    lexer = lexers.get(kind) or (IniLexer if title.split(":")[0].endswith(_INI) else TextLexer)
    return Markup(highlight(text, lexer(stripnl=False), HtmlFormatter(nowrap=True)).rstrip("\n"))


def _fence(block: Block) -> str:
    """Write a block of code between fences that it does not hold itself."""
    words = {"shell": "bash", "rest": "bash", "sql": "sql", "ini": "ini", "file": "text"}
    marks = max([2, *(len(found) for found in re.findall(r"`+", block.text))]) + 1
    return f"{'`' * marks}{words[block.kind]}\n{block.text}\n{'`' * marks}"


def _colours() -> str:
    """Give the styles of code: light everywhere, dark on a dark screen."""
    light = HtmlFormatter(style=_LIGHT).get_style_defs("pre")
    dark = HtmlFormatter(style=_DARK).get_style_defs("pre")
    own = re.compile(r"^(?:pre \{.*|td\..*|span\.linenos.*)\n?", re.MULTILINE)
    return f"{own.sub('', light)}\n@media screen and (prefers-color-scheme: dark) {{\n{own.sub('', dark)}\n}}\n"
