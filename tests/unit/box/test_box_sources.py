from pathlib import Path

import pytest

from lab.base.errors import HostError
from lab.box.definition import BoxDefinition
from lab.box.sources import (
    Distribution,
    Source,
    choose,
    host_distribution,
    host_sources,
    keyring_of,
    parse_deb822,
    parse_one_line,
    security_candidates,
)


@pytest.fixture
def bookworm() -> BoxDefinition:
    return BoxDefinition(
        suite="bookworm",
        archives=("bookworm", "bookworm-updates", "bookworm-security"),
        keyring="test.gpg",
        kernel="linux-image-cloud-amd64",
        cmdline="quiet",
        packages=("sudo",),
        enabled=("ssh",),
    )


def test_one_line_format() -> None:
    text = """
# deb http://commented.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib  # with a remark
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] https://mirror.example/security bookworm-security main
deb-src http://mirror.example/debian bookworm main
"""
    assert parse_one_line(text) == [
        Source("http://mirror.example/debian", "bookworm", ("main", "contrib")),
        Source("https://mirror.example/security", "bookworm-security", ("main",)),
    ]


def test_deb822_format() -> None:
    text = """# a comment
Types: deb deb-src
URIs: http://one.example/debian
 http://two.example/debian
Suites: bookworm bookworm-updates
# a comment between fields
Components: main
 non-free
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://src.example/debian
Suites: bookworm
Components: main
"""
    assert parse_deb822(text) == [
        Source("http://one.example/debian", "bookworm", ("main", "non-free")),
        Source("http://one.example/debian", "bookworm-updates", ("main", "non-free")),
        Source("http://two.example/debian", "bookworm", ("main", "non-free")),
        Source("http://two.example/debian", "bookworm-updates", ("main", "non-free")),
    ]


