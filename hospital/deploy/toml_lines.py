"""On which line of a TOML file a key stands: the parser of the standard library does not tell.

Rule: a guess that is wrong costs a wrong number in a message, so this stays small.
"""

import re

_HEADER = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_PART = r"(?:\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+)"
_KEY = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")
_PARTS = re.compile(_PART)
_QUOTES = re.compile(r'"""|\'\'\'')

Path = tuple[str, ...]


def lines_of(text: str) -> dict[Path, int]:
    r"""Return the line of each table and key in *text*, from 1, by the path of its names.

    >>> lines_of('name = "x"\n[web]\nport = 1')
    {('name',): 1, ('web',): 2, ('web', 'port'): 3}
    """
    found: dict[Path, int] = {}
    table: Path = ()
    closing = ""  # the quotes that end a string of several lines
    for number, line in enumerate(text.split("\n"), 1):
        was_inside = bool(closing)
        for quotes in _QUOTES.findall(line):
            closing = quotes if not closing else "" if closing == quotes else closing
        if was_inside:
            continue
        header, key = _HEADER.match(line), _KEY.match(line)
        if header:
            table = _names(header[1])
            path = table
        elif key:
            path = (*table, *_names(key[1]))
        else:
            continue
        for length in range(1, len(path) + 1):
            found.setdefault(path[:length], number)
    return found


def line_of(path: Path, lines: dict[Path, int]) -> int | None:
    """Return the line of *path*, or of the nearest table around it; None if there is none."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def path_on(number: int, text: str) -> Path:
    r"""Return the path of the table or key on line *number* of *text*; empty where there is none.

    >>> path_on(3, '[web]\nport = 1\nport = 2')
    ('web', 'port')
    """
    table: Path = ()
    for line in text.split("\n")[: number - 1]:
        if header := _HEADER.match(line):
            table = _names(header[1])
    line = text.split("\n")[number - 1]
    if header := _HEADER.match(line):
        return _names(header[1])
    key = _KEY.match(line)
    return (*table, *_names(key[1])) if key else ()


def _names(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in _PARTS.findall(dotted))
