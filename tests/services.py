"""A real Kafka broker and a real PostgreSQL on loopback ports of their own, for tests and for developers.

Owns how they are had (jars from Maven, programs from Debian's packages), started, stopped by their process
ids, and swept away when an earlier run was killed. Refuses to skip: what cannot be had raises ServiceError
with one sentence. Needs nothing but Python's own library, so that it runs before anything is installed.

    python tests/services.py have     have what both need: install programs and fetch jars that are missing
    python tests/services.py up       start both and leave them running
    python tests/services.py env      the two variables that name them, to be exported
    python tests/services.py status   what runs, and where its logs are
    python tests/services.py down     stop them and delete their data
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from programs import Process, ServiceError, free_port, locked, need, run, start_tick, wait_until

KAFKA_VERSION = "4.3.0"
"""The broker that is tested against. Its jars, 46 of them in 43 MB, are resolved by Maven once for each user."""

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>strayframe</groupId><artifactId>test-broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
"""
"""What Maven copies the jars of: the broker, and the logging back end without which it complains at each start."""

COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
"""Named in full: by its short name Maven tells a network that fails as a plugin that it does not know."""

JAVA_AT_LEAST = 17
"""Kafka 4 brokers need Java 17 (Kafka's own documentation, "Java version")."""

MESSAGE_BYTES = 8 * 1024 * 1024
"""Largest message a topic takes unless it says otherwise: fit for a 4K still, too small for the setting `still_bytes`,
so that a topic made without its limits shows."""

READY_SECONDS = 90.0
"""How long a service may take to answer. The broker needs about 4 s on an idle core; CI machines share theirs."""

SESSION_MILLISECONDS = 3000
"""A killed broker may come back only once its old session is over. Kafka's 9 s made that restart last 13.5 s."""

KAFKA_VARIABLE = "STRAYFRAME_TEST_KAFKA"
"""Names a running broker (host:port), which is then used instead of one of our own."""

POSTGRES_VARIABLE = "STRAYFRAME_TEST_POSTGRES"
"""Names a running PostgreSQL (a URL whose user may create databases), used instead of one of our own."""

JAVA_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""For minutes, not for months: without the optimising compiler a broker costs 2.8 s of CPU to start instead of 4.1."""

FOLDER_PREFIX = "strayframe-services-"
"""Data folders are called PREFIX + owner + random, the owner being `kept` or a process's pid and start tick."""

STATE = Path(__file__).resolve().parent.parent / ".services" / "state.json"
"""Where `up` notes what it left running. Each checkout has its own."""


# --- what has to be installed ----------------------------------------------------------------------------


def java() -> str:
    """A Java that the broker runs on."""
    path = need(lambda: shutil.which("java"), "default-jre-headless", "A Java runtime")
    version = re.search(r'version "(\d+)', run([path, "-version"], "Asking Java for its version"))
    if version is None or int(version[1]) < JAVA_AT_LEAST:
        found = version[1] if version else "an unknown one"
        raise ServiceError(f"Kafka {KAFKA_VERSION} needs Java {JAVA_AT_LEAST} or newer, and {path} is {found}.")
    return path


def postgres_programs() -> Path:
    """The folder with PostgreSQL's server programs, the newest when several are installed."""

    def newest() -> str | None:
        installed = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
        return str(max(installed, key=lambda path: int(path.parent.name))) if installed else None

    return Path(need(newest, "postgresql", "PostgreSQL's server"))


