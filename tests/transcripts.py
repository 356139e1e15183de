"""Run the shell transcripts of a page of documentation, and compare what they print.

How a page is read:

- A ``console`` block is typed into one shell for the whole page, in an empty folder: lines that
  begin with ``$ `` are commands (``> `` continues one), the others are what they print.
- A block after a line that ends with "file `some/path`:" is written to that file first; a line
  that says "an empty `some/path`" makes one.
- ``…`` in what is printed stands for any text. Times, rules and versions are masked.
- A command that ends with ``&`` stays, and is waited for until it has printed its lines.
- The ports 1515, 2014, 8000, 8080 and 8998 are free ports in truth, so that nothing else is
  disturbed; a server whose default port is one of them, and which is given none, is told of it.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DEADLINE_S = 60.0
DOCUMENTED_PORTS = ("1515", "2014", "8000", "8080", "8998")
_DEFAULT_PORTS = (
    (re.compile(r"(?<![\w/.-])hospital-serve(?= )"), "--port 1515"),
    (re.compile(r"(?<![\w/.-])gunicorn(?= )"), "--bind 127.0.0.1:8000"),
    (re.compile(r"(?<![\w/.-])uvicorn(?= )"), "--port 8000"),
    (re.compile(r"(?<![\w/.-])waitress-serve(?= )"), "--port 8080"),
    (re.compile(r"(?<![\w/.-])chaussette(?= )"), "--port 8080"),
    (re.compile(r"(?<=python -m )hospital\.serving\.worker(?= )"), "--port 8080"),
)
_DONE = "--- the command is done ---"

_FENCE = re.compile(r"(?ms)^```(\w*)\n(.*?)^```$")
_FILE = re.compile(r"file `([\w./-]+)`:$")
_EMPTY = re.compile(r"an empty `([\w./-]+)`")
_MASKS = (
    (re.compile(r"\r"), ""),
    (re.compile(r"(?m)^-{20,}$"), "<rule>"),
    (re.compile(r"(?m)^={20,}$"), "<double rule>"),
    (re.compile(r"(?m)^=+ (.*?) =+$"), r"= \1 ="),
    (re.compile(r"(?m)^platform \w+ -- Python .*$"), "platform <versions>"),
    (re.compile(r"(?m)^(?:rootdir|cachedir|plugins|configfile): .*\n"), ""),
    (re.compile(r"(?m) +\[ *\d+%\]$"), ""),
    (re.compile(r"\b\d+(?:\.\d+)? (?:ms|µs)\b|\b\d+\.\d+ ?s\b"), "<time>"),
    (re.compile(r"\b20\d\d-\d\d-\d\d[T ][\d:.]+Z?"), "<time>"),
    (re.compile(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT"), "<time>"),
    (re.compile(r'"(duration_s|pid)": [\d.]+(?:e-\d+)?'), r'"\1": <number>'),
    (re.compile(r'("incident": )"[0-9a-f]+"'), r"\1<incident>"),
    (re.compile(r"\(pid \d+\)"), "(pid <number>)"),
    (re.compile(r"(?m)^(Age|Content-Length): \d+$"), r"\1: <number>"),
    (re.compile(r"(?m)[ \t]+$"), ""),
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text, the prose since the block before, and its line."""

    language: str
    text: str
    prose: str
    line: int


@dataclass(frozen=True, slots=True)
class Step:
    """A command, the lines that it prints, and where it stands."""

    command: str
    printed: str
    line: int


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    end = 0
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        yield Block(match[1], match[2], text[end : match.start()].strip(), line)
        end = match.end()


def steps_of(block: Block) -> Iterator[Step]:
    """Yield the commands of a ``console`` block."""
    command, begins = "", block.line
    printed: list[str] = []
    for number, line in enumerate(block.text.splitlines(), block.line):
        if line.startswith("$ "):
            if command:
                yield Step(command, "\n".join(printed), begins)
            command, printed, begins = line[2:], [], number
        elif line.startswith("> ") and not printed:
            command += "\n" + line[2:]
        else:
            printed.append(line)
    if command:
        yield Step(command, "\n".join(printed), begins)


def masked(text: str) -> str:
    """Return *text* without what is another each time."""
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return text.strip("\n")


def is_as_documented(documented: str, printed: str) -> bool:
    """Return whether *printed* is what is *documented*, where ``…`` stands for any text."""
    parts = map(re.escape, masked(documented).split("…"))
    return re.fullmatch(".*".join(parts), masked(printed), re.DOTALL) is not None


