"""Look at a program that an agent of neutron has started less and less often while it runs, at last once a second.

An agent starts neutron-rootwrap-daemon, and oslo.rootwrap waits in a thread for its end (client.py). eventlet's `wait`
looks every 10 ms: on an emulated processor that takes an eighth of it, for each agent, for ever.

Python imports a module of this name at its start.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec

NAME = "eventlet.green.subprocess"
LONGEST_S = 1.0


def patch(green: Any) -> None:
    """Replace the wait without a limit of eventlet's Popen."""
    limited = green.Popen.wait

    def wait(self: Any, timeout: float | None = None, check_interval: float = 0.01) -> int:
        if timeout is not None:
            return int(limited(self, timeout, check_interval))
        while (status := self.poll()) is None:
            green.eventlet.sleep(check_interval)
            check_interval = min(2 * check_interval, LONGEST_S)
        return int(status)

    green.Popen.wait = wait


class Finder(importlib.abc.MetaPathFinder):
    """Patches the module when it is imported; a program that does not import it is as it was."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        """Give what Python would import without this, with the change at its end."""
        if name != NAME:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                load(module)
                patch(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Finder())
