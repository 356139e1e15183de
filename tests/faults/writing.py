"""Configuration that is written: things in the way, kills, and disks without room."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.faults.figures import Fault, Figure, exactly, holds, without
from tests.faults.scene import Scene
from tests.faults.sets import essence, render, written


def things_in_the_way(scene: Scene) -> Iterator[Figure]:
    """A link, a file that somebody edited, and the same again."""
    folder, victim = scene.folder / "set", scene.folder / "victim"
    yield exactly("a first run", 0, render(folder, "--port", "8001").returncode)
    stamps = {path: path.stat().st_mtime_ns for path in written(folder)}
    again = render(folder, "--port", "8001")
    same = {path: path.stat().st_mtime_ns for path in written(folder)} == stamps
    yield holds(
        "the same again changes nothing",
        again.stdout.strip()[:200],
        ok=same and not again.returncode,
    )
    web = folder / "circus.ini.d" / "hospital-web.ini"
    web.write_text(edited := web.read_text().replace("8001", "8002"))
    done = render(folder, "--port", "8001")
    shown = "-port = 8002" in done.stdout and "+port = 8001" in done.stdout
    yield holds(
        "an edited file is refused with a diff",
        done.stderr.strip()[:300],
        ok=shown and done.returncode == 1 and web.read_text() == edited,
    )
    done = render(folder, "--port", "8001", "--force")
    kept = [path for path in written(folder) if path.read_text() == edited]
    yield holds(
        "--force keeps a backup",
        str([path.name for path in kept]),
        ok=bool(kept) and not done.returncode,
    )
    victim.write_text("mine")
    web.unlink()
    web.symlink_to(victim)
    for force in ((), ("--force",)):
        done = render(folder, "--port", "8003", *force)
        ok = done.returncode == 1 and victim.read_text() == "mine" and web.is_symlink()
        yield holds(
            f"a link at a target is refused {' '.join(force)}".rstrip(),
            done.stderr.strip()[:300],
            ok=ok,
        )


def killed_renders(scene: Scene) -> Iterator[Figure]:
    """``kill -9`` at each step of writing another set over the one that is there."""
    folder = scene.folder / "set"
    old, new = ("--port", "8001"), ("--port", "8002", "--log-count", "7", "--site", "")
    (scene.folder / "site.toml").write_text('[secrets]\nWORD = "s3cret"\n')
    new = (*new[:-1], str(scene.folder / "site.toml"))
    essences = []
    names = []
    for arguments in (new, old):
        render(folder, *arguments)
        essences.append(essence(folder))
        names.append([str(path.relative_to(folder)) for path in written(folder)])
    mixed, unfinished, steps = [], [], 0
    for step in range(1, 500):
        done = render(folder, *new, killer=step)
        if done.returncode != -signal.SIGKILL:
            break
        steps += 1
        if essence(folder) not in essences:
            mixed.append(f"step {step}")
        # The next run clears up, and finds its way to either set.
        for arguments, wanted, there in (
            (new, essences[0], names[0]),
            (old, essences[1], names[1]),
        ):
            done = render(folder, *arguments)
            left = [str(path.relative_to(folder)) for path in written(folder)]
            if done.returncode or essence(folder) != wanted or left != there:
                unfinished.append(f"step {step}: {done.returncode} {done.stderr} {left}")
    yield holds("steps at which it was killed", str(steps), ok=steps > 10)
    yield without("steps that left a mix of two sets", mixed)
    yield without("steps after which a next run could not go on", unfinished)


def full_disks(scene: Scene) -> Iterator[Figure]:
    """A set on a file system without room, and on one that is read-only."""
    folder = scene.folder / "set"
    scene.mount(folder, 400)
    render(folder, "--port", "8001")
    before, there = essence(folder), written(folder)
    mixed, reached = [], 0
    for room_kb in (0, 4, 8, 12, 16, 20, 24, 28, 32, 48, 64):
        filler = folder / "filler"
        _leave_room(filler, room_kb)
        done = render(folder, "--port", "8002")
        filler.unlink()
        if done.returncode == 0:
            reached += 1
            render(folder, "--port", "8001")
        elif essence(folder) != before or written(folder) != there or "Traceback" in done.stderr:
            mixed.append(f"{room_kb} KB: {done.stderr} {written(folder)}")
    yield without(
        f"of 11 disks with little room ({reached} had enough) left anything but the old set", mixed
    )
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    done = render(folder, "--port", "8002")
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    ok = done.returncode == 1 and len(done.stderr.splitlines()) == 1 and essence(folder) == before
    yield holds("a read-only folder is refused", done.stderr.strip()[:300], ok=ok)


def _leave_room(filler: Path, room_kb: int) -> None:
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
        if room_kb:
            file.truncate(filler.stat().st_size - room_kb * 1024)


FAULTS = (
    Fault("things-in-the-way", things_in_the_way, quick=True),
    Fault("killed-renders", killed_renders),
    Fault("full-disks", full_disks, needs=("root", "mount")),
)
