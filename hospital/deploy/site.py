"""A site: all that is rendered.

Rule: nothing is decided later; rendering and reading back take it as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hospital.deploy.keys import KEYS

VM = "vm"
CHECKOUT = "checkout"
PROFILES = (VM, CHECKOUT)
KILL_AFTER_DRAIN_S = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """All that is rendered.

    Attributes:
        profile: ``vm`` or ``checkout``.
        output: The folder of the set; absolute, but for the checkout.
        name: What the names of watchers begin with.
        python: What runs the workers.
        user: Who the workers are; empty for the user of circusd.
        group: Their group; empty without a user.
        path: Their PATH.
        host: Address to listen on; empty where there is a socket.
        port: Port to listen on.
        socket: Path of a unix socket; empty where there is a host.
        socket_mode: The mode of that socket, as bits.
        numprocesses: How many workers.
        working_dir: Folder of the workers; empty for that of circusd.
        graceful_timeout_s: Seconds for which a worker drains.
        run: Folder of sockets and heartbeats.
        state: Folder of what outlives a restart.
        log: Folder of log files.
        max_size_bytes: Size at which a log file is rotated; 0 for never.
        count: How many old log files are kept.
        log_format: ``json`` or ``console``.
        settings: What the workers get of hospital's variables.
        environment: What they get besides.
        secrets: What they get from the secret file; in no repr.
    """

    profile: str
    output: str
    name: str
    python: str
    user: str
    group: str
    path: str
    host: str
    port: int
    socket: str
    socket_mode: int
    numprocesses: int
    working_dir: str
    graceful_timeout_s: int
    run: str
    state: str
    log: str
    max_size_bytes: int
    count: int
    log_format: str
    settings: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def web(self) -> str:
        """The name of the web watcher, its socket and its environment."""
        return f"{self.name}-web"

    @property
    def guard(self) -> str:
        """The name of the plugin that kills what stopped beating."""
        return f"{self.name}-guard"

    @property
    def beats(self) -> str:
        """The folder of heartbeats."""
        return f"{self.run}/beats"

    @property
    def is_checkout(self) -> bool:
        """Whether the paths are relative to where circusd is started."""
        return self.profile == CHECKOUT

    @property
    def deploy_folder(self) -> str:
        """The folder of circus.ini: as circusd is told it."""
        return "deploy" if self.is_checkout else self.output


def checkout_site(output: str) -> Site:
    """Return the site of a checkout: what is committed, wherever *output* is."""
    settings = {
        "HEALTHCHECKS": str(KEYS["checks.names"].default),
        "HOSPITAL_CACHE_TTL": "5",
        "HOSPITAL_REASONS": "loopback",
        "HOSPITAL_WATCHDOG": "10s",
        "HOSPITAL_ACCESS_LOG": "summary",
    }
    return Site(
        profile=CHECKOUT,
        output=output,
        name="hospital",
        python="python",
        user="",
        group="",
        path="$PATH",
        host="127.0.0.1",
        port=2014,
        socket="",
        socket_mode=0,
        numprocesses=2,
        working_dir="",
        graceful_timeout_s=12,
        run="deploy/var/run",
        state="deploy/var/state",
        log="deploy/var/log",
        max_size_bytes=10_000_000,
        count=5,
        log_format="json",
        settings={**settings, "HOSPITAL_HEARTBEAT_DIR": "deploy/var/run/beats"},
    )