def kafka_jars() -> Path:
    """The folder with the broker's jars, fetched by Maven on first use into the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "strayframe"
    jars = cache / f"kafka-{KAFKA_VERSION}"
    if jars.is_dir():
        return jars
    with locked(cache / "kafka.lock"):
        if not jars.is_dir():
            fetch_jars(jars)
    return jars


def fetch_jars(jars: Path) -> None:
    """Let Maven copy the jars beside `jars` and move them there whole, so that a killed run leaves no half."""
    maven = need(lambda: shutil.which("mvn"), "maven", "Maven")
    sys.stderr.write(f"services: fetching Kafka {KAFKA_VERSION} with Maven\n")
    with tempfile.TemporaryDirectory(dir=jars.parent) as work:
        Path(work, "pom.xml").write_text(POM)
        copy = [COPY_GOAL, "-DincludeScope=runtime", "-DoutputDirectory=jars"]
        run([maven, "-q", "-B", "-Dstyle.color=never", *copy], "Fetching Kafka's jars with Maven", cwd=Path(work))
        Path(work, "jars").rename(jars)


# --- the two services ------------------------------------------------------------------------------------


class Broker:
    """A single-node Kafka broker (KRaft) on a loopback port, which keeps port and data when started again.

    Topics are not created by being named: a test creates its own. `properties` override or add to the
    server.properties below, for listeners with SASL and for clusters.
    """

    def __init__(self, folder: Path, properties: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self._properties = dict(properties or {})
        self._process: Process | None = None

    @property
    def bootstrap(self) -> str:
        """What a client is given as bootstrap servers."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and return once it answers requests. A running one is left as it is."""
        if self._process is not None and self._process.alive():
            return
        classpath, program = f"{kafka_jars()}/*", java()
        if not (self.folder / "server.properties").exists():
            self._format(program, classpath)
        command = [program, *JAVA_OPTIONS, "-Xms128m", "-Xmx1g", "-cp", classpath, "kafka.Kafka", "server.properties"]
        self._process = Process.start(self.folder, "kafka", command)
        await_ready("Kafka", self._process, self.answers, self.folder / "kafka.log")

    def stop(self) -> None:
        """End it in order (SIGTERM)."""
        if self._process is not None:
            self._process.end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        if self._process is not None:
            self._process.end(signal.SIGKILL)

    def answers(self) -> bool:
        """Whether it serves requests."""
        return kafka_answers("127.0.0.1", self.port)

    def _format(self, program: str, classpath: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self._defaults(controller=free_port()) | self._properties
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        (self.folder / "server.properties").write_text(text)
        storage = [program, *JAVA_OPTIONS, "-cp", classpath, "kafka.tools.StorageTool", "format"]
        cluster = ["-t", str(uuid.uuid4()), "-c", "server.properties"]
        run([*storage, *cluster], "Formatting Kafka's storage", cwd=self.folder)

    def _defaults(self, controller: int) -> dict[str, str]:
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "message.max.bytes": str(MESSAGE_BYTES),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "5",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "5",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "broker.heartbeat.interval.ms": "500",
            "broker.session.timeout.ms": str(SESSION_MILLISECONDS),
        }


