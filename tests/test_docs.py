"""The documentation is true, whole and connected.

Python examples are collected by ``conftest.py`` with Sybil; shell transcripts are run here.
Settings are compared with their reference in ``test_settings_reference.py``.
"""

import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hospital.cli.options import make_parser
from hospital.deploy.options import make_parser as make_deploy_parser
from hospital.loading import load
from hospital.serving.serve_options import make_parser as make_serve_parser
from tests.transcripts import ROOT, blocks_of, is_as_documented, play, steps_of

DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
WITH_TRANSCRIPTS = [page for page in PAGES if "\n```console\n" in page.read_text()]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"(?ms)^```.*?^```$")
# A sentence ends and another begins on the same line; abbreviations and numbered items do neither.
TWO_SENTENCES = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!vs)(?<!\b\d)[.!?][`)\"*]{0,2} +[A-Z`*]")


def name_of(page: Path) -> str:
    """Return how a page is called in the name of a test."""
    return str(page.relative_to(ROOT))


@cache
def prose_of(page: Path) -> str:
    """Return a page without its fenced blocks, line by line as it was."""
    return FENCED.sub(lambda block: "\n" * block[0].count("\n"), page.read_text())


def slugs_of(page: Path) -> set[str]:
    """Return what links to the headings of a page call them."""
    headings = re.findall(r"(?m)^#+ +(.*)$", prose_of(page))
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def links_of(page: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield each link within the project: as it is written, its page, its heading."""
    for link in LINK.findall(prose_of(page)):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, heading = link.partition("#")
        yield link, (page.parent / path).resolve() if path else page, heading


@pytest.mark.parametrize("page", WITH_TRANSCRIPTS, ids=name_of)
def test_the_transcripts_of(page: Path) -> None:
    """Each command prints what the page says that it prints."""
    if "curl " in page.read_text() and shutil.which("curl") is None:
        pytest.skip("curl is missing; enable this test with: apt-get install curl")

    # a short name, as sockets lie deep in it
    with TemporaryDirectory(prefix="docs-", ignore_cleanup_errors=True) as folder:
        faults = play(page, Path(folder))

    assert not faults, "\n\n".join(faults)


def test_every_fenced_block_has_a_language_that_is_known() -> None:
    """``console`` and ``python`` are run; the others are shown."""
    known = {"console", "python", "sh", "text", "json", "ini", "toml", ""}
    unknown = [
        f"{name_of(page)}:{block.line}: {block.language}"
        for page in PAGES
        for block in blocks_of(page.read_text())
        if block.language not in known
    ]

    assert [] == unknown


def test_every_transcript_has_a_command() -> None:
    """A ``console`` block without a prompt would be run by nobody."""
    silent = [
        f"{name_of(page)}:{block.line}"
        for page in WITH_TRANSCRIPTS
        for block in blocks_of(page.read_text())
        if block.language == "console" and not list(steps_of(block))
    ]

    assert [] == silent


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_of(page: Path) -> None:
    """Each leads to a file that is there, and to a heading in it."""
    dead = [
        link
        for link, target, heading in links_of(page)
        if not target.exists() or (heading and heading not in slugs_of(target))
    ]

    assert [] == dead


def test_every_page_can_be_reached() -> None:
    """Whoever starts at README.md gets everywhere by following links."""
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        waiting += [target for _, target, _ in links_of(page)]

    assert [] == [name_of(page) for page in PAGES if page not in reached]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_one_sentence_stands_on_a_line_of(page: Path) -> None:
    """A change of a sentence is a change of a line; lists and tables may hold several."""
    crowded = [
        f"{number}: {line}"
        for number, line in enumerate(prose_of(page).splitlines(), 1)
        if not line.lstrip().startswith(("|", "- ", "* ", "#")) and TWO_SENTENCES.search(line)
    ]

    assert [] == crowded


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_there_is_one_title_in(page: Path) -> None:
    """It is the first line."""
    lines = prose_of(page).splitlines()

    assert lines[0].startswith("# ")
    assert 1 == sum(line.startswith("# ") for line in lines)


def options_in(page: Path) -> set[str]:
    """Return the options that a page has a heading or a row for."""
    lines = [line for line in prose_of(page).splitlines() if line.startswith(("#", "|"))]
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", "\n".join(lines)))


@pytest.mark.parametrize(
    ("page", "parser"),
    [
        ("cli.md", make_parser()),
        ("serving.md", make_serve_parser()),
        ("deploy.md", make_deploy_parser()),
    ],
    ids=["hospital-cli", "hospital-serve", "hospital-deploy"],
)
def test_every_option_stands_in_the_reference_of(page: str, parser: object) -> None:
    """Of each command, with both of its names where it has two."""
    actions = parser._actions  # type: ignore[attr-defined]
    options = {option for action in actions for option in action.option_strings}

    assert set() == options - options_in(REFERENCE / page)


def test_every_built_in_check_stands_in_the_reference() -> None:
    """With its id, as ``--list`` shows it."""
    loaded = load(["hospital.healthchecks"])
    text = (REFERENCE / "healthchecks.md").read_text()

    assert [] == loaded.problems
    assert set() == {check for check in loaded.entries if f"`{check}`" not in text}


def test_every_endpoint_stands_in_the_reference() -> None:
    """There is one, the root, and it answers two methods."""
    text = (REFERENCE / "http.md").read_text()

    assert "| `GET` of the root (`/`" in text
    assert "| `HEAD` of the root" in text


def test_every_public_name_stands_in_the_reference() -> None:
    """What ``from hospital import …`` gives has a heading in python.md."""
    import hospital

    names = [name for name in hospital.__all__ if not name.startswith("__")]
    headings = " ".join(re.findall(r"(?m)^#+ (.*)$", prose_of(REFERENCE / "python.md")))

    assert [] == [name for name in names if f"`{name}`" not in headings]


def test_an_ellipsis_stands_for_any_text() -> None:
    """Within a line and across lines; what stands around it has to be there."""
    assert is_as_documented("a … d", "a b c d")
    assert is_as_documented("first\n…\nlast", "first\nx\ny\nlast")
    assert not is_as_documented("first\n…\nlast", "first\nx")


def test_times_are_masked_and_counts_are_not() -> None:
    """A transcript is no lie because the machine was slower today."""
    assert is_as_documented("Ran 1 test in 0.001s", "Ran 1 test in 12.340s")
    assert not is_as_documented("Ran 1 test in 0.001s", "Ran 2 tests in 0.001s")
