"""Say where in a user's code something happened."""

import linecache
import os
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

_HOSPITAL = str(Path(__file__).parents[1]) + os.sep
_CHECKS = _HOSPITAL + "healthchecks" + os.sep
_INSTALLED = tuple(sysconfig.get_path(key) + os.sep for key in ("purelib", "platlib"))
_STANDARD = tuple(sysconfig.get_path(key) + os.sep for key in ("stdlib", "platstdlib"))
_MOST_FRAMES = 12

Frame = tuple[str, int, str]
"""File, line (from 1), function."""


def is_library(filename: str) -> bool:
    """Return whether *filename* is the standard library's, an installed package's or our own."""
    if filename.startswith(_HOSPITAL):
        return is_ours(filename)
    return filename.startswith(("<frozen ", *_INSTALLED, *_STANDARD))


def is_ours(filename: str) -> bool:
    """Return whether *filename* is hospital's own, ready-made checks not counted."""
    return filename.startswith(_HOSPITAL) and not filename.startswith(_CHECKS)


def frames_of(traceback: TracebackType | None) -> list[Frame]:
    """Return the frames of *traceback*, outermost first, those of the import system left out."""
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith("<frozen "):
            frames.append((code.co_filename, traceback.tb_lineno or 0, code.co_name))
        traceback = traceback.tb_next
    return frames


def innermost(frames: Sequence[Frame]) -> Frame | None:
    """Return the innermost frame of the user's own code; of *frames* at all where there is none.

    Where all of it is installed, the package that was called first counts as the user's.

    Args:
        frames: Outermost first.
    """
    for frame in reversed(frames):
        if not is_library(frame[0]):
            return frame
    package = _first_package(frames)
    for frame in reversed(frames):
        if package and frame[0].startswith(package):
            return frame
    return frames[-1] if frames else None


def _first_package(frames: Sequence[Frame]) -> str:
    """Return what the files of the outermost installed package start with; may be empty."""
    for filename, _line, _function in frames:
        if is_ours(filename):
            continue
        for folder in _INSTALLED:
            if filename.startswith(folder):
                first, separator, _rest = filename.removeprefix(folder).partition(os.sep)
                return folder + first + separator
    return ""


def shown(frame: Frame) -> str:
    """Return *frame* as ``checks/db.py:12 in test_it``."""
    filename, line, function = frame
    inside = "" if function == "<module>" else f" in {function}"
    return f"{_near(filename)}:{line}{inside}"


def source_line(frame: Frame) -> str:
    """Return the line of source at *frame*, stripped; empty where it cannot be had."""
    return linecache.getline(frame[0], frame[1]).strip()


def trace(frames: Sequence[Frame]) -> str:
    """Return the innermost frames of the user's code and what it called, one a line."""
    first = next((n for n, frame in enumerate(frames) if not is_library(frame[0])), None)
    if first is None:
        package = _first_package(frames) or os.sep
        first = next((n for n, frame in enumerate(frames) if frame[0].startswith(package)), 0)
    lines = []
    for frame in frames[first:][-_MOST_FRAMES:]:
        source = source_line(frame)
        lines.append(f"{shown(frame)}: {source}" if source else shown(frame))
    return "\n".join(lines)


def frames_in_dump(dump: str, thread_ident: int) -> list[Frame]:
    """Return the frames of one thread out of a dump of faulthandler, outermost first.

    Args:
        dump: The text.
        thread_ident: The thread; 0 for the main thread, which faulthandler writes last.

    Source:
        ``faulthandler.dump_traceback``: ``Thread 0x… [name] (most recent call first):``, then
        ``  File "…", line N in function``.
    """
    frames: list[Frame] = []
    inside = False
    for line in dump.rpartition("\n")[0].splitlines():  # what was cut is no line
        if line.startswith(("Thread 0x", "Current thread 0x")):
            if frames and thread_ident:
                break
            number = line.partition("0x")[2].split(" ")[0]
            inside = not thread_ident or _hexadecimal(number) == thread_ident
            frames = []
        elif inside and line.startswith('  File "'):
            filename, _, rest = line.removeprefix('  File "').rpartition('", line ')
            number, _, function = rest.partition(" in ")
            if number.isdigit():
                frames.append((filename, int(number), function))
    frames.reverse()
    return frames


def is_whole(dump: str) -> bool:
    """Return whether a dump of a ward is known to have come to its end.

    Source:
        faulthandler writes the main thread last, its outermost frame at the end, which under
        ``python -m`` is this one; after a hundred threads it writes three dots and no more.
    """
    return dump.endswith((" in _run_module_as_main\n", "\n\n...\n"))


def _hexadecimal(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return -1


def _near(filename: str) -> str:
    try:
        here = str(Path.cwd()) + os.sep
    except OSError:
        return filename
    return filename.removeprefix(here)