def test_both_formats_of_a_host_are_read_and_other_files_are_not(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.example/debian bookworm main\n")
    (parts / "b.list").write_text("deb http://b.example/debian bookworm main\n")
    (parts / "c.sources").write_text("Types: deb\nURIs: http://c.example/debian\nSuites: bookworm\nComponents: main\n")
    (parts / "d.list.disabled").write_text("deb http://d.example/debian bookworm main\n")
    assert [s.uri for s in host_sources(tmp_path)] == [f"http://{n}.example/debian" for n in "abc"]


def test_the_hosts_mirrors_are_chosen_for_the_suites_of_the_box_only(bookworm: BoxDefinition) -> None:
    host = [
        Source("http://m.example/debian", "bookworm", ("main", "contrib")),
        Source("http://m.example/debian", "bookworm-updates", ("main",)),
        Source("http://m.example/debian-security", "bookworm-security", ("main",)),
        Source("http://other.example/node", "nodistro", ("main",)),
        Source("http://m.example/debian", "bookworm", ("main",)),
        Source("http://m.example/debian", "bookworm-updates", ("contrib",)),
    ]
    assert choose(bookworm, host) == [
        Source("http://m.example/debian", "bookworm", ("main",)),
        Source("http://m.example/debian", "bookworm-updates", ("main",)),
        Source("http://m.example/debian-security", "bookworm-security", ("main",)),
    ]


def test_a_named_mirror_wins_and_is_not_asked_for_the_security_archive(bookworm: BoxDefinition) -> None:
    host = [Source("http://m.example/debian", "bookworm", ("main",))]
    assert [(s.uri, s.suite) for s in choose(bookworm, host, "http://near.example/debian")] == [
        ("http://near.example/debian", "bookworm"),
        ("http://near.example/debian", "bookworm-updates"),
    ]


def test_a_host_of_another_distribution_has_no_mirror(bookworm: BoxDefinition) -> None:
    host = [
        Source("http://ubuntu.example/ubuntu", "jammy", ("main",)),
        Source("http://m.example/debian-security", "bookworm-security", ("main",)),
    ]
    with pytest.raises(HostError, match="no mirror for bookworm") as caught:
        choose(bookworm, host)
    assert "`box.mirror` of the spec" in caught.value.hint


HOST = [
    Source("http://m.example/debian", "bookworm", ("main", "contrib")),
    Source("http://m.example/debian", "bookworm-updates", ("main",)),
    Source("http://m.example/debian-security", "bookworm-security", ("main",)),
    Source("http://tools.example/apt", "tools-bookworm", ("main",)),
]


def test_another_version_of_the_hosts_distribution_comes_from_the_same_mirrors(bookworm: BoxDefinition) -> None:
    archives = ("trixie", "trixie-updates", "trixie-security")
    trixie = bookworm.model_copy(
        update={"suite": "trixie", "archives": archives, "keyring": "debian-archive-keyring.gpg"}
    )
    assert choose(trixie, HOST, None, Distribution("debian", "bookworm")) == [
        Source("http://m.example/debian", "trixie", ("main",)),
        Source("http://m.example/debian", "trixie-updates", ("main",)),
        Source("http://m.example/debian-security", "trixie-security", ("main",)),
    ]
    own = Source("http://own.example/debian", "trixie", ("main",))
    assert choose(trixie, [*HOST, own], None, Distribution("debian", "bookworm")) == [own]
    with pytest.raises(HostError, match="no mirror for trixie"):
        choose(trixie, HOST, None, Distribution("ubuntu", "bookworm"))


@pytest.mark.parametrize("alias", ["stable", "oldstable", "testing"])
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_a_host_that_names_no_version_has_mirrors_that_carry_it(
    bookworm: BoxDefinition, alias: str, suite: str
) -> None:
    archives = (suite, f"{suite}-updates", f"{suite}-security")
    wanted = bookworm.model_copy(update={"suite": suite, "archives": archives, "keyring": "debian-archive-keyring.gpg"})
    host = [
        Source("http://m.example/debian", alias, ("main",)),
        Source("http://m.example/debian", f"{alias}-updates", ("main",)),
        Source("http://m.example/debian-security", f"{alias}-security", ("main",)),
    ]
    assert [(s.uri, s.suite) for s in choose(wanted, host, None, Distribution("debian", "bookworm"))] == [
        ("http://m.example/debian", suite),
        ("http://m.example/debian", f"{suite}-updates"),
        ("http://m.example/debian-security", f"{suite}-security"),
    ]


def test_security_updates_are_looked_for_beside_the_mirror_and_where_the_host_has_them(
    bookworm: BoxDefinition,
) -> None:
    assert security_candidates(bookworm, HOST, "http://near.example/debian") == [
        Source("http://near.example/debian-security", "bookworm-security", ("main",)),
        Source("http://m.example/debian-security", "bookworm-security", ("main",)),
    ]
    snapshot = security_candidates(bookworm, [], "http://s.example/archive/debian/20260101T000000Z")
    assert [s.uri for s in snapshot] == ["http://s.example/archive/debian-security/20260101T000000Z"]
    assert security_candidates(bookworm, [], "http://near.example/mirror") == []
    without = bookworm.model_copy(update={"archives": ("bookworm",)})
    assert security_candidates(without, HOST, "http://near.example/debian") == []


def test_what_the_host_is(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    assert host_distribution(file) == Distribution("", "")
    file.write_text('PRETTY_NAME="Debian GNU/Linux"\nVERSION_CODENAME=bookworm\nID=debian\nVERSION_ID="12"\n')
    assert host_distribution(file) == Distribution("debian", "bookworm")


def test_a_source_line_names_its_keyring() -> None:
    line = Source("http://m.example/debian", "bookworm", ("main",)).line(Path("/k.gpg"), "amd64")
    assert line == "deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bookworm main"


def test_a_missing_keyring_is_told(bookworm: BoxDefinition, tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"test\.gpg is missing"):
        keyring_of(bookworm, tmp_path)
    (tmp_path / "test.gpg").touch()
    assert keyring_of(bookworm, tmp_path) == tmp_path / "test.gpg"
