"""What hospital says of itself: one harmless line for each event, and never an error."""

import json
import logging
import os
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hospital.logs import bound, configure, flush, get_logger

TEXTS = st.text(alphabet=st.characters(categories=None), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
Lines = Callable[[], list[bytes]]
Configured = Callable[..., Lines]


class Hostile:
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise KeyboardInterrupt

    __repr__ = __str__


def refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def parse(line: bytes) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(line.decode("utf-8"), parse_constant=refuse)
    return parsed


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Configured]:
    """Return a function that configures logging to a file, and returns what reads its lines."""
    path = tmp_path / "log"
    undo = ExitStack()

    def begin(**options: Any) -> Lines:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            undo.callback(configure(fd=fd, **options))
        finally:
            os.close(fd)

        def lines() -> list[bytes]:
            assert flush(10)
            return path.read_bytes().split(b"\n")[:-1]

        return lines

    with undo:
        yield begin


def test_a_line_says_when_what_and_who(configured: Configured) -> None:
    """Own fields come first, then what is bound, then what is said."""
    lines = configured()

    get_logger("hospital.test").bind(worker=2).info("started", port=2014)

    (line,) = map(parse, lines())
    assert ["timestamp", "level", "event", "logger", "pid", "worker", "port"] == list(line)
    assert ("info", "started", "hospital.test", os.getpid(), 2, 2014) == tuple(line.values())[1:]
    assert line["timestamp"].endswith("Z")
    assert len("2026-11-20T09:10:56.123456Z") == len(line["timestamp"])


def test_what_is_bound_stands_on_each_line_within(configured: Configured) -> None:
    """Outside it does not; what is said nearer counts; another thread is another matter."""
    lines = configured()
    logger = get_logger("hospital.test")

    with bound(request_id="8c1f-12", check="a"):
        logger.info("first")
        with bound(check="b"):
            logger.bind(check="c").info("second", check="d")
            logging.getLogger("shop").warning("third")
        thread = threading.Thread(target=lambda: logger.info("fourth"))
        thread.start()
        thread.join()
    logger.info("fifth")

    found = [parse(line) for line in lines()]
    assert [("8c1f-12", "a"), ("8c1f-12", "d"), ("8c1f-12", "b"), (None, None), (None, None)] == [
        (line.get("request_id"), line.get("check")) for line in found
    ]


def test_a_binding_ends_with_an_exception_too(configured: Configured) -> None:
    """And says of it what it was about."""
    lines = configured()

    with pytest.raises(ValueError, match="no"), bound(request_id="1"):
        raise ValueError("no")
    get_logger("test").info("afterwards")

    (line,) = map(parse, lines())
    assert "request_id" not in line


