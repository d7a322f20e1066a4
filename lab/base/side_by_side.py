"""The same piece of work for several nodes at the same time, or one beside another."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_T = TypeVar("_T")


def for_all(
    names: Iterable[str], work: Callable[[str], _T], *, on_interrupt: Callable[[], object] = lambda: None
) -> dict[str, _T]:
    """Do the work for all names at once; gives the results by name. A failure is raised when all that began have ended.

    Ctrl-C and SIGTERM call `on_interrupt`, which is to end what the threads wait for: they are waited for first.
    """
    wanted = list(names)
    with ThreadPoolExecutor(max_workers=max(1, len(wanted)), thread_name_prefix="node") as pool:
        try:
            return dict(zip(wanted, pool.map(work, wanted), strict=True))
        except KeyboardInterrupt:
            on_interrupt()
            raise


@contextlib.contextmanager
def beside(work: Callable[[], _T], *, on_error: Callable[[], object]) -> Iterator[Callable[[], _T]]:
    """Do some work while the `with` block runs; both have ended after it.

    The block gets a function that waits for the result, or raises what the work raised. What the block itself raises
    calls `on_error`, which is to end what the work waits for.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="beside") as pool:
        future = pool.submit(work)
        try:
            yield future.result
        except BaseException:
            on_error()
            raise
