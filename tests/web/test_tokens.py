"""The bearer token of a file, as it stands there now."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hospital.web.tokens import TokenFile

Events = Callable[[], list[dict[str, Any]]]


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def test_a_file_that_changes_gives_the_new_token(tmp_path: Path, events: Events) -> None:
    """Whatever is written is read with the next request."""
    path = tmp_path / "token"
    tokens = TokenFile(path)

    found = [tokens.read()]
    for text in ("first\n", "second", "", "third"):
        write(path, text)
        found.append(tokens.read())
    path.unlink()
    found.append(tokens.read())

    assert ["", "first", "second", "", "third", ""] == found
    assert ["token_file_unusable"] * 3 == [event["event"] for event in events()]


def test_a_file_replaced_by_another_of_the_same_size_is_read_again(tmp_path: Path) -> None:
    """A time of change that was set back hides nothing."""
    path, other = tmp_path / "token", tmp_path / "other"
    write(path, "aaaa")
    tokens = TokenFile(path)
    before = tokens.read()
    write(other, "bbbb")
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    os.utime(other, ns=times)
    other.replace(path)

    assert ("aaaa", "bbbb") == (before, tokens.read())


def test_a_file_that_others_may_read_is_used_with_one_warning(
    tmp_path: Path, events: Events
) -> None:
    """Containers mount their secrets like that, so it is said once and no more."""
    path = tmp_path / "token"
    write(path, "s3cret", 0o644)
    tokens = TokenFile(path)

    found = [tokens.read(), tokens.read()]

    assert ["s3cret", "s3cret"] == found
    assert [("token_file_open_to_others", "0o644")] == [(e["event"], e["mode"]) for e in events()]


@pytest.mark.parametrize("text", ["", "\n", "two words", "a\nb", "ä", "x" * 5000])
def test_what_cannot_be_a_token_is_nobodys(text: str, tmp_path: Path, events: Events) -> None:
    """The log says so once, without what stands in the file."""
    path = tmp_path / "token"
    write(path, text)
    tokens = TokenFile(path)

    found = [tokens.read(), tokens.read()]

    assert ["", ""] == found
    (event,) = events()
    assert "token_file_unusable" == event["event"]
    assert "two words" not in event["reason"]


def test_a_folder_or_a_pipe_is_no_token_file(tmp_path: Path, events: Events) -> None:
    """Neither gives a token, and the pipe keeps nobody waiting."""
    os.mkfifo(tmp_path / "pipe")

    found = [TokenFile(tmp_path).read(), TokenFile(tmp_path / "pipe").read()]

    assert ["", ""] == found
    assert ["token_file_unusable"] * 2 == [event["event"] for event in events()]
