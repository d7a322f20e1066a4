"""`lab handout`: complete, self-contained, and in the student's edition no password but the student's own."""

from __future__ import annotations

import html as entities
import io
import os
import re
import stat
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cpu_time import NOISE, spent
from pypdf import PdfReader
from teaching_labs import FULL, plan_of
from typer.testing import CliRunner

from lab.base.errors import HostError
from lab.base.masking import forms
from lab.base.resources import PROVISION
from lab.cli.main import app
from lab.cli.teaching import _give
from lab.diagnosis import pdf as pdf_needs
from lab.planning.secrets import Secrets
from lab.teaching import pages
from lab.teaching.handout import STUDENTS_OWN, Chapter, Edition, Handout, handout
from lab.teaching.looks import known_kinds
from lab.teaching.script import functions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.planning.plan import Plan

Lab = tuple[str, tuple[str, ...]]
EPOXY: Lab = ("epoxy", ())


def secrets_of(plan: Plan) -> Secrets:
    return Secrets.derive("ab" * 32, plan.secrets, {"NOVA_PASS": "no~va-pass._9"})


@cache
def course(name: str, chapters: tuple[str, ...], edition: Edition) -> Handout:
    plan = plan_of(name, chapters)
    return handout(plan, secrets_of(plan), edition)


def found_in(text: str, secrets: Secrets, names: Iterable[str]) -> set[str]:
    """The names of the passwords that a text shows, in any form, also as HTML writes it or cut by its tags."""
    texts = (text, entities.unescape(text), entities.unescape(re.sub("<[^>]*>", "", text)))
    return {name for name in names if any(form in one for form in forms(secrets[name]) for one in texts)}


@pytest.mark.parametrize("lab", FULL, ids=str)
def test_the_student_sees_no_password_but_the_own_one(lab: Lab) -> None:
    plan = plan_of(*lab)
    secrets = secrets_of(plan)
    student = course(*lab, Edition.STUDENT)
    for page in (pages.html(student), pages.markdown(student), repr(student)):
        assert found_in(page, secrets, plan.secrets) == STUDENTS_OWN
    assert student.passwords == {"ADMIN_PASS": secrets["ADMIN_PASS"]}


@pytest.mark.parametrize("lab", FULL, ids=str)
def test_the_teacher_sees_all_that_the_lab_uses(lab: Lab) -> None:
    plan = plan_of(*lab)
    used = {secret for node in plan.nodes for secret in node.secrets}
    teacher = course(*lab, Edition.TEACHER)
    assert found_in(pages.html(teacher), secrets_of(plan), used) == used
    assert teacher.hidden == ()


def test_a_lab_without_passwords_yet_shows_their_names() -> None:
    page = pages.html(handout(plan_of(*EPOXY), {}, Edition.TEACHER))
    assert "rabbit://openstack:RABBIT_PASS@controller" in entities.unescape(re.sub("<[^>]*>", "", page))
    assert "as soon as the lab exists" in page


@pytest.mark.parametrize("lab", FULL, ids=str)
def test_every_step_is_a_chapter_with_something_to_do_and_to_check(lab: Lab) -> None:
    plan = plan_of(*lab)
    written = course(*lab, Edition.STUDENT)
    assert [chapter.id for chapter in written.chapters] == [step.id for step in plan.steps]
    for chapter in written.chapters:
        assert chapter.goal, chapter.id
        told = [block for part in chapter.parts for block in part.blocks if block.kind not in ("rest", "deviation")]
        assert chapter.by_hand or told, chapter.id
        kinds = {check.kind for check in plan.checks if check.step == chapter.id}
        assert bool(chapter.looks) == bool(kinds - {"option"}), chapter.id


@pytest.mark.parametrize("lab", FULL, ids=str)
def test_every_option_that_the_suite_asks_for_is_in_a_block(lab: Lab) -> None:
    plan = plan_of(*lab)
    text = pages.markdown(course(*lab, Edition.STUDENT))
    for check in plan.checks:
        if check.kind == "option" and check.node in ("controller", "compute1"):
            value = re.sub(r"\$\{([A-Z_]+)\}", r"\1", str(check.args["value"]))
            assert f"\n{check.args['option']} = {value}".rstrip() + "\n" in text, check.id


def test_commands_have_this_lab_s_names_and_addresses() -> None:
    text = pages.markdown(course(*EPOXY, Edition.STUDENT))
    assert "my_ip = 10.0.0.31" in text
    assert "start=203.0.113.101,end=203.0.113.250" in text
    assert "CREATE DATABASE IF NOT EXISTS nova_cell0;" in text
    assert "GRANT ALL PRIVILEGES ON nova.* TO 'nova'@'%' IDENTIFIED BY 'NOVA_DBPASS';" in text
    assert 'su -s /bin/sh -c "nova-manage cell_v2 discover_hosts --verbose" nova' in text
    assert "--network provider --availability-zone nova:compute2 instance-compute2" in text
    assert not re.search(r"\$\{?(?:LAB_|MY_IP|PROVIDER_|MANAGEMENT_|NOVA_|RABBIT_)", text)


