"""What the keys of a site may hold: from the text that somebody wrote to the text that is rendered.

Rule: what circusd would read differently from how it is written is refused here, with the reason.
``readback`` finds what this module overlooks.
"""

import re
from collections.abc import Callable

from hospital.durations import parse_duration
from hospital.errors import SettingError

Reader = Callable[[str, str], str]
"""Takes what the key is called and what was written; returns what is rendered."""

SHOWN = 80
LONGEST = 32_768  # far below what a process may get as one variable
LONGEST_SOCKET_PATH = 107  # bytes; sun_path of unix(7) without its NUL
_HIGHEST_PORT = 65_535
_LONGEST_HOST = 253
_MOST_PROCESSES = 512
_MOST_FILES = 1000
_LEAST_LOG_BYTES = 65_536  # a line may have so many
_MOST_LOG_BYTES = 10**12
_MOST_DRAIN_S = 3600

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_LONGEST_NAME = 40
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PATH = re.compile(r"/[\w.+@,=/-]*")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_SIZE = re.compile(r"([0-9]{1,15})\s?(B|[KMG]i?B)?")
_MODE = re.compile(r"0?[0-7]{3}")
_UNITS = {
    None: 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_EXPANDED = re.compile(r"\$[A-Z]")  # circus.util.parse_env_dict


def plain(name: str, text: str) -> str:
    """Return *text* if circusd reads it as it is written, as the value of a variable.

    Raises:
        SettingError: If it does not.

    >>> plain("environment.COLOUR", "red; or #00f, 100 %")
    'red; or #00f, 100 %'
    """
    fault = _fault_of(text)
    if fault:
        raise SettingError(f"{name} cannot stand in a configuration of circusd:", *fault)
    return text


def secret(name: str, text: str) -> str:
    """Return *text* as ``plain`` does; the error does not show it."""
    fault = _fault_of(text)
    if fault:
        what = f"{name} cannot stand in a configuration of circusd (its value is not shown)"
        raise SettingError(what, "", fault[1])
    return text


def _fault_of(text: str) -> tuple[str, str] | None:
    """Return what is wrong with *text*, as value and remedy."""
    remedy = next((remedy for is_wrong, remedy in _FAULTS if is_wrong(text)), None)
    return (repr(text)[:SHOWN], remedy) if remedy else None


_FAULTS: tuple[tuple[Callable[[str], object], str], ...] = (
    (
        lambda text: not text.isprintable(),
        "leave out line ends, tabs and other characters that cannot be printed",
    ),
    (
        lambda text: text != text.strip(),
        "leave out the spaces around it: circusd takes them away",
    ),
    (
        lambda text: " ;" in text,
        "leave out the ';' after a space: for circusd a comment begins there",
    ),
    (
        _EXPANDED.search,
        "leave out the '$' before a capital letter: circusd puts a variable there",
    ),
    (lambda text: text == '""', "write nothing for an empty value"),
    (lambda text: len(text.encode()) > LONGEST, f"write {LONGEST} bytes at most"),
)


def variable(name: str, text: str) -> str:
    """Return *text* if it can be the name of a variable: letters, digits and underscores."""
    if not _VARIABLE.fullmatch(text) or text.lower() in {"rem", "__name__"}:
        remedy = "write letters, digits and underscores; circusd takes REM for a comment"
        raise SettingError(f"{name} is no name of a variable:", repr(text)[:SHOWN], remedy)
    return text


def prefix(name: str, text: str) -> str:
    """Return *text* if names of watchers can begin with it."""
    if not _NAME.fullmatch(text) or len(text) > _LONGEST_NAME:
        remedy = f"write lower case letters, digits and single '-', {_LONGEST_NAME} at most"
        raise SettingError(f"{name} is no name:", repr(text)[:SHOWN], remedy)
    return text


def account(name: str, text: str) -> str:
    """Return *text* if it can be the name of a user or a group."""
    if not _ACCOUNT.fullmatch(text) or len(text) > _LONGEST_NAME:
        remedy = "write a name as it stands in /etc/passwd or /etc/group"
        raise SettingError(f"{name} is no account:", repr(text)[:SHOWN], remedy)
    return text


def absolute_path(name: str, text: str) -> str:
    """Return *text* if it is an absolute path that circusd hands on as it is.

    Circus writes paths into command lines without quotes, and looks for included files with a
    pattern: so there are neither spaces in them nor characters that a shell or a pattern reads.
    """
    if not text.startswith("/"):
        raise SettingError(f"{name} is no absolute path:", repr(text)[:SHOWN], "begin it with /")
    if not _PATH.fullmatch(text) or len(text) > 1024 or ".." in text.split("/"):  # noqa: PLR2004 - far below PATH_MAX
        remedy = (
            "write letters, digits and . _ + @ , = - between slashes, without '..': circusd "
            "hands paths on without quotes"
        )
        raise SettingError(f"{name} cannot be handed on by circusd:", repr(text)[:SHOWN], remedy)
    return re.sub("/+", "/", text).rstrip("/") or "/"


def socket_path(name: str, text: str) -> str:
    """Return *text* if a unix socket can be bound there."""
    path = absolute_path(name, text)
    if len(path.encode()) > LONGEST_SOCKET_PATH:
        remedy = f"write one of {LONGEST_SOCKET_PATH} bytes at most: a unix socket takes no more"
        raise SettingError(f"{name} is too long for a socket:", repr(text)[:SHOWN], remedy)
    return path


def search_path(name: str, text: str) -> str:
    """Return *text* if it is a PATH of absolute folders."""
    try:
        return ":".join(absolute_path(name, each) for each in text.split(":"))
    except SettingError:
        remedy = "write absolute folders with ':' between them"
        raise SettingError(f"{name} is no PATH:", repr(text)[:SHOWN], remedy) from None


def host(name: str, text: str) -> str:
    """Return *text* if it is an address or the name of a host."""
    import ipaddress

    try:
        if ipaddress.ip_address(text).version == 4 or "%" not in text:  # noqa: PLR2004 - IPv4
            return text
    except ValueError:
        if _HOST.fullmatch(text) and len(text) <= _LONGEST_HOST and not text[-1].isdigit():
            return text
    remedy = "write 127.0.0.1, 0.0.0.0, ::1 or the name of a host"
    raise SettingError(f"{name} is no address:", repr(text)[:SHOWN], remedy)


def whole_number(least: int, most: int) -> Reader:
    """Return a reader of whole numbers from *least* to *most*."""

    def read(name: str, text: str) -> str:
        if not (text.isascii() and text.isdigit() and least <= int(text[:15]) <= most):
            remedy = f"write {least} to {most}"
            raise SettingError(f"{name} is no number that fits:", repr(text)[:SHOWN], remedy)
        return str(int(text))

    return read


port = whole_number(1, _HIGHEST_PORT)
processes = whole_number(1, _MOST_PROCESSES)
files = whole_number(1, _MOST_FILES)


def whole_seconds(name: str, text: str) -> str:
    """Return *text*, a duration, in seconds: chaussette takes whole ones."""
    seconds = parse_duration(text, name)
    if seconds != int(seconds) or seconds > _MOST_DRAIN_S:
        remedy = f"write 1 to {_MOST_DRAIN_S} whole seconds"
        raise SettingError(f"{name} is no number that fits:", repr(text)[:SHOWN], remedy)
    return str(int(seconds))


def size(name: str, text: str) -> str:
    """Return *text*, a size such as ``10 MB``, in bytes; 0 stands for no limit.

    >>> size("log.max_size", "10 MB"), size("log.max_size", "64KiB"), size("log.max_size", "0")
    ('10000000', '65536', '0')
    """
    match = _SIZE.fullmatch(text)
    size_bytes = int(match[1]) * _UNITS[match[2]] if match and text.isascii() else -1
    if size_bytes and not _LEAST_LOG_BYTES <= size_bytes <= _MOST_LOG_BYTES:
        remedy = "write 64 KiB or more: 500 KB, 10 MB, 1 GB, 64 KiB; or 0 for never"
        raise SettingError(f"{name} is no size that fits:", repr(text)[:SHOWN], remedy)
    return str(size_bytes)


def mode(name: str, text: str) -> str:
    """Return *text* if it is the mode of a socket that its owner can use, in three digits."""
    if not (text.isascii() and _MODE.fullmatch(text) and int(text, 8) & 0o600 == 0o600):  # noqa: PLR2004 - rw for its owner
        remedy = "write three octal digits, 600 at least: 0660, 0666"
        raise SettingError(f"{name} is no mode of a socket:", repr(text)[:SHOWN], remedy)
    return f"{int(text, 8):04o}"


def names(name: str, text: str) -> str:
    """Return *text*, names of checks, with one space between them."""
    words = plain(name, text.strip(" ")).split()
    if not words:
        remedy = "write dotted names, files or folders, with spaces between them"
        raise SettingError(f"{name} names no health checks:", repr(text)[:SHOWN], remedy)
    return " ".join(words)
