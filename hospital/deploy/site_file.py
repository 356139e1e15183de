"""site.toml: what somebody wrote about a machine, with the line of each word.

Rule: whatever the file holds, there is a list of faults and never a traceback.
"""

import os
import re
import stat
from dataclasses import dataclass, field
from typing import Any

from hospital.deploy.keys import FREE_TABLES, KEYS, SECRETS, TABLES
from hospital.deploy.toml_lines import line_of, lines_of, path_on
from hospital.errors import HospitalError, did_you_mean

_LONGEST_BYTES = 1_000_000
_LARGEST_NUMBER = 10**15
_LINE_END = "\n"
_TWICE = re.compile(r"cannot (?:overwrite a value|declare .* twice)", re.IGNORECASE)
_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


@dataclass(slots=True)
class Written:
    """What a site.toml says.

    Attributes:
        values: Text by the path of its key: ``web.port``; only known keys.
        variables: Those of the tables ``environment`` and ``secrets``, by table and name.
        lines: The line of each of these paths.
        faults: What is wrong, each with file and line.
        readable_by_all: Whether others than its owner may read the file.
        name: The file as it was named.
    """

    name: str = ""
    values: dict[str, str] = field(default_factory=dict)
    variables: dict[str, dict[str, str]] = field(default_factory=dict)
    lines: dict[str, int | None] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    readable_by_all: bool = False

    def place(self, path: str) -> str:
        """Return file and line of *path*, for the beginning of a message."""
        line = self.lines.get(path)
        return f"{self.name}:{line}: " if line else f"{self.name}: "


def read_site_file(name: str) -> Written:
    """Return what the file *name* says, and what is wrong with it."""
    import tomllib

    path, name = name, name if name.isprintable() else ascii(name)
    written = Written(name=name)
    text = ""
    try:
        text = _text_of(path, written)
        document = tomllib.loads(text)
    except HospitalError as error:
        written.faults.append(str(error))
        return written
    except RecursionError:
        written.faults.append(f"{name}: is nested too deep; write tables and plain values")
        return written
    except ValueError as error:  # also numbers that are too long
        end = f" (at line {text.count(_LINE_END) + 1}, column 1)"
        message = str(error).replace(" (at end of document)", end)
        written.faults.append(_twice_fault(name, message, text) or _syntax_fault(name, message))
        return written
    _Collector(written, text).collect(document)
    return written


def _syntax_fault(name: str, message: str) -> str:
    place = _PLACE.search(message)
    where = f"{name}:{place[1]}" if place else name
    what = _PLACE.sub("", message)
    what = what[:1].lower() + what[1:]
    return f"{where}: is no TOML: {what[:200]}; write keys as: port = 2014, name = 'shop'"


def _twice_fault(name: str, message: str, text: str) -> str:
    """Return what to say of a key or table that stands there already; empty for other faults."""
    place = _PLACE.search(message)
    if not place or not _TWICE.match(message):
        return ""
    number = int(place[1])
    path = path_on(number, text)
    if not path:
        return ""
    first = lines_of(text).get(path, number)
    what = _quoted(".".join(path))
    also = f", on line {first} too" if first < number else ""
    return f"{name}:{number}: {what} stands twice{also}; remove one"


def _text_of(path: str, written: Written) -> str:
    name = written.name
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            os.close(descriptor)
            raise HospitalError(f"{name}: is no regular file", "", "name a file of TOML")
        written.readable_by_all = bool(mode & 0o077)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            content = file.read(_LONGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = "no file can have this name"
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
        what = f"{name}: cannot be read: {reason.lower()}"
        raise HospitalError(what, "", "name a file that is there with --site") from None
    if len(content) > _LONGEST_BYTES:
        what = f"{name}: is longer than {_LONGEST_BYTES} bytes"
        raise HospitalError(what, "", "a site needs a few lines; name another file with --site")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise HospitalError(f"{name}:{line}: is not UTF-8", "", "save it as UTF-8") from None


class _Collector:
    """Sorts a parsed document into values and faults."""

    def __init__(self, written: Written, text: str) -> None:
        self._written = written
        self._lines = lines_of(text)

    def collect(self, document: dict[str, Any]) -> None:
        for name, value in document.items():
            if name in FREE_TABLES:
                self._free_table(name, value)
            elif name in TABLES:
                self._table(name, value)
            elif name in KEYS:
                self._value((name,), value)
            else:
                known = [*TABLES, *FREE_TABLES, *(path for path in KEYS if "." not in path)]
                tables = [path.partition(".")[0] for path in KEYS if path.endswith(f".{name}")]
                if tables and not isinstance(value, dict):
                    under = " or ".join(f"[{table}]" for table in tables)
                    self._fault((name,), f"unknown key {_quoted(name)}; write it under {under}")
                    continue
                what = "table" if isinstance(value, dict) else "key"
                self._fault((name,), self._unknown(f"unknown {what} {_quoted(name)}", name, known))

    def _table(self, table: str, content: object) -> None:
        if not isinstance(content, dict):
            self._fault((table,), f"{table} is a table; write [{table}] and its keys below it")
            return
        known = [path.partition(".")[2] for path in KEYS if path.startswith(f"{table}.")]
        for name, value in content.items():
            if name in known:
                self._value((table, name), value)
            else:
                what = f"unknown key {_quoted(name)} in [{table}]"
                self._fault((table, name), self._unknown(what, name, known))

    def _free_table(self, table: str, content: object) -> None:
        if not isinstance(content, dict):
            self._fault((table,), f"{table} is a table; write [{table}] and NAME = 'value' below")
            return
        for name, value in content.items():
            self._remember((table, name))
            if isinstance(value, str):
                self._written.variables.setdefault(table, {})[name] = value
            else:
                shown = "" if table == SECRETS else f", not {value!r}"[:80]
                what = f"{table}.{_quoted(name)[1:-1]} takes text{shown}; write it in quotes"
                self._fault((table, name), what)

    def _value(self, path: tuple[str, ...], value: object) -> None:
        dotted = ".".join(path)
        self._remember(path)
        if dotted == "checks.names" and isinstance(value, list):
            self._names(path, value)
        elif isinstance(value, str):
            self._written.values[dotted] = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if abs(value) < _LARGEST_NUMBER:
                self._written.values[dotted] = str(value)
            else:
                self._fault(path, f"{dotted} is too large; write a smaller number")
        else:
            kind = type(value).__name__
            self._fault(path, f"{dotted} takes text or a number, not a {kind}; write it in quotes")

    def _names(self, path: tuple[str, ...], value: list[object]) -> None:
        if all(isinstance(each, str) and each and not re.search(r"\s", each) for each in value):
            self._written.values[".".join(path)] = " ".join(map(str, value))
        else:
            what = "checks.names takes names without white space; write ['shop.checks', './more']"
            self._fault(path, what)

    def _remember(self, path: tuple[str, ...]) -> None:
        self._written.lines[".".join(path)] = line_of(path, self._lines)

    def _fault(self, path: tuple[str, ...], what: str) -> None:
        self._remember(path)
        self._written.faults.append(f"{self._written.place('.'.join(path))}{what}")

    @staticmethod
    def _unknown(what: str, name: str, known: list[str]) -> str:
        hint = did_you_mean(name[:80], known) or f"known are {', '.join(sorted(known))}"
        return f"{what}; {hint}"


def _quoted(name: str) -> str:
    return ascii(name)[:80] if not name.isprintable() else repr(name)[:80]