@pytest.mark.parametrize("lab", FULL, ids=str)
def test_who_does_all_commands_of_a_chapter_makes_nothing_twice(lab: Lab) -> None:
    for chapter in course(*lab, Edition.STUDENT).chapters:
        code = [block.text for part in chapter.parts for block in part.blocks if block.kind == "shell"]
        made = re.findall(
            r"(?:openstack|rabbitmqctl|ovs-vsctl|keystone-manage) "
            r"(?:(image|network|subnet|router|server|flavor) create .*?|(add_user|add-br|bootstrap)) "
            r"([\w-]+)(?: --format .*)?$",
            "\n".join([*code, *chapter.by_hand]),
            re.MULTILINE,
        )
        assert len(made) == len(set(made)), chapter.id
        assert not re.search(r"=(KERNEL|RAMDISK)\b", " ".join(chapter.by_hand)), chapter.id


def typed(chapter: Chapter) -> list[str]:
    """The lines that a chapter has for a shell, in their order."""
    blocks = [block.text for part in chapter.parts for block in part.blocks if block.kind == "shell"]
    return "\n".join([*blocks, *chapter.by_hand]).splitlines()


@pytest.mark.parametrize("lab", FULL, ids=str)
def test_a_person_has_every_program_that_a_chapter_names(lab: Lab) -> None:
    """No helper of the scripts (provision/lib) is on paper: it says what the helper does."""
    helpers = {name for path in (PROVISION / "lib").glob("*.sh") for name in functions(path.read_text())}
    assert {"put_file", "restart_if_running", "long_turns", "queue_user", "start_behind"} <= helpers
    for chapter in course(*lab, Edition.STUDENT).chapters:
        named = {word for line in typed(chapter) for word in re.findall(r"[\w-]+", line)}
        assert not helpers & named, chapter.id
        assert not any("/opt/lab/lib" in line for line in typed(chapter)), chapter.id


@pytest.mark.parametrize("lab", FULL, ids=str)
def test_who_asks_a_service_has_logged_in(lab: Lab) -> None:
    for chapter in course(*lab, Edition.STUDENT).chapters:
        lines = typed(chapter)
        asked = [number for number, line in enumerate(lines) if re.match(r"(?:\w+=\$\()?openstack ", line)]
        logins = [number for number, line in enumerate(lines) if re.fullmatch(r"\. (?:/root/)?admin-openrc", line)]
        assert not asked or (logins and logins[0] < asked[0]), chapter.id


@pytest.mark.parametrize("lab", FULL, ids=str)
def test_a_file_that_the_suite_asks_for_is_on_paper_or_of_a_package(lab: Lab) -> None:
    """With its owner and mode, where they are not those of any new file."""
    plan = plan_of(*lab)
    for chapter in course(*lab, Edition.STUDENT).chapters:
        titles = {block.title for part in chapter.parts for block in part.blocks if block.kind == "file"}
        for check in plan.checks:
            if check.step != chapter.id or check.kind != "file" or check.node not in ("controller", "compute1"):
                continue
            path = str(check.args["path"])
            if path.startswith("/etc/systemd/"):
                assert path in titles, check.id
            if path in titles and (check.args["mode"], check.args["owner"]) not in {("0644", "root"), ("0664", "root")}:
                assert any(line.startswith("ch") and line.endswith(f" {path}") for line in typed(chapter)), check.id


def test_what_is_otherwise_than_in_the_guide_is_told_with_version_and_reason() -> None:
    chapters = {chapter.id: chapter for chapter in course(*EPOXY, Edition.STUDENT).chapters}
    told = {d.guide[0]: d for d in chapters["50-compute-controller"].differences}
    assert "[oslo_messaging_rabbit] rabbit_host = controller" in told["[DEFAULT] rpc_backend = rabbit"].guide
    assert told["[DEFAULT] rpc_backend = rabbit"].since == "oslo.messaging 9.0.0 (Stein)"
    assert told["nova-cert"].here == "nothing"
    (registry,) = chapters["40-image"].differences
    assert registry.here == "glance-api"
    for chapter in chapters.values():
        assert all(d.here and d.since and d.why for d in chapter.differences), chapter.id
    assert all(not chapter.differences for chapter in course("newton", (), Edition.STUDENT).chapters)


def test_every_kind_of_check_has_a_look() -> None:
    used = {check.kind for lab in FULL for check in plan_of(*lab).checks}
    assert used <= known_kinds()


