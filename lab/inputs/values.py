"""The values of a spec: sizes, networks, names, passwords, with the words that refuse a wrong one."""

from __future__ import annotations

import re
import unicodedata
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, Strict, WithJsonSchema
from pydantic_core import PydanticCustomError

from lab.inputs.document import kind_of

NAME_PATTERN = r"^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$"
"""of a lab: becomes part of host names (RFC 1123), libvirt domains and networks. In the schema `$` is the text's end;
Python's `$` lets a line break follow, so that here every pattern is compared by fullmatch"""
PASSWORD_PATTERN = r"^[A-Za-z0-9._~-]{8,64}$"
"""of a password: it is written unescaped into SQL, URLs and ini files, as in the guide"""
PRIVATE_RANGES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15")
"""RFC 1918, RFC 6598 and RFC 2544"""
DOCUMENTATION_RANGES = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
"""RFC 5737; the guide's provider network is one of them"""
_ALLOWED_NETWORKS = [IPv4Network(cidr) for cidr in (*PRIVATE_RANGES, *DOCUMENTATION_RANGES)]

_URL_CHARACTERS = re.compile(r"[!#%&()*+,./0-9:;=?@A-Z\[\]_a-z~-]+")
"""of RFC 3986, without what a shell or a Ruby string reads as its own"""

_MIB = {"MiB": 1, "GiB": 1024, "TiB": 1024 * 1024}
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(MiB|GiB|TiB)")
_SIZE_SCHEMA = r"^[0-9]+(\.[0-9]+)? ?(MiB|GiB|TiB)$"


def wrong(expected: str, hint: str = "", found: str = "") -> PydanticCustomError:
    """Make a problem of a value in the words of the spec's reader; found: instead of the value itself."""
    return PydanticCustomError("spec", "{expected}", {"expected": expected, "hint": hint, "found": found})


def parse_size_mib(value: object) -> int:
    """Give the MiB of a size as '5 GiB' or '6144 MiB'."""
    expected = "a size as '5 GiB' or '5120 MiB'"
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise wrong(expected, "a number needs its unit: MiB or GiB")
    if not isinstance(value, str):
        raise wrong(expected)
    match = _SIZE.fullmatch(value.strip())
    if not match:
        raise wrong(expected, _unit_hint(value.strip()))
    mib = float(match[1]) * _MIB[match[2]]
    if mib != int(mib):
        raise wrong("a whole number of MiB")
    return int(mib)


def _unit_hint(value: str) -> str:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", value)
    if not match:
        return ""
    number, unit = match.groups()
    if not unit:
        return "a number needs its unit: MiB or GiB"
    if unit.upper() in ("B", "K", "KB", "KIB"):
        return "write it in MiB or GiB"
    meant = {"M": "MiB", "G": "GiB", "T": "TiB"}.get(unit[0].upper())
    if not meant:
        return "the units are MiB and GiB"
    return f"units are powers of 1024 and written so: '{number} {meant}'"


def _size(low_mib: int, high_mib: int, why: str) -> Any:
    def check(mib: int) -> int:
        if mib < low_mib:
            raise wrong(f"at least {size_text(low_mib)}", why)
        if mib > high_mib:
            raise wrong(f"at most {size_text(high_mib)}")
        return mib

    return check


def size_text(mib: int) -> str:
    """Write a size as the spec has it: '5 GiB', '3.5 GiB', '6400 MiB'."""
    if mib % (1024 * 1024) == 0:
        return f"{mib // (1024 * 1024)} TiB"
    return f"{mib / 1024:g} GiB" if mib % 512 == 0 else f"{mib} MiB"


def _whole_gib(mib: int) -> int:
    if mib % 1024:
        raise wrong("a whole number of GiB")
    return mib // 1024


_SCHEMA = WithJsonSchema({"type": "string", "pattern": _SIZE_SCHEMA, "examples": ["5 GiB", "6144 MiB"]})
ControllerMemoryMib = Annotated[
    int,
    AfterValidator(_size(3072, 1024 * 1024, "the controller's services need about 2.4 GiB")),
    BeforeValidator(parse_size_mib),
    PlainSerializer(size_text, when_used="json"),
    _SCHEMA,
]
ComputeMemoryMib = Annotated[
    int,
    AfterValidator(_size(1024, 1024 * 1024, "a compute node needs about 0.7 GiB, and its instances need more")),
    BeforeValidator(parse_size_mib),
    PlainSerializer(size_text, when_used="json"),
    _SCHEMA,
]
BOX_DISK_GIB = 20
"""virtual size of the disks of the boxes that `lab box build` makes: no node has less, and most have no more"""
_DISK_HINT = f"the boxes' disks have {BOX_DISK_GIB} GiB; a file holds only what is written"
DiskGib = Annotated[
    int,
    AfterValidator(_size(BOX_DISK_GIB * 1024, 2048 * 1024, _DISK_HINT)),
    AfterValidator(_whole_gib),
    BeforeValidator(parse_size_mib),
    PlainSerializer(lambda gib: f"{gib} GiB", when_used="json"),
    _SCHEMA,
]


