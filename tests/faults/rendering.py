"""Configuration that is generated: values that would break it, and secrets."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.faults.asking import ask
from tests.faults.bundle import BIN, free_port
from tests.faults.figures import Fault, Figure, exactly, holds, without
from tests.faults.processes import command, descendants
from tests.faults.scene import Scene
from tests.faults.sets import read, render, written
from tests.faults.waiting import poll, seconds_until

SECRET = "s3cret-of-the-harness"  # noqa: S105 - what is looked for
NASTY = (
    "two\nlines",
    "a\r\nb",
    "a\tb",
    "nul\0here",
    "esc\x1b[31m",
    "line\u2028separator",
    "[watcher:evil]",
    "a\n[watcher:evil]\ncmd = evil",
    "100 %",
    "%(here)s",
    "$PATH",
    "$(circus.env.path)",
    "((circus.wid))",
    "a ; b",
    "# c",
    'say "hi"',
    "it's",
    " spaces around ",
    "ünïcödé €",
    "back\\slash",
    ":::x",
    "a=b",
    "",
    "../up",
    "/../../etc",
    "x" * 100_000,
)


def _seen(path: str, read: dict[str, Any]) -> object:
    """Return what circus reads of the key *path*."""
    watcher = read["watchers"][0]
    match path:
        case "name":
            return watcher["name"].removesuffix("-web")
        case "web.host":
            return read["sockets"][0]["host"]
        case "folders.log":
            return str(Path(watcher["stdout_stream"]["filename"]).parent)
        case "checks.names":
            return watcher["env"]["HEALTHCHECKS"]  # words, with spaces between
        case "web.token_file":
            return watcher["env"]["HOSPITAL_TOKEN_FILE"]
        case _:
            return watcher["env"][path.partition(".")[2]]


def nasty_values(scene: Scene) -> Iterator[Figure]:
    """Values that could end a line, a value or a section, or be expanded, keys of all kinds."""
    keys = (
        "name",
        "web.host",
        "folders.log",
        "checks.names",
        "web.token_file",
        "environment.COLOUR",
        "secrets.WORD",
    )
    refused = unchanged = 0
    wrong = []
    for key in keys:
        for number, text in enumerate(NASTY):
            table, _, name = key.rpartition(".")
            folder = scene.folder / f"{key}{number}"
            site = scene.folder / f"{key}{number}.toml"
            head = f"[{table}]\n" if table else ""
            # A string of JSON is one of TOML, with DEL as the one exception.
            site.write_text(f"{head}{name} = {json.dumps(text)}\n")
            done = render(folder, "--site", str(site))
            shown = f"{key} = {text[:30]!r}: {done.returncode} {done.stderr[:200]}"
            if done.returncode == 0:
                if _seen(key, read(folder)) == (text.strip() if key == "checks.names" else text):
                    unchanged += 1
                else:
                    wrong.append(f"read differently: {shown}")
            elif done.returncode != 2 or "Traceback" in done.stderr or site.name not in done.stderr:
                wrong.append(f"no clear refusal: {shown}")
            elif folder.exists():
                wrong.append(f"half written: {shown}")
            else:
                refused += 1
    what = f"wrong of {len(keys) * len(NASTY)} values ({refused} refused, {unchanged} unchanged)"
    yield without(what, wrong)


def secrets(scene: Scene) -> Iterator[Figure]:
    """A secret of the site, from the file to a running worker."""
    folder, site = scene.folder / "set", scene.folder / "site.toml"
    port = free_port()
    site.write_text(f'[secrets]\nWORD = "{SECRET}"\n')
    site.chmod(0o600)
    arguments = (
        "--site",
        str(site),
        "--port",
        str(port),
        "--checks",
        "hospital.healthchecks.predictable",
    )
    said = []
    for more in (("--diff",), (), ("--check",)):
        done = render(folder, *arguments, *more)
        said.append(done.stdout + done.stderr)
    site.write_text(f'[secrets]\nWORD = "other-{SECRET}"\n')
    said += [(done := render(folder, *arguments, "--diff")).stdout, done.stderr]
    yield holds("--diff names the file", said[-2][:60], ok="secrets.ini" in said[-2])
    yield without("outputs that show it", [text for text in said if SECRET in text])
    holding = [path for path in written(folder) if SECRET in path.read_text()]
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in holding}
    yield exactly("files that hold it", {"hospital-web.secrets.ini": "0o600"}, modes)
    with (scene.folder / "output").open("w") as output:
        circusd = scene.start(
            str(BIN / "circusd"),
            str(folder / "circus.ini"),
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
            stdout=output,
            stderr=output,
        )
    address = ("127.0.0.1", port)
    up = seconds_until(lambda: (answer := ask(address, timeout_s=2)) and answer.status == 200, 20)
    yield holds(
        "circusd serves the set, from another folder", str(up is not None), ok=up is not None
    )
    tree = {circusd.pid, *descendants(circusd.pid)}
    yield without("command lines that show it", [p for p in tree if SECRET in " ".join(command(p))])
    told = [p for p in tree if SECRET.encode() in _environment(p)]
    yield holds(
        "processes that have it in their environment: workers and wards",
        str(len(told)),
        ok=bool(told) and circusd.pid not in told,
    )
    circusd.send_signal(signal.SIGTERM)
    poll(lambda: circusd.poll() is not None, 30, "the end of circusd")
    logs = [path for path in (folder / "var").rglob("*") if path.is_file()]
    logs.append(scene.folder / "output")
    yield without(
        f"of {len(logs)} logs and the like show it",
        [p for p in logs if SECRET.encode() in p.read_bytes()],
    )


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


FAULTS = (
    Fault("nasty-values", nasty_values),
    Fault("secrets", secrets),
)
