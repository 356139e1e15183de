"""Find out which checks a requirement means."""

from collections.abc import Iterable, Iterator

from hospital.entries import Entry


class KnownIds:
    """The ids that are known, to be asked by id and by what holds them.

    >>> known = KnownIds(["shop.db.up", "shop.db.fresh"])
    >>> known.matching("shop.db")
    ['shop.db.up', 'shop.db.fresh']
    >>> known.matching("shop.db.up")
    ['shop.db.up']
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._exact: set[str] = set()
        self._beneath: dict[str, list[str]] = {}
        for id_ in ids:
            self.add(id_)

    def add(self, id_: str, *more: str) -> None:
        """Take an id, and other names that mean it."""
        if id_ in self._exact:
            return
        self._exact.add(id_)
        for name in more:
            if name != id_:
                self._beneath.setdefault(name, []).append(id_)
        prefix = id_
        while "." in prefix:
            prefix = prefix.rpartition(".")[0]
            self._beneath.setdefault(prefix, []).append(id_)

    def matching(self, name: str, but: str = "") -> list[str]:
        """Return the id *name*, or the ids of what it holds, that of the check *but* left out."""
        if name in self._exact:
            return [name]
        return [id_ for id_ in self._beneath.get(name, ()) if id_ != but]


def also_called(entry: Entry) -> Iterator[str]:
    """Yield the names that ``requires=`` writes for a function or a class given as itself."""
    value = entry.function if entry.case is None else entry.case
    module, qualified = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not module or not qualified:
        return
    if entry.case is None:
        yield f"{module}.{qualified}"
    elif not entry.check.id.startswith(f"{module}.{qualified}."):
        yield f"{module}.{qualified}"
        yield f"{module}.{qualified}.{entry.check.id.rpartition('.')[2]}"


def candidates(name: str, entry: Entry) -> list[str]:
    """Return the full names that the requirement *name* of *entry* may mean, the best first.

    Of an inherited method that of the class itself; else the name as it is; else the name in
    the same class, module, package. A name without a dot is looked for nearby only.
    """
    found = []
    scope = entry.check.id
    if entry.case is not None:
        own = scope.rpartition(".")[0]
        for base in entry.case.__mro__:
            prefix = f"{base.__module__}.{base.__qualname__}."
            if name.startswith(prefix):
                found.append(f"{own}.{name.removeprefix(prefix)}")
    if "." in name:
        found.append(name)
    while "." in scope:
        scope = scope.rpartition(".")[0]
        found.append(f"{scope}.{name}")
    return [*dict.fromkeys(found)]


def ids_for(name: str, entry: Entry, known: KnownIds) -> list[str]:
    """Return the ids that the requirement *name* of *entry* means; none if none is known."""
    for candidate in candidates(name, entry):
        ids = known.matching(candidate, but=entry.check.id)
        if ids:
            return ids
    return []
