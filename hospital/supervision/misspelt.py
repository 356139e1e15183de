"""What in a Circus configuration Circus does not know, and passes over without a word."""

from collections.abc import Collection, Iterator
from fnmatch import fnmatch

from hospital.errors import did_you_mean
from hospital.supervision import known_options as known
from hospital.supervision.configuration import Configuration, Option


def misspelt(configuration: Configuration) -> Iterator[str]:
    """Yield a line for each section and option that has no effect, with what may be meant."""
    watchers = [watcher["name"] for watcher in configuration.watchers]
    first: dict[tuple[str, str], Option] = {}
    for section, file in configuration.files.items():
        yield from _section_faults(section, file, watchers)
    for option in configuration.options:
        before = first.setdefault((option.section, option.name), option)
        where = f"{option.file}:{option.line}"
        if before is not option:
            yield (
                f"{where}: {option.name} in [{option.section}] has no effect; it stands in "
                f"{before.file}:{before.line} already, and the first one counts"
            )
        elif (names := _names(option)) is not None:
            hint = did_you_mean(option.name, names) or "Circus passes over it"
            yield f"{where}: unknown option {option.name!r} in [{option.section}]; {hint}"


def _section_faults(section: str, file: str, watchers: Collection[str]) -> Iterator[str]:
    if section.startswith("env:"):
        for pattern in section.removeprefix("env:").split(","):
            if not any(fnmatch(watcher, pattern.strip()) for watcher in watchers):
                hint = did_you_mean(pattern.strip(), watchers) or "name a watcher, or a pattern"
                yield f"{file}: [{section}] is for no watcher; {hint}"
    elif section not in known.SECTIONS and not section.startswith(known.KINDS):
        kind, colon, _ = section.partition(":")
        kinds = [each.rstrip(":") for each in known.KINDS] if colon else known.SECTIONS
        yield f"{file}: unknown section [{section}]; {did_you_mean(kind, kinds) or 'remove it'}"


def _names(option: Option) -> Collection[str] | None:
    """Return the names that *option* may be meant for; None where it is known, or is free."""
    kind = option.section.partition(":")[0]
    names: Collection[str]
    if option.section == "circus":
        names = known.CIRCUS
    elif kind == "socket":
        names = known.SOCKET
    elif kind == "watcher":
        if option.name.startswith((known.RLIMIT, *known.STREAMS)):
            return None
        hooks = {f"{known.HOOK}{name}" for name in known.HOOKS}
        names = hooks if option.name.startswith(known.HOOK) else known.WATCHER | hooks
    else:
        return None  # variables, and options of a plugin, are named by whoever wants them
    return None if option.name in names else names
