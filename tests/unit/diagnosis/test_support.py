"""`lab support`: everything that helps, from a lab of which little may be alive, and no secret in it."""

from __future__ import annotations

import base64
import json
import os
import shlex
import tarfile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest
from typer.testing import CliRunner

from lab.base.errors import MachineError
from lab.base.masking import MASK, Masking
from lab.cli.main import app
from lab.diagnosis import support_parts
from lab.nodes.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

runner = CliRunner()
SPEC = (
    "name: helpless\nrelease: zed\npasswords: {ADMIN_PASS: correct-horse-battery, RABBIT_PASS: rabbit-of-caerbannog}\n"
)
SSH_CONFIG = "Host controller\n  HostName 192.168.121.7\n  User vagrant\nHost compute1\n  HostName 192.168.121.8\n"


def lab(*argv: str) -> tuple[int, str]:
    result = runner.invoke(app, list(argv))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture(autouse=True)
def _spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LAB_HOST", "private")
    monkeypatch.setattr("lab.diagnosis.doctor.diagnose", lambda *_: [])
    (tmp_path / "lab.yaml").write_text(SPEC)


@pytest.fixture
def build_dir(tmp_path: Path) -> Path:
    """A lab that was made, with a secret wherever a careless program may leave one."""
    assert lab("render")[0] == 0
    directory = tmp_path / ".lab" / "helpless"
    Ssh(directory).add_config(SSH_CONFIG)
    (directory / "state.json").write_text('{"version": 1, "steps": {}}')
    leaks = "\n".join(f"{name} is {value}" for name, value in secrets().items())
    log = directory / "logs" / "controller" / "30-identity.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"{leaks}\nseed {(directory / 'seed').read_text()}\nlast line\n")
    return directory


def secrets() -> dict[str, str]:
    values: dict[str, str] = json.loads(lab("secrets", "--json")[1])
    assert values["ADMIN_PASS"] == "correct-horse-battery"
    assert len(values) > 8
    return values


def read(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as packed:
        members = packed.getmembers()
        assert {member.mode for member in members} == {0o600}
        texts = {member.name: packed.extractfile(member) for member in members}
        return {name.partition("/")[2]: file.read().decode() for name, file in texts.items() if file is not None}


def node_answer(_host: Any, _ssh: Any, node: str, _script: str, *, limit_s: float) -> str:
    """Answer as a node whose logs and files are as careless as can be."""
    assert limit_s > 0
    if node != "controller":
        raise MachineError("ssh: connect to host 192.168.121.8: No route to host")
    values = secrets()
    said = [
        f"@@ log-{name}\n{value} and mysql+pymysql://nova:{value}@controller/nova\n" for name, value in values.items()
    ]
    return "".join(
        [
            *said,
            f"@@ log-rabbit\ntransport_url = rabbit://openstack:{values['RABBIT_PASS']}@controller\n",
            "@@ log-others\nconnection = mysql+pymysql://keystone:of-another-lab@controller/keystone\n",
            "@@ units\nnova-api.service loaded active running\n",
        ]
    )


def test_no_secret_of_the_lab_is_in_the_archive(
    build_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support_parts, "ask", node_answer)
    code, text = lab("support", "--output", "help.tar.xz")
    assert code == 0, text
    texts = read(tmp_path / "help.tar.xz")
    everything = "\n".join([*texts, *texts.values()])
    for name, value in {**secrets(), "seed": (build_dir / "seed").read_text().strip()}.items():
        assert value not in everything, name
    assert "of-another-lab" not in everything
    assert "last line" in texts["logs/controller/30-identity.log"]
    assert texts["nodes/controller/units"] == "nova-api.service loaded active running\n"
    assert f"rabbit://openstack:{MASK}@controller" in texts["nodes/controller/log-rabbit"]
    assert "nodes/compute1: ssh: connect to host" in texts["missing.txt"]
    assert "nodes/compute1: ssh: connect to host" in text
    json.loads(texts["doctor.json"])
    assert json.loads(texts["plan.json"])["name"] == "helpless"
    assert os.stat(tmp_path / "help.tar.xz").st_mode & 0o777 == 0o600


def test_files_that_are_secrets_are_not_packed(
    build_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support_parts, "ask", node_answer)
    key = build_dir / ".vagrant" / "machines" / "controller" / "libvirt" / "private_key"
    key.parent.mkdir(parents=True)
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n")
    assert lab("support", "--output", "help.tar.xz")[0] == 0
    names = set(read(tmp_path / "help.tar.xz"))
    assert not {name for name in names if name.endswith(("seed", "/env", "private_key"))}


def test_a_lab_of_which_nothing_answers_is_packed_all_the_same(build_dir: Path, tmp_path: Path) -> None:
    assert lab("support", "--output", "help.tar.xz")[0] == 0
    texts = read(tmp_path / "help.tar.xz")
    missing = texts["missing.txt"]
    assert "host/domains: " in missing
    assert "nodes/controller: " in missing
    assert "logs/controller/30-identity.log" in texts
    assert texts["versions/lab"].startswith("lab ")


def test_a_damaged_plan_is_no_reason_to_give_up(
    build_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support_parts, "ask", node_answer)
    values = secrets()
    (build_dir / "plan.json").write_text("{")
    monkeypatch.setattr(support_parts, "ask", lambda *_, **__: f"@@ log\n{' '.join(values.values())}\n")
    assert lab("support", "--output", "help.tar.xz")[0] == 0
    texts = read(tmp_path / "help.tar.xz")
    assert "is damaged" in texts["missing.txt"]
    assert not [name for name, value in values.items() if value in texts["nodes/controller/log"]]


def test_without_the_seed_nothing_is_packed_that_could_hold_a_password(build_dir: Path, tmp_path: Path) -> None:
    values = secrets()
    (build_dir / "seed").write_text("broken")
    assert lab("support", "--output", "help.tar.xz")[0] == 0
    texts = read(tmp_path / "help.tar.xz")
    assert "passwords are not known" in texts["missing.txt"]
    assert not [name for name in texts if name.startswith(("logs/", "nodes/"))]
    assert not [name for name, value in values.items() if value in "".join(texts.values())]


def test_an_existing_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    code, text = lab("support", "--output", "mine")
    assert code == 2
    assert "mine exists" in text
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    code, text = lab("support", "--output", "no/such/directory/help.tar.xz")
    assert code == 2
    assert f"run: mkdir -p {tmp_path}/no/such/directory" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (
            "connection = mysql+pymysql://nova:hunter2@controller/nova",
            "connection = mysql+pymysql://nova:***@controller/nova",
        ),
        ("rabbit://openstack:a/b:c@controller:5672/", "rabbit://openstack:***@controller:5672/"),
        ("password = abc", "password = ***"),
        ("ADMIN_PASS=foo", "ADMIN_PASS=***"),
        ('{"password": "a b c"}', '{"password": ***}'),
        ("X-Auth: gAAAAABhabcdefghijklmnop_x-y", "X-Auth: ***"),
        ("IDENTIFIED BY '*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29'", "IDENTIFIED BY '***'"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc", "***"),
        ('"secrets": [\n  "ADMIN_PASS"', '"secrets": [\n  "ADMIN_PASS"'),
        ('"adminPass": "a1B2c3D4"', '"adminPass": ***'),
        ("Authorization: Basic YWRtaW46YWJj", "Authorization: ***"),
        ("-H 'Authorization: Bearer abc.def' URL", "-H 'Authorization: ***' URL"),
        ("X-Auth-Token: 0123456789abcdef", "X-Auth-Token: ***"),
        ("{'X-Subject-Token': b'0123456789abcdef'}", "{'X-Subject-Token': ***}"),
        (" cookie hash    : yTOVO+mgzlpfTsVIS0lJcA==", " cookie hash    : ***"),
        ("effective cookie hash: yTOVO+mgzlpfTsVIS0lJcA==", "effective cookie hash: ***"),
        ("Set-Cookie: sessionid=abc; Path=/", "Set-Cookie: ***"),
        ("redis://:hunter2@controller/0", "redis://:***@controller/0"),
        ("IDENTIFIED BY 'hunter2'", "IDENTIFIED BY '***'"),
        ("IDENTIFIED BY 'NOVA_DBPASS'", "IDENTIFIED BY 'NOVA_DBPASS'"),
        ("send_service_user_token = true", "send_service_user_token = true"),
        ("password_hash_rounds = 4", "password_hash_rounds = 4"),
        ("mysql --password=${NOVA_DBPASS}", "mysql --password=${NOVA_DBPASS}"),
        ("http://controller:5000/v3", "http://controller:5000/v3"),
        ("http://10.0.0.11:8774/v2.1 mail a@b", "http://10.0.0.11:8774/v2.1 mail a@b"),
    ],
)
def test_what_has_the_shape_of_a_secret_is_hidden_and_the_rest_is_not(text: str, hidden: str) -> None:
    assert Masking([])(text) == hidden