@given(event=TEXTS, fields=st.dictionaries(TEXTS, VALUES, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_line_is_one_json_object_whatever_is_logged(
    configured: Configured, event: str, fields: dict[str, Any]
) -> None:
    """No byte below 0x20 but the line feed, no surrogate, no NaN, no second line."""
    lines = configured()
    before = len(lines())

    get_logger("test").info(event, **fields)

    new = lines()[before:]
    assert 1 == len(new)
    assert {"timestamp", "level", "event", "logger", "pid"} <= set(parse(new[0]))
    assert not any(byte < 0x20 or byte == 0x7F for byte in new[0])
    assert 1 == len(new[0].decode("utf-8").splitlines())


def test_what_is_logged_cannot_break_the_line(configured: Configured) -> None:
    """Floods are cut, hostile objects described, names of our own moved aside."""
    lines = configured()
    fields = {"pid": "mine", "event": "mine", "self": 1, "method_name": 2}

    get_logger("test").info(
        "e", **fields, flood="x" * 10**6, hostile=Hostile(), big=10**9999, deep=[[[[[["x"]]]]]]
    )
    get_logger("test").info("many", **{f"n{number}": "y" * 5000 for number in range(200)})

    first, second = map(parse, lines())
    assert ("mine", "mine") == (first["pid_"], first["event_"])
    assert 4096 == len(first["flood"])
    assert "<Hostile whose text cannot be had: KeyboardInterrupt>" == first["hostile"]
    assert 40_000 > len(json.dumps(second))


def test_secrets_are_in_no_line(configured: Configured) -> None:
    """Neither in texts, nor under names of secrets, nor in exceptions."""
    lines = configured()
    logger = get_logger("test")

    logger.info("e", password="s3cret", nested={"token": "s3cret"}, dsn="postgresql://u:s3cret@h/d")  # noqa: S106 - the point
    logger.error("e", exc_info=ValueError("password=s3cret"))

    assert b"s3cret" not in b"".join(lines())


def test_an_exception_is_a_bounded_field(configured: Configured) -> None:
    """Type, message and innermost frames, of what caused it too; no endless recursion."""
    lines = configured()

    def recurse(depth: int) -> None:
        if depth == 0:
            raise ValueError("deep") from KeyError("cause")
        recurse(depth - 1)

    try:
        recurse(200)
    except ValueError:
        get_logger("test").exception("failed", check="a")

    (line,) = map(parse, lines())
    said = line["exception"]
    assert [("ValueError", "deep"), ("KeyError", "'cause'")] == [
        (each["type"], each["message"]) for each in said
    ]
    assert 20 == len(said[0]["frames"])
    assert said[0]["frames"][-1].endswith(" recurse")
    assert "error" == line["level"]


def test_levels_below_the_configured_one_are_left_out(configured: Configured) -> None:
    """With warning, info and debug are silent."""
    lines = configured(level="warning")
    logger = get_logger("test")

    for say in (logger.debug, logger.info, logger.warning, logger.error):
        say("said")

    assert ["warning", "error"] == [parse(line)["level"] for line in lines()]


def test_the_console_format_is_for_people(configured: Configured) -> None:
    """Time, level, event and fields, on one line."""
    lines = configured(log_format="console")

    get_logger("test").warning("port\ntaken", port=2014, by="nginx 1")

    (line,) = lines()
    assert line.decode()[12:] == ' warning port taken port=2014 by="nginx 1"'


def test_what_others_log_goes_the_same_way(configured: Configured) -> None:
    """Logging and warnings of all packages are lines of ours, until it is undone."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    lines = configured()

    logging.getLogger("circus").warning("%s is late: password=%s", "it", "s3cret")
    logging.getLogger("circus").info("wrong %d", "arguments")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", stacklevel=1)

    found = [parse(line) for line in lines()]
    assert ["circus", "circus", "py.warnings"] == [line["logger"] for line in found]
    assert ["it is late: password=***", "wrong %d"] == [line["event"] for line in found[:2]]
    assert before != (root.handlers, root.level)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_exceptions_that_nobody_caught_are_lines(configured: Configured) -> None:
    """Of threads, of finalizers, and the last one of a program; Ctrl-C stays Python's."""
    before = sys.excepthook, threading.excepthook, sys.unraisablehook
    lines = configured()

    class Fragile:
        def __del__(self) -> None:
            raise ValueError("in __del__")

    def fail() -> None:
        raise ValueError("password=s3cret")

    def leave() -> None:
        raise SystemExit

    for target in (fail, leave):
        thread = threading.Thread(target=target, name="theirs")
        thread.start()
        thread.join()
    del thread
    Fragile()
    sys.excepthook(ValueError, ValueError("last"), None)

    found = [parse(line) for line in lines()]
    assert ["thread_failed", "exception_ignored", "uncaught_exception"] == [
        line["event"] for line in found
    ]
    assert ["password=***", "in __del__", "last"] == [
        line["exception"][0]["message"] for line in found
    ]
    assert "theirs" == found[0]["thread"]
    assert "Fragile.__del__" in found[1]["where"]
    assert not {*before} & {sys.excepthook, threading.excepthook, sys.unraisablehook}


def test_what_was_taken_over_is_given_back(tmp_path: Path) -> None:
    """Hooks, handlers and level are as they were."""

    def state() -> list[object]:
        root = logging.getLogger()
        hooks = [sys.excepthook, threading.excepthook, sys.unraisablehook]
        return [*hooks, warnings.showwarning, root.handlers[:], root.level]

    before = state()

    with (tmp_path / "log").open("wb") as file:
        undo = configure(fd=file.fileno())
        within = state()
        undo()

    assert before == state()
    assert not any(one == other for one, other in zip(before, within, strict=True))


def test_the_last_exception_of_a_program_is_one_line() -> None:
    """On the log's own descriptor, with nothing beside it."""
    code = (
        "from hospital.logs import configure; configure(fd=2); raise ValueError('password=s3cret')"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=30, check=False
    )

    (line,) = map(parse, ended.stderr.splitlines())
    assert (1, "uncaught_exception") == (ended.returncode, line["event"])
    assert "password=***" == line["exception"][0]["message"]


def test_unconfigured_it_writes_to_standard_error_and_leaves_logging_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An application that hospital is embedded in keeps its own logging."""
    root = logging.getLogger()
    before = root.handlers[:], root.level

    get_logger("test").info("said", reason="ä\u2028")

    captured = capsys.readouterr()
    assert ("said", "ä") == (json.loads(captured.err)["event"], json.loads(captured.err)["reason"])
    assert "" == captured.out
    assert before == (root.handlers, root.level)


@pytest.mark.parametrize("stream", ["None", "Broken()", "open('/dev/full', 'w')"])
def test_a_stream_that_cannot_be_written_is_nobodys_problem(stream: str) -> None:
    """Closed, broken, or full: the caller does not hear of it."""
    code = f"""
        import os, sys
        class Broken:
            def write(self, text): raise ValueError("I/O operation on closed file")
        from hospital.logs import get_logger
        sys.stderr = {stream}
        get_logger("test").info("said")
        print("alive", flush=True)
        os._exit(0)
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, timeout=30, check=True
    )

    assert b"alive\n" == found.stdout


def test_the_environment_says_level_and_format_where_nobody_configures() -> None:
    """A bad value is no reason to be silent: then the defaults count."""
    code = 'from hospital.logs import get_logger as g; g("t").info("i"); g("t").error("e", a=1)'

    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"HOSPITAL_LOG_LEVEL": level, "HOSPITAL_LOG_FORMAT": style},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stderr.splitlines()
        for level, style in (("error", "console"), ("loud", "nice"))
    ]

    assert ["error   e a=1"] == [line[13:] for line in said[0]]
    assert ["i", "e"] == [json.loads(line)["event"] for line in said[1]]


def test_structlog_is_imported_with_the_first_line() -> None:
    """Whoever logs nothing does not pay for it."""
    code = """
        import sys
        from hospital.logs import get_logger
        get_logger("a").debug("x")
        print("structlog" in sys.modules)
    """

    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, timeout=30, check=True
    )

    assert b"False\n" == found.stdout


@pytest.mark.parametrize("text", ["界" * 4096, '"' * 4096, "x" * 4096])
@pytest.mark.parametrize("number", [7, 60])
def test_a_line_is_short_in_bytes_whatever_it_holds(
    configured: Configured, text: str, number: int
) -> None:
    """Who reads it counts bytes, and takes a longer one for no event; our own fields stay."""
    lines = configured()

    get_logger("hospital.test").error("big", **{f"field_{i}": text for i in range(number)})

    (line,) = lines()
    assert len(line) < 32_768
    said = json.loads(line)
    assert ["error", "big", "hospital.test"] == [said[key] for key in ("level", "event", "logger")]
