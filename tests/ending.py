"""How the programs of the tests end, such as `make test-faults`, `test-golden`, `test-exercises` and `bench`."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from lab.base.errors import INTERRUPTED, LabError

if TYPE_CHECKING:
    from collections.abc import Callable


def run_to_the_end(name: str, main: Callable[[], int]) -> NoReturn:
    """Run a program, and exit with its code. A LabError and Ctrl-C become one message, after what it does at its end.

    SIGTERM ends it as Ctrl-C does: what it made would stay otherwise. So does SIGINT in the background, where a shell
    starts a program so that it ignores this signal.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    try:
        code = main()
    except LabError as error:
        print(f"{name}: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)
