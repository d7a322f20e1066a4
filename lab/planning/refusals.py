"""What is refused before anything is made: a lab that does not fit, or that may not be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.base.errors import HostError, UsageError
from lab.planning.hostfit import fit

if TYPE_CHECKING:
    from lab.planning.hostfit import HostNumbers
    from lab.planning.plan import Plan


def require_fit(plan: Plan, host: HostNumbers) -> tuple[str, ...]:
    """Give what of the plan is tight on this host.

    Raises:
        HostError: it does not fit: memory, disk or CPUs.
    """
    result = fit(plan, host)
    if result.problems:
        raise HostError("the lab does not fit on this host", detail="\n".join((*result.warnings, *result.problems)))
    return tuple(result.warnings)


def require_shut(plan: Plan, what: str) -> None:
    """Refuse a way by which a release without security updates would meet another network than the lab's own.

    Args:
        what: the lab would do, as "`lab forward` opens ports of this machine".

    Raises:
        UsageError: the release is such a one.
    """
    if plan.ended:
        raise UsageError(
            f"release {plan.release} has had no security updates since {plan.ended}: "
            f"its labs meet no network but their own, and {what}",
            hint="`lab ssh` reaches its nodes",
        )