PASSWORD = "Ab1.x~y_z-9Q"
WILD = """it's "a" b&ck\\slash %s ü+/="""


@pytest.mark.parametrize("value", [PASSWORD, WILD])
@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "admin:", "nova:"])
@pytest.mark.parametrize("after", ["", "@", "\n", "@controller"])
def test_a_password_is_hidden_in_base64_whatever_stands_around_it(value: str, before: str, after: str) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(f"{before}{value}{after}".encode()).decode()
        hidden = Masking([value])(f"data {text} end")
        assert MASK in hidden
        assert len(hidden.replace(MASK, "")) <= len("data  end") + len(before + after) * 4 / 3 + 8


@pytest.mark.parametrize(
    "write",
    [
        str,
        lambda value: quote(value, safe=""),
        quote_plus,
        lambda value: json.dumps({"x": value}),
        lambda value: f"echo {shlex.quote(value)}",
        lambda value: "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'",
        lambda value: "'" + value.replace("'", "''") + "'",
    ],
)
@pytest.mark.parametrize("value", [PASSWORD, WILD])
def test_a_password_is_hidden_in_the_quoting_of_each_place(write: Callable[[str], str], value: str) -> None:
    hidden = Masking([value])(write(value))
    assert MASK in hidden
    assert not any(piece in hidden for piece in ("x~y", "ck", "slash"))


def test_values_are_shown_by_their_names_where_they_are_known() -> None:
    masking = Masking({"NOVA_PASS": PASSWORD})
    url = f"rabbit://nova:{PASSWORD}@c password = {PASSWORD} {base64.b64encode(PASSWORD.encode()).decode()}"
    assert masking(url) == "rabbit://nova:${NOVA_PASS}@c password = ${NOVA_PASS} ${NOVA_PASS}"


def test_a_password_that_is_part_of_another_is_hidden_in_whole() -> None:
    assert Masking(["abc", "abcdef"])("abcdef abc") == f"{MASK} {MASK}"


def test_half_a_line_is_dropped_where_a_log_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support_parts, "LARGEST", 20)
    log = tmp_path / "log"
    log.write_text("the password is 0123456789\nshort line\n")
    assert support_parts._end_of(log) == "short line\n"
    assert support_parts._end(log.read_text()) == "short line\n"


def test_a_nodes_answer_is_taken_apart() -> None:
    assert support_parts.split("motd\n@@ df\na\nb\n\n@@ journal-nova-api.service\nc\n") == [
        ("df", "a\nb\n\n"),
        ("journal-nova-api.service", "c\n"),
    ]
