"""Assertions about installed distributions."""

import re
import sys
from importlib.metadata import Distribution, PackageMetadata, PackageNotFoundError, distributions
from importlib.metadata import distribution as find_distribution
from typing import cast

from hospital.errors import SettingError, did_you_mean

__unittest = True  # unittest shows the line of the check, not the lines in here

_LEAST_NUMBERS = 2
_MOST_NUMBERS = 3
_MICROS = range(100)
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", re.ASCII)
_CLASSIFIER = re.compile(r"Programming Language :: Python :: (\d+)(\.\d+)?(?: :: Only)?")


def assert_supported_python_version(
    distribution: str | Distribution,
    version: str | tuple[int, ...] | None = None,
    msg: str | None = None,
) -> None:
    """Assert that an installed distribution declares that it supports a Python.

    Two declarations count, and each that is there has to agree: ``Requires-Python``, and the
    classifiers ``Programming Language :: Python :: X.Y``. Where there is neither, a classifier
    ``Programming Language :: Python :: X`` is enough; where there is nothing, nothing is
    supported.

    Args:
        distribution: Name of an installed distribution, or the distribution itself.
        version: ``"3.12"``, ``(3, 12)``, ``"3.12.1"``; the running Python where it is None. Two
            numbers stand for the series: one release of it that is allowed is enough.
        msg: Said after the message of a failure.

    Raises:
        AssertionError: If it does not, or is not installed.
        SettingError: If an argument cannot be used; it is a ValueError.

    >>> assert_supported_python_version("packaging")
    """
    __tracebackhide__ = True
    numbers = _read_version(version)
    found = _find(distribution)
    if isinstance(found, Distribution):
        fault = _version_fault(found, numbers)
    else:
        fault = f"{found}; expected it to support Python {_dotted(numbers)}"
    _raise(fault, msg)


def assert_installed_requirements(distribution: str | Distribution, msg: str | None = None) -> None:
    """Assert that all that a distribution requires is installed, in a version that it allows.

    Environment markers are evaluated; requirements of its extras are left out.

    Args:
        distribution: Name of an installed distribution, or the distribution itself.
        msg: Said after the message of a failure.

    Raises:
        AssertionError: If something is not, or the distribution itself is not installed; all
            faults in one message.
        SettingError: If *distribution* cannot be used; it is a ValueError.

    >>> assert_installed_requirements("packaging")
    """
    __tracebackhide__ = True
    found = _find(distribution)
    if isinstance(found, str):
        _raise(f"{found}; expected it with its requirements", msg)
        return
    faults = [fault for text in found.requires or [] if (fault := _requirement_fault(text))]
    if faults:
        _raise(f"{_label(found)} requires what is not there: {'; '.join(faults)}", msg)


def _raise(fault: str, msg: str | None) -> None:
    __tracebackhide__ = True
    if fault:
        raise AssertionError(fault if msg is None else f"{fault} : {msg}")


def _find(distribution: object) -> Distribution | str:
    """Return the distribution; where it is not installed, a text that says so."""
    if isinstance(distribution, Distribution):
        return distribution
    if not isinstance(distribution, str) or not distribution.strip():
        raise SettingError(
            "distribution is no name of one:", repr(distribution)[:80], "write 'Django'"
        )
    try:
        return find_distribution(distribution)
    except PackageNotFoundError:
        names = {name for each in distributions() if (name := _name(each))}
        lowered = {name.lower(): name for name in names}
        hint = did_you_mean(distribution.lower(), lowered)
        nearest = next((name for low, name in lowered.items() if repr(low) in hint), "")
        hint = f" (did you mean {nearest!r}?)" if nearest else ""
        return f"distribution {distribution!r} is not installed{hint}"


def _name(distribution: Distribution) -> str:
    return next(iter(_fields(distribution, "Name")), "")


def _fields(distribution: Distribution, name: str) -> list[str]:
    # A folder that an interrupted installation left has no metadata.
    metadata = cast("PackageMetadata | None", distribution.metadata)
    return [] if metadata is None else [str(each) for each in metadata.get_all(name) or []]


def _label(distribution: Distribution) -> str:
    return f"{_name(distribution) or 'a distribution without a name'} {distribution.version}"


def _read_version(version: object) -> tuple[int, ...]:
    if version is None:
        return sys.version_info.major, sys.version_info.minor, sys.version_info.micro
    if isinstance(version, str) and (match := _VERSION.fullmatch(version)):
        return tuple(int(number) for number in match.groups() if number is not None)
    if isinstance(version, tuple) and len(version) >= _LEAST_NUMBERS:
        numbers = version[:_MOST_NUMBERS]
        if all(type(number) is int and number >= 0 for number in numbers):
            return numbers
    raise SettingError(
        "version is no version of Python:", repr(version)[:80], "write '3.12' or (3, 12)"
    )


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def _version_fault(distribution: Distribution, numbers: tuple[int, ...]) -> str:
    label, wanted = _label(distribution), f"expected it to support Python {_dotted(numbers)}"
    required = next(iter(_fields(distribution, "Requires-Python")), "")
    classifiers = _fields(distribution, "Classifier")
    declared = [m.groups() for line in classifiers if (m := _CLASSIFIER.fullmatch(line.strip()))]
    minors = [f"{major}{minor}" for major, minor in declared if minor]
    majors = [major for major, minor in declared if not minor]
    if required and (fault := _specifier_fault(required, numbers)):
        return f"{label} {fault}; {wanted}"
    if minors and _dotted(numbers[:_LEAST_NUMBERS]) not in minors:
        return f"{label} lists Python {', '.join(minors)} in its classifiers; {wanted}"
    if required or minors or str(numbers[0]) in majors:
        return ""
    if majors:
        return f"{label} lists Python {', '.join(majors)} in its classifiers; {wanted}"
    return f"{label} declares no Python, neither by Requires-Python nor by classifiers; {wanted}"


def _specifier_fault(required: str, numbers: tuple[int, ...]) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        allowed = SpecifierSet(required)
    except InvalidSpecifier:
        return f"has a Requires-Python that cannot be read, {required!r}"
    whole = len(numbers) == _MOST_NUMBERS
    releases = [numbers] if whole else [(*numbers, micro) for micro in _MICROS]
    if any(allowed.contains(_dotted(release)) for release in releases):
        return ""
    return f"requires Python {required}"


def _requirement_fault(text: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion, Version

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return f"{text!r} cannot be read"
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return ""
    try:
        installed = find_distribution(requirement.name)
        held = Version(installed.version)
    except PackageNotFoundError:
        return f"{requirement.name}{requirement.specifier} is not installed"
    except (InvalidVersion, TypeError):
        return f"{requirement.name} is installed without a version that can be read"
    if requirement.specifier.contains(held, prereleases=True):
        return ""
    return f"{requirement.name}{requirement.specifier}, but {held} is installed"
