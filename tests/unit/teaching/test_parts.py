"""The commands that a script has in a way of its own: each once, in its place, behind a login."""

from __future__ import annotations

import pytest

from lab.teaching.parts import Part, under_headings, with_commands
from lab.teaching.translate import Block

LOOP = Block(
    "rest", "for c in $LAB_COMPUTES; do\n  printf 'compute service set --enable --up %s nova-compute\\n'\ndone"
)
SET = "openstack compute service set --enable --up compute1 nova-compute"
LOGIN = ". /root/admin-openrc"


def told(
    *blocks: Block, commands: tuple[str, ...] = (), heading: str = "Verify"
) -> tuple[list[tuple[str, str]], object]:
    """The kinds and texts of one part, and what is left."""
    (part,), left = with_commands([Part(heading, "", blocks)], commands)
    return [(block.kind, block.text) for block in part.blocks], left


def test_blocks_are_grouped_by_their_headings() -> None:
    blocks = [Block("shell", "a"), Block("heading", "One"), Block("heading", "Two"), Block("prose", "b")]
    assert list(under_headings(blocks)) == [Part("", "", (blocks[0],)), Part("Two", "", (blocks[3],))]


def test_a_command_stands_behind_the_code_that_does_it() -> None:
    after = Block("prose", "Done.")
    blocks, left = told(LOOP, after, commands=(SET, SET))
    assert blocks == [("rest", LOOP.text), ("shell", f"{LOGIN}\n{SET}"), ("prose", "Done.")]
    assert left == ()


def test_several_of_one_place_keep_their_order() -> None:
    code = Block("rest", "add_user a; set_permissions a; list_queues rabbitmqctl")
    blocks, _ = told(code, commands=("rabbitmqctl add_user A_PASS", "rabbitmqctl set_permissions .*"))
    assert blocks[1] == ("shell", "rabbitmqctl add_user A_PASS\nrabbitmqctl set_permissions .*")


@pytest.mark.parametrize(
    ("shell", "command"),
    [
        (
            "ovs-vsctl --may-exist add-br br0 -- --may-exist add-port br0 eth2",
            "ovs-vsctl add-br br0; ovs-vsctl add-port br0 eth2",
        ),
        ("X=y keystone-manage bootstrap --a b --region R", "keystone-manage bootstrap --region R"),
        (
            "openstack endpoint create compute public http://c/%\\(id\\)s",
            "openstack endpoint create compute public http://c/%(id)s",
        ),
        ("id=$(openstack network create --share provider)", "openstack network create provider"),
    ],
)
def test_what_is_told_in_other_words_is_not_told_twice(shell: str, command: str) -> None:
    blocks, left = told(Block("shell", shell), commands=(command,))
    assert command not in [text for _, text in blocks]
    assert left == ()


@pytest.mark.parametrize(
    "command", ["openstack network agent set --enable AGENT", "less /var/log/x", "systemctl restart x"]
)
def test_a_repair_with_a_placeholder_and_what_nobody_types_is_left_out(command: str) -> None:
    assert told(Block("prose", "x"), commands=(command,)) == ([("prose", "x")], ())


def test_a_command_without_a_place_is_left_with_its_login() -> None:
    commands = ("rabbitmqctl add_user openstack RABBIT_PASS", "openstack hypervisor list")
    assert told(Block("prose", "x"), commands=commands)[1] == (commands[0], LOGIN, commands[1])


def test_the_login_is_not_repeated() -> None:
    own = Block("shell", "cd /root\n. admin-openrc\nopenstack token issue")
    blocks, left = told(
        own, Block("prose", "x"), Block("shell", "openstack user list"), commands=("openstack role list",)
    )
    assert [text for _, text in blocks] == [own.text, "x", "openstack user list"]
    assert left == ("openstack role list",)
