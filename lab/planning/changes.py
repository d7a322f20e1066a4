"""What today's plan changes about the existing lab: nodes that come or leave, what needs other machines. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.base.errors import UsageError
from lab.planning.plan import SLOW_WHEN_EMULATED

if TYPE_CHECKING:
    from lab.planning.plan import Node, Plan


@dataclass(frozen=True)
class Change:
    """From the existing lab's plan to that of today."""

    added: tuple[str, ...] = ()
    """nodes that are new"""
    removed: tuple[str, ...] = ()
    """nodes that leave"""
    rebuild: tuple[str, ...] = ()
    """differences that existing machines cannot follow, as "controller.memory_mib: 5120 -> 6144" """

    def lines(self) -> list[str]:
        """Tell it, a line each."""
        return [
            *(f"node {name}: added" for name in self.added),
            *(f"node {name}: removed" for name in self.removed),
            *self.rebuild,
        ]

    def refuse_rebuild(self) -> None:
        """Refuse what needs other machines or networks than the existing ones.

        Raises:
            UsageError: with what differs.
        """
        if self.rebuild:
            raise UsageError(
                "the existing lab was created from another plan",
                detail="\n".join(self.rebuild),
                hint="`lab up --recreate` removes it, with everything in it, and creates the new one",
            )


def compare(old: Plan | None, new: Plan) -> Change:
    """Compare the existing lab's plan, if there is one, with that of today."""
    if old is None:
        return Change()
    before = {node.name: node for node in old.nodes}
    after = {node.name: node for node in new.nodes}
    kept = [(before[name], after[name]) for name in before if name in after]
    pairs = [
        ("name", old.name, new.name),
        ("release", old.release, new.release),
        ("box flavour", old.flavour, new.flavour),
        ("accelerator", old.accelerator, new.accelerator),
        *((f"network {a.kind}", str(a.cidr), str(b.cidr)) for a, b in zip(old.networks, new.networks, strict=True)),
        *(
            (f"{a.name}.{field}", getattr(a, field), getattr(b, field))
            for a, b in kept
            for field in ("cpus", "memory_mib", "disk_gib", "nested", "box")
        ),
        *((f"{a.name}.cpu_without", _missed(a), _missed(b)) for a, b in kept),
    ]
    return Change(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        rebuild=tuple(f"{what}: {a} -> {b}" for what, a, b in pairs if a != b),
    )


def _missed(node: Node) -> tuple[str, ...]:
    """Name the features that a machine lacks, but for those that it is only faster without."""
    return tuple(name for name in node.cpu_without if name not in SLOW_WHEN_EMULATED)