def test_the_page_needs_nothing_else() -> None:
    page = pages.html(course(*EPOXY, Edition.STUDENT))
    assert not re.search(r"<(?:link|img|iframe|object)\b|<script[^>]+src|@import|url\(", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    inside = set(re.findall(r'href="#([^"]+)"', page))
    assert inside <= set(ids)
    assert {chapter.id for chapter in course(*EPOXY, Edition.STUDENT).chapters} <= inside
    assert all(url.startswith("https://") for url in re.findall(r'href="([^#"][^"]*)"', page))


def test_the_digest_is_the_plan_s_own() -> None:
    plan, other = plan_of(*EPOXY), plan_of("epoxy", (), 1)
    assert plan.digest != other.digest
    slower = plan.model_copy(
        update={
            "wait_factor": 9.0,
            "steps": tuple(step.model_copy(update={"seconds": step.seconds * 9}) for step in plan.steps),
            "nodes": tuple(
                node.model_copy(update={"env": {**node.env, "LAB_WAIT_FACTOR": "9"}}) for node in plan.nodes
            ),
        }
    )
    slower.__dict__.pop("digest", None)
    assert slower.digest == plan.digest
    for page in (pages.html, pages.markdown):
        assert plan.digest in page(course(*EPOXY, Edition.STUDENT))


def test_markup_in_a_script_stays_text() -> None:
    written = course(*EPOXY, Edition.STUDENT)
    odd = replace(written, chapters=(replace(written.chapters[0], goal="<b>`a<i>`</b> [x](y)"),))
    assert "<p>&lt;b&gt;<code>a&lt;i&gt;</code>&lt;/b&gt; [x](y)</p>" in pages.html(odd)


def test_it_is_written_in_a_second() -> None:
    plan = plan_of(*EPOXY)
    assert spent(lambda: pages.html(handout(plan, {}, Edition.STUDENT))) < 1 * NOISE


def test_the_pdf_has_the_same_and_no_password() -> None:
    plan = plan_of("epoxy", (), 1)
    secrets = secrets_of(plan)
    written = handout(plan, secrets, Edition.STUDENT)
    few = replace(written, chapters=tuple(c for c in written.chapters if c.id[:2] in ("21", "70")))
    reader = PdfReader(io.BytesIO(pages.pdf(few)))
    text = "\n".join(page.extract_text() for page in reader.pages)
    assert found_in(re.sub(r"\s", "", text), secrets, plan.secrets) == STUDENTS_OWN
    assert "Discover the compute hosts" in text
    assert plan.digest in text


def test_without_weasyprint_one_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(HostError, match="needs WeasyPrint, which this machine does not have") as refused:
        pages.pdf(course(*EPOXY, Edition.STUDENT))
    assert refused.value.hint == "run `make setup-pdf`; or print the HTML page from a browser"


def test_without_pango_there_is_nothing_but_our_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """WeasyPrint prints where to read, and raises."""
    (tmp_path / "weasyprint.py").write_text(
        'print("Please carefully follow …")\nraise OSError("cannot load libpango")\n'
    )
    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(pdf_needs, "LIBRARIES", {"libpango-1.0-0": "libno-such-library.so.0"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostError) as refused:
        pages.pdf(course(*EPOXY, Edition.STUDENT))
    assert refused.value.message == "a PDF needs libpango-1.0-0, which this machine does not have"
    assert "run `sudo apt-get install libpango-1.0-0`" in refused.value.hint
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    runner = CliRunner()
    runner.invoke(app, ["init", "--release", "zed"])
    return runner


def test_the_verb_before_and_after_the_lab_is_made(runner: CliRunner, tmp_path: Path) -> None:
    before = runner.invoke(app, ["handout", "--teacher", "--format", "md"])
    assert before.exit_code == 0
    assert "as soon as the lab exists" in before.output
    assert not (tmp_path / ".lab").exists()
    assert runner.invoke(app, ["render"]).exit_code == 0
    values = dict(line.split("=", 1) for line in runner.invoke(app, ["secrets"]).output.splitlines())
    student = runner.invoke(app, ["handout", "--student", "--format", "md"]).output
    assert found_in(student, Secrets(values), values) == {"ADMIN_PASS"}
    assert runner.invoke(app, ["handout", "--teacher", "-o", "h.html"]).output == "wrote h.html\n"
    assert found_in((tmp_path / "h.html").read_text(), Secrets(values), ["NOVA_DBPASS"]) == {"NOVA_DBPASS"}
    assert stat.S_IMODE((tmp_path / "h.html").stat().st_mode) == 0o600


def test_a_pdf_is_not_printed_to_the_terminal(runner: CliRunner) -> None:
    refused = runner.invoke(app, ["handout", "--format", "pdf"])
    assert refused.exit_code == 2
    assert "add --output handout.pdf" in refused.output


def test_a_handout_replaces_a_link_and_leaves_a_device_as_it_is(tmp_path: Path) -> None:
    (theirs := tmp_path / "theirs").write_text("mine")
    (link := tmp_path / "course.html").symlink_to(theirs)
    _give(b"a password", link, private=True)
    assert theirs.read_text() == "mine"
    assert (link.read_text(), stat.S_IMODE(link.stat().st_mode)) == ("a password", 0o600)
    read, write = os.openpty()
    try:
        device = Path(os.ttyname(write))
        before = device.stat().st_mode
        _give(b"x", device, private=True)
        assert device.stat().st_mode == before
        assert os.read(read, 1) == b"x"
    finally:
        os.close(read)
        os.close(write)
