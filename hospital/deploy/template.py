"""The little language of the templates.

- ``@{name}`` stands for a value.
- ``@when name`` on a line of its own begins lines that stand only where the value is there,
  ``@unless name`` lines that stand only where it is not; ``@end`` ends them. They do not nest.

Rule: a name that has no value is a fault of ours, and raises.
"""

import re
from collections.abc import Iterator, Mapping

_VALUE = re.compile(r"@\{(\w+)\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    r"""Return *template* with *values* in it.

    Raises:
        KeyError: If the template names a value that is not among them.

    >>> fill("@when port\nport = @{port}\n@end\n@unless port\npath = x\n@end\n", {"port": "1"})
    'port = 1\n'
    """
    return "".join(
        _VALUE.sub(lambda match: values[match[1]], line) for line in _standing(template, values)
    )


def _standing(template: str, values: Mapping[str, str]) -> Iterator[str]:
    stands = True
    for line in template.splitlines(keepends=True):
        word, _, name = line.strip().partition(" ")
        if word == "@when":
            stands = bool(values[name])
        elif word == "@unless":
            stands = not values[name]
        elif word == "@end":
            stands = True
        elif stands:
            yield line
