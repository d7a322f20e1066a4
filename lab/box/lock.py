"""`make lock-virtualenvs R=NAME`: writes the checksums of boxes/NAME/requirements/*.txt, with what pip downloads now.

The versions are the maintainer's: each file has the name and the version of all that its virtualenv has, as
`pip freeze` prints them. A line that has checksums keeps them.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base.errors import LabError, MachineError
from lab.box import store
from lab.box.build import sources_for
from lab.box.definition import load_definition
from lab.box.intact import facts_of
from lab.box.pool import Pool
from lab.box.tools import Tools
from lab.box.virtualenvs import Workshop
from lab.inputs.virtualenvs import Pin, load_recipe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.box.make import BoxEvent


def pin_of(pin: Pin, downloads: Iterable[Path]) -> Pin:
    """Give the pin with the checksum of the download that is of its version; MachineError where there is none."""
    found = frozenset(facts_of(file).sha256 for file in downloads if _is_of(file.name, pin))
    if not found:
        raise MachineError(f"pip downloaded nothing that is {pin.name}=={pin.version}")
    return Pin(pin.name, pin.version, found)


def _is_of(file: str, pin: Pin) -> bool:
    match = re.fullmatch(rf"{re.sub('[-_.]+', '[-_.]+', pin.name)}-(?P<rest>[0-9].*)", file, re.IGNORECASE)
    if match is None:
        return False
    rest = match["rest"].split("-")[0] if file.endswith(".whl") else re.sub(r"\.(tar\.\w+|zip)\Z", "", match["rest"])
    return rest in (pin.version, pin.version.replace(".post", "-"))  # how older sources write the second


def lock(name: str, cache: Path) -> None:
    """Write the checksums that the requirements of boxes/NAME lack."""
    recipe = load_recipe(name)
    definition = load_definition(recipe.table.suite)
    log = cache / "logs" / f"lock-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    pool = Pool(cache / "apt" / definition.suite, definition, sources_for(definition, None, _say), log)
    with tempfile.TemporaryDirectory(dir=cache, prefix="lock-") as directory:
        scratch = Path(directory)
        workshop = Workshop(recipe, scratch, log, Tools(), _say)

        def write(part: str) -> None:
            files = sorted(workshop.downloads.iterdir())
            pins = [pin if pin.hashes else pin_of(pin, files) for pin in recipe.pins(part, locked=False)]
            text = "".join(f"{pin.line}\n" for pin in pins)
            (recipe.directory / "requirements" / f"{part}.txt").write_text(text, encoding="utf-8")

        workshop.fetch_bootstrap()
        write("bootstrap")
        tree = workshop.bootstrap(pool, definition, scratch)
        for part in recipe.table.virtualenvs:
            workshop.fetch(part, tree, scratch / "work", locked=False)
            write(part)


def _say(event: BoxEvent) -> None:
    print(event.text)


if __name__ == "__main__":
    try:
        lock(sys.argv[1], store.cache_directory())
    except LabError as error:
        sys.exit(str(error))
