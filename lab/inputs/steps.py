"""A provisioning step's facts, as provision/NN-slug.yaml states them.

One file feeds the script's environment, the packages of the boxes, and the checks of the suite. What the script itself
says in the guide's own form — the option blocks of `crudini --merge FILE <<EOF` — is not repeated here but read from
the script (lab.inputs.blocks).

Values may hold `${NAME}`, where NAME is a variable of the node's environment (docs/environment.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from lab.base.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["controller", "compute"]


class Database(Frozen):
    """A database with the guide's two grants: ALL PRIVILEGES to USER at localhost and at %."""

    name: str
    user: str
    password: str
    """name of the secret, as NOVA_DBPASS"""
    head: str = ""
    """command that prints the schema's version; its output must name the head (empty: not asserted)"""


class QueueUser(Frozen):
    """A RabbitMQ user with full permissions on the virtual host /."""

    name: str
    password: str
    """name of the secret"""


class IdentityUser(Frozen):
    """A service user in the domain default with its roles in the project service."""

    name: str
    password: str
    """name of the secret"""
    roles: tuple[str, ...] = ("admin",)


class IdentityService(Frozen):
    """A catalog entry and its three endpoints (public, internal, admin), all with the same URL."""

    name: str
    type: str
    description: str
    url: str
    made_by: str = ""
    """the command that makes it and its endpoints, if it is not `openstack service create`"""


class ManagedFile(Frozen):
    """A file that the step owns."""

    path: str
    owner: str = "root"
    group: str = "root"
    mode: str = "0644"


class Comes(Frozen):
    """What services make true in their own time: the suite asks again before it calls such a check failed."""

    by: tuple[str, ...] = Field(min_length=1)
    """systemd units of the check's node; where one of them does not run, nobody waits"""
    within: int = Field(gt=0)
    """seconds on a KVM host"""
    at_start: bool = False
    """they do it at their start and never again, as they open a port: `within` counts from the start of the last one.
    Otherwise it counts from when the check was first found wrong, as an agent makes things again at any time"""


class ExtraCheck(Frozen):
    """A check that no other fact implies; `args` are those of its kind (tests/infra, docs/checks.md).

    One that mentions ${LAB_COMPUTE} or ${LAB_COMPUTE_IP} is repeated for each compute node, wherever it runs.
    """

    kind: str
    name: str
    """short, unique in the step: becomes the end of the check's id"""
    args: dict[str, Any] = Field(default_factory=dict)
    command: str = ""
    """what should have made it true, as the guide has it"""
    quick: bool = False
    """cheap enough for the drift check of every `lab up` (no `openstack` command, under 1 s emulated)"""
    comes: Comes | None = None
    """it may become true by itself; None: it is true when the step has ended, and stays so"""
    on: Role | None = None
    """only on nodes of this role; None: on each node of the step"""
    when: str = ""
    """only where there is this capability"""
    unless: str = ""
    """only where there is not"""

    def is_for(self, capabilities: Mapping[str, bool]) -> bool:
        """Tell whether it is for these capabilities."""
        return (not self.when or capabilities[self.when]) and not (self.unless and capabilities[self.unless])


class Truths(Frozen):
    """What is true of a node after a step."""

    packages: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    """systemd units enabled and running after the step"""
    units_off: tuple[str, ...] = ()
    """units that are neither enabled nor running"""
    sockets: tuple[str, ...] = ()
    """listening after the step, with the bind address, as tcp://${MY_IP}:3306"""
    closed: tuple[int, ...] = ()
    """TCP ports on which nothing listens"""
    databases: tuple[Database, ...] = ()
    queue_users: tuple[QueueUser, ...] = ()
    users: tuple[IdentityUser, ...] = ()
    services: tuple[IdentityService, ...] = ()
    files: tuple[ManagedFile, ...] = ()
    logs: tuple[str, ...] = ()
    """log files that hold no traceback or ERROR since provisioning ended (with the suite's allowlist)"""
    checks: tuple[ExtraCheck, ...] = ()

    @property
    def passwords(self) -> frozenset[str]:
        """Name the secrets of the accounts that are stated here."""
        accounts: tuple[Database | QueueUser | IdentityUser, ...] = (*self.databases, *self.queue_users, *self.users)
        return frozenset(account.password for account in accounts)


class StepFacts(Truths):
    """provision/NN-slug.yaml. The id is the file's name without its ending: 50-compute-controller."""

    title: str
    guide: str
    """the guide's section, as 'Compute service: Install and configure controller node'"""
    url: str = ""
    """of that section; {series} in it is the release's name on docs.openstack.org"""
    on: tuple[Role, ...]
    needs: tuple[str, ...] = ()
    """ids of steps that are done, on every node they run on, before this one starts"""
    awaits: tuple[str, ...] = ()
    """ids of steps whose end the script itself waits for (`wait_for_step`), half way: those start before"""
    seconds: int = Field(gt=0)
    """expected on the reference machine (2 cores, emulated)"""
    when: dict[str, Truths] = {}
    """by capability: what is stated instead where it is there; a key given here replaces the step's own"""

    def of(self, capabilities: Mapping[str, bool]) -> StepFacts:
        """Give the facts as they are for these capabilities; what is in `when` later wins."""
        facts = self
        for name, truths in self.when.items():
            if capabilities[name]:
                facts = facts.model_copy(update={key: getattr(truths, key) for key in truths.model_fields_set})
        checks = tuple(check for check in facts.checks if check.is_for(capabilities))
        return facts.model_copy(update={"when": {}, "checks": checks})