class Database:
    """A PostgreSQL server on a loopback port, which keeps port and data when started again.

    Local users are trusted and nothing is flushed to disk: it is for tests. When we are root it runs as the
    user `postgres`, because initdb refuses root.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._user = "postgres" if os.geteuid() == 0 else None
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """A URL of the maintenance database, whose user may create others."""
        return f"postgresql+psycopg://strayframe@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and return once it accepts connections. A running one is left as it is."""
        if self._process is not None and self._process.alive():
            return
        programs = postgres_programs()
        if not (self.folder / "data").exists():
            self._initialise(programs)
        settings = {
            "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "full_page_writes": "off",
            "synchronous_commit": "off", "max_connections": "200", "timezone": "UTC",
        }  # fmt: skip
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        command = [str(programs / "postgres"), "-D", "data", "-p", str(self.port), *options]
        self._process = Process.start(self.folder, "postgres", command, self._user)
        await_ready("PostgreSQL", self._process, self.answers, self.folder / "postgres.log")

    def stop(self) -> None:
        """End it in order, closing its connections (SIGINT, PostgreSQL's fast shutdown)."""
        if self._process is not None:
            self._process.end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        if self._process is not None:
            self._process.end(signal.SIGKILL)

    def answers(self) -> bool:
        """Whether it accepts connections."""
        probe = [str(postgres_programs() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(probe, check=False, stdin=subprocess.DEVNULL).returncode == 0

    def _initialise(self, programs: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        options = ["-A", "trust", "-U", "strayframe", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        run([str(programs / "initdb"), "-D", "data", *options], "Making a PostgreSQL cluster", self._user, self.folder)


def kafka_answers(host: str, port: int) -> bool:
    """Whether a broker answers an ApiVersions request (API key 18, version 0): the first thing a client asks."""
    client = b"strayframe"
    body = b"\x00\x12\x00\x00" + b"\x00\x00\x00\x07" + len(client).to_bytes(2, "big") + client
    try:
        with socket.create_connection((host, port), timeout=2) as link:
            link.sendall(len(body).to_bytes(4, "big") + body)
            return link.recv(8, socket.MSG_WAITALL)[4:] == b"\x00\x00\x00\x07"
    except OSError:
        return False


def await_ready(name: str, process: Process, answers: Callable[[], bool], log: Path) -> None:
    """Return once `answers` holds; ServiceError when the process ended or the time is over."""
    if not wait_until(lambda: answers() or not process.alive(), READY_SECONDS):
        process.end(signal.SIGKILL)
        raise ServiceError(f"{name} did not answer within {READY_SECONDS:.0f} s; its log is {log}.")
    if not process.alive():
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it wrote nothing"]
        raise ServiceError(f"{name} ended while starting: {last[0]}")


# --- both together ---------------------------------------------------------------------------------------


class Services:
    """What tests are given: services named by the environment, else those that `up` left running, else our own.

    Own ones are started when first asked for and stopped by `close`. `broker()` and `database()` give further
    ones that belong to the caller alone, to be stopped and killed at will.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._named = running() | {
            name: environment[name] for name in (KAFKA_VARIABLE, POSTGRES_VARIABLE) if environment.get(name)
        }
        self._folder: Path | None = None
        self._own: list[Broker | Database] = []

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def kafka(self) -> str:
        """Bootstrap servers of a broker that answers."""
        if KAFKA_VARIABLE not in self._named:
            self._named[KAFKA_VARIABLE] = self.broker().bootstrap
        servers = self._named[KAFKA_VARIABLE]
        host, _, port = servers.split(",")[0].rpartition(":")
        if not port.isdigit() or not kafka_answers(host.strip("[]"), int(port)):
            raise ServiceError(f"No Kafka broker answers at {servers}, which {KAFKA_VARIABLE} or `up` names.")
        return servers

    def postgres(self) -> str:
        """URL of a PostgreSQL whose user may create databases. Whether a named one answers shows on first use."""
        if POSTGRES_VARIABLE not in self._named:
            self._named[POSTGRES_VARIABLE] = self.database().url
        return self._named[POSTGRES_VARIABLE]

    def broker(self, properties: Mapping[str, str] | None = None) -> Broker:
        """A started broker of the caller's own."""
        broker = Broker(self._new_folder(), properties)
        self._own.append(broker)
        broker.start()
        return broker

    def database(self) -> Database:
        """A started PostgreSQL of the caller's own."""
        database = Database(self._new_folder())
        self._own.append(database)
        database.start()
        return database

    def close(self) -> None:
        """Stop everything that was started here and delete its data."""
        for service in self._own:
            service.kill() if isinstance(service, Broker) else service.stop()
        self._own.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _new_folder(self) -> Path:
        if self._folder is None:
            sweep()
            self._folder = data_folder(f"{os.getpid()}-{start_tick(os.getpid())}")
        return self._folder / str(len(self._own))


def data_folder(owner: str) -> Path:
    """A new folder for services' data; others may pass through it, because PostgreSQL is another user."""
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{owner}-"))
    folder.chmod(0o711)
    return folder


def sweep() -> None:
    """End the services of runs that were killed before they could, and delete their data."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        owner = re.match(re.escape(FOLDER_PREFIX) + r"(\d+)-(\d+)-", folder.name)
        if owner and folder.stat().st_uid == os.geteuid() and start_tick(int(owner[1])) != int(owner[2]):
            remove(folder)


def remove(folder: Path) -> None:
    """End every process noted under `folder` and delete it."""
    for note in folder.glob("*/*.pid"):
        Process.noted(note).end(signal.SIGINT if note.stem == "postgres" else signal.SIGTERM)
    shutil.rmtree(folder, ignore_errors=True)


# --- for a developer: left running between commands --------------------------------------------------------


def running() -> dict[str, str]:
    """The variables of the services that `up` left running; empty when they are not."""
    try:
        state = json.loads(STATE.read_text())
    except FileNotFoundError:
        return {}
    notes = list(Path(state["folder"]).glob("*/*.pid"))
    if len(notes) < len(state["variables"]) or not all(Process.noted(note).alive() for note in notes):
        return {}
    return {str(name): str(value) for name, value in state["variables"].items()}


def have() -> None:
    """Install and fetch what is missing for both."""
    java()
    kafka_jars()
    postgres_programs()


def up() -> None:
    """Start both and note where they are. Running ones are left as they are."""
    if running():
        return
    down()
    folder = data_folder("kept")
    broker, database = Broker(folder / "kafka"), Database(folder / "postgres")
    variables = {KAFKA_VARIABLE: broker.bootstrap, POSTGRES_VARIABLE: database.url}
    STATE.parent.mkdir(exist_ok=True)
    STATE.write_text(json.dumps({"folder": str(folder), "variables": variables}))
    try:
        broker.start()
        database.start()
    except BaseException:
        down()
        raise


def down() -> None:
    """Stop what `up` started and delete its data. Nothing running changes nothing."""
    if STATE.exists():
        remove(Path(json.loads(STATE.read_text())["folder"]))
        STATE.unlink()


def status() -> None:
    """Say what runs, and where its logs are."""
    for name, value in running().items():
        sys.stdout.write(f"{name}={value}\n")
    if not running():
        sys.stdout.write("Nothing runs; `python tests/services.py up` starts a broker and a PostgreSQL.\n")
    else:
        sys.stdout.write(f"logs: {json.loads(STATE.read_text())['folder']}/*/*.log\n")


def env() -> None:
    """Print the variables in a shell's words: eval "$(python tests/services.py env)"."""
    if not running():
        raise ServiceError("Nothing runs; `python tests/services.py up` starts a broker and a PostgreSQL.")
    for name, value in running().items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def main(arguments: Sequence[str]) -> int:
    """The command line; see the module's text."""
    commands = {"have": have, "up": up, "down": down, "status": status, "env": env}
    if len(arguments) != 1 or arguments[0] not in commands:
        sys.stderr.write((__doc__ or "").partition("    python")[1] + (__doc__ or "").partition("    python")[2])
        return 2
    try:
        commands[arguments[0]]()
    except ServiceError as error:
        sys.stderr.write(f"services: {error}\n")
        return 1
    if arguments[0] == "up":
        status()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