def with_port(command: str) -> str:
    """Return *command* with its default port in the open, if it is a server that is given none."""
    if re.search(r" --(?:port|bind|fd|listen)\b", command):
        return command
    for program, option in _DEFAULT_PORTS:
        command = program.sub(rf"\g<0> {option}", command, count=1)
    return command


class Shell:
    """A shell in a folder of its own, with what a page writes into files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._printed = ""
        self._grown = threading.Condition()
        with ExitStack() as probes:
            sockets = [
                probes.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
                for _ in DOCUMENTED_PORTS
            ]
            ports = [str(each.getsockname()[1]) for each in sockets]
        self._ports = dict(zip(DOCUMENTED_PORTS, ports, strict=True))
        self._bash = subprocess.Popen(
            ["/usr/bin/env", "bash", "--norc"],
            cwd=folder,
            env={
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
                "HOME": str(folder),
                "LANG": "C.UTF-8",
                "PYTHONUNBUFFERED": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def write(self, name: str, text: str) -> None:
        """Write a file that the page shows."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._with_free_ports(text))

    def bring_deployment(self) -> None:
        """Copy what circusd runs in a checkout, on the free port."""
        for name in ("deploy", "circus.ini.d"):
            ignored = shutil.ignore_patterns("*.sock")
            shutil.copytree(ROOT / name, self._folder / name, ignore=ignored)
        for path in (self._folder / "circus.ini.d").iterdir():
            path.write_text(self._with_free_ports(path.read_text()))

    def run(self, step: Step) -> str:
        """Run a command and return what it printed, with the documented ports."""
        command = with_port(step.command)
        self._type(f"{{ {self._with_free_ports(command)}\n}} </dev/null")
        self._type(f'{{ code=$?; echo "{_DONE}"; (exit $code); }}')
        if not self._wait(lambda: _DONE in self._printed, DEADLINE_S):
            raise TimeoutError(f"not done within {DEADLINE_S} s: {command}\n{self._told()}")
        if command.endswith("&"):
            self._wait(lambda: is_as_documented(step.printed, self._told()), DEADLINE_S / 3)
        told = self._told()
        with self._grown:
            self._printed = ""
        return told

    def close(self) -> None:
        """End the shell and all that it left behind."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._bash.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._bash.wait(timeout=10)
            if number is signal.SIGTERM:
                self._reader.join(timeout=20)  # ends when nobody is left who could print
        for pipe in (self._bash.stdin, self._bash.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _with_free_ports(self, text: str) -> str:
        for documented, free in self._ports.items():
            text = re.sub(rf"\b{documented}\b", free, text)
        return text

    def _told(self) -> str:
        text = self._printed.replace(f"{_DONE}\n", "")
        for documented, free in self._ports.items():
            text = re.sub(rf"\b{free}\b", documented, text)
        return text

    def _type(self, line: str) -> None:
        print(line, file=self._bash.stdin, flush=True)

    def _wait(self, condition: Callable[[], bool], most_s: float) -> bool:
        deadline = time.monotonic() + most_s
        with self._grown:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._grown.wait(min(left, 0.5))
        return True

    def _read(self) -> None:
        for line in self._bash.stdout:  # type: ignore[union-attr]
            with self._grown:
                self._printed += line
                self._grown.notify_all()


def play(page: Path, folder: Path) -> list[str]:
    """Run the transcripts of *page* in *folder*, and return what is not as documented."""
    text = page.read_text()
    faults: list[str] = []
    shell = Shell(folder)
    try:
        if "deploy/circus.ini" in text:
            shell.bring_deployment()
        for block in blocks_of(text):
            for name in _EMPTY.findall(block.prose):
                shell.write(name, "")
            if named := _FILE.search(block.prose):
                shell.write(named[1], block.text)
            if block.language != "console":
                continue
            for step in steps_of(block):
                try:
                    printed = shell.run(step)
                except TimeoutError as error:
                    raise TimeoutError("\n".join([str(error), *faults])) from None
                if not is_as_documented(step.printed, printed):
                    place = f"{page.name}:{step.line}: $ {step.command}"
                    faults.append(
                        f"{place}\n--- documented\n{step.printed}\n--- printed\n{printed}"
                    )
    finally:
        shell.close()
    return faults
