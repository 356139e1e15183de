"""The page on the architecture tells the rooms and layers that tests/test_layers.py enforces."""

import re
from pathlib import Path

from tests.test_layers import LAYERS, modules

PAGE = (Path(__file__).parents[1] / "docs/explanation/architecture.md").read_text()


def there(layer: tuple[str, ...]) -> set[str]:
    """Return the rooms of *layer* that there are."""
    return {room for room in layer if room in modules()}


def test_the_page_draws_the_layers() -> None:
    """One a line, with all of their rooms."""
    (drawing,) = re.findall(r"## Layers.*?```text\n(.*?)```", PAGE, re.DOTALL)

    drawn = [set(re.findall(r"[a-z_.]+", line)) - {"with"} for line in drawing.splitlines()]

    assert [there(layer) for layer in LAYERS] == drawn


def test_the_page_tells_what_each_room_does() -> None:
    """A room is named in the table of rooms, alone or with what it is a part of."""
    (rooms,) = re.findall(r"## The rooms\n(.*?)\n## ", PAGE, re.DOTALL)
    told = set(re.findall(r"`([a-z_.]+)`", rooms))

    missing = {
        room
        for layer in LAYERS
        for room in there(layer)
        if room not in told and room.rpartition(".")[2] not in told
    }

    assert set() == missing