def parse_network(value: object) -> IPv4Network:
    """Give the network of a CIDR: private or for documentation, /16 to /28."""
    expected = "an IPv4 network as 10.0.0.0/24"
    if isinstance(value, IPv4Network):
        return value
    if not isinstance(value, str):
        raise wrong(expected)
    if ":" in value:
        raise wrong(expected, "the lab's networks are IPv4, as the guide's")
    if "/" not in value:
        raise wrong(expected, "the length of the prefix is missing, as /24")
    try:
        network = IPv4Network(value, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        raise wrong(expected) from None
    if str(network) != value:
        raise wrong("the address of the network itself", f"did you mean `{network}`?")
    if not 16 <= network.prefixlen <= 28:
        raise wrong("a prefix from /16 to /28")
    if not any(network.subnet_of(allowed) for allowed in _ALLOWED_NETWORKS):
        raise wrong(
            "a private network or one for documentation",
            "one inside 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 203.0.113.0/24: "
            "other ranges are public; the lab would cut this host off from their owners",
        )
    return network


def parse_pool(value: object) -> tuple[IPv4Address, IPv4Address]:
    """Give first and last address of a pool as 203.0.113.101-203.0.113.250."""
    expected = "first and last address as 203.0.113.101-203.0.113.250"
    if not isinstance(value, str):
        raise wrong(expected)
    first, _, last = value.partition("-")
    try:
        pool = IPv4Address(first.strip()), IPv4Address(last.strip())
    except AddressValueError:
        raise wrong(expected) from None
    if pool[0] > pool[1]:
        raise wrong("the first address before the last", f"did you mean `{pool[1]}-{pool[0]}`?")
    return pool


Cidr = Annotated[
    IPv4Network,
    BeforeValidator(parse_network),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+){3}/\d+$", "examples": ["10.0.0.0/24"]}),
]
Pool = Annotated[
    tuple[IPv4Address, IPv4Address],
    BeforeValidator(parse_pool),
    PlainSerializer(lambda pool: f"{pool[0]}-{pool[1]}", when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\d+(\.\d+){3} ?- ?\d+(\.\d+){3}$",
            "examples": ["203.0.113.101-203.0.113.250"],
        }
    ),
]


def _host_safe(name: str) -> str:
    if re.fullmatch(NAME_PATTERN, name):
        return name
    if len(name) > 20:
        raise wrong("at most 20 characters", "it is part of host, domain and network names")
    safe = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    safe = re.sub(r"^[^a-z]+", "", safe)[:20].rstrip("-")
    hint = _look_alike(name) or (f"did you mean `{safe}`?" if safe else "")
    raise wrong("a name of a-z, 0-9 and -, beginning with a letter and not ending with -", hint)


def _look_alike(text: str) -> str:
    """Name the first letter of another alphabet: a reader cannot see that it is not the one that it looks like."""
    for char in text:
        if not char.isascii() and char.isprintable():
            return f"`{char}` is U+{ord(char):04X}, {unicodedata.name(char, 'a sign without a name').lower()}"
    return ""


def _mirror(url: str) -> str:
    expected = "a URL as http://deb.example/debian"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise wrong(expected) from None
    if parts.username or parts.password:
        found = "a URL with a user or a password"
        raise wrong("a URL without user and password", "apt's auth.conf.d is the place for them", found=found)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _URL_CHARACTERS.fullmatch(url):
        raise wrong(expected, _look_alike(url))
    return url.rstrip("/")


def _box_url(url: str) -> str:
    if url.startswith("/") and url.isprintable() and len(url) > 1:
        return Path(url).as_uri()
    if not re.match(r"https?://.|file:///.", url) or not _URL_CHARACTERS.fullmatch(url):
        raise wrong("a URL, or the complete path of a file, as /srv/boxes/ubuntu1604.box", _look_alike(url))
    return url


def _checksum(text: str) -> str:
    digits = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise wrong("64 hexadecimal digits: what sha256sum prints of the file")
    return digits


def _password(value: object) -> str:
    """Check a password. No message of it may hold the value."""
    expected = "8 to 64 characters of A-Z a-z 0-9 . _ ~ -"
    if not isinstance(value, str):
        raise wrong(expected, "put it in quotes" if isinstance(value, int | float) else "", found=kind_of(value))
    if not re.fullmatch(PASSWORD_PATTERN, value):
        length = len(value)
        found = f"{length} characters" if not 8 <= length <= 64 else _odd_character(value)
        raise wrong(expected, "it is written unescaped into SQL, URLs and ini files, as in the guide", found=found)
    return value


def _odd_character(value: str) -> str:
    """Tell of what kind the wrong character is, never which one: it is a part of a password."""
    if value.rstrip("\r\n") != value:
        return "a line break at the end"
    if not value.isprintable():
        return "a control character"
    return "a character that is not among these" if value.isascii() else "a letter of another alphabet"


Password = Annotated[str, BeforeValidator(_password), WithJsonSchema({"type": "string", "pattern": PASSWORD_PATTERN})]
Cpus = Annotated[int, Strict(), Field(ge=1, le=64)]
Name = Annotated[str, AfterValidator(_host_safe)]
Mirror = Annotated[str, AfterValidator(_mirror)]
BoxUrl = Annotated[str, AfterValidator(_box_url)]
Checksum = Annotated[str, AfterValidator(_checksum)]
