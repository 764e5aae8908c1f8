"""What every test has at hand: a temporary folder, processes that end with the test, Larder, nginx, and plain HTTP."""

import contextlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
VENV = ROOT / "target/real-clients/venv"
APART = ROOT / "target/real-clients/apart"
PAUSE = threading.Event()
PORTS = threading.Lock()


class Failed(Exception):
    """A check that did not hold."""


def check(condition, sentence):
    if not condition:
        raise Failed(sentence)


def equal(is_now, expected, sentence):
    if is_now != expected:
        raise Failed(f"{sentence}: expected {short(expected)}, but it is {short(is_now)}")


def short(value):
    text = repr(value)
    return text if len(text) < 500 else f"{text[:400]}... ({len(value)} long)"


def wait_until(condition, sentence, seconds=20, pause=0.02):
    """Polls until the condition returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"{sentence}: not within {seconds} s")
        PAUSE.wait(pause)


def larder_program():
    """LARDER in the environment, else the release binary, else the debug binary."""
    for name in (os.environ.get("LARDER"), ROOT / "target/release/larder", ROOT / "target/debug/larder"):
        if name and os.access(name, os.X_OK):
            return str(name)
    raise SystemExit("no Larder to test: run `cargo build --release`, or set LARDER=/path/to/larder")


def recipe(client, url):
    """What the README says to write for this client, with this URL of Larder in place of the one there."""
    rows = (ROOT / "README.md").read_text().splitlines()
    row = next((row for row in rows if row.startswith(f"| {client} | `")), None)
    if row is None:
        raise Failed(f"the README has a recipe for {client}")
    return row.split("`")[1].replace("127.0.0.1:3000", urllib.parse.urlsplit(url).netloc)


def recipe_of_lines(title, url):
    """The lines of the README behind this comment, with this URL of Larder in place of the one there."""
    text = (ROOT / "README.md").read_text().replace("127.0.0.1:3000", urllib.parse.urlsplit(url).netloc)
    _, found, rest = text.partition(f"\n    # {title}\n")
    if not found:
        raise Failed(f"the README has lines for {title}")
    return rest.partition("\n\n")[0]


HANDED_OUT = set()


def free_port():
    """A port that no other test has been given."""
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        with PORTS:
            if port not in HANDED_OUT:
                HANDED_OUT.add(port)
                return port


class Reply:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def field(self, name):
        return self.fields.get(name)

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def hit(self):
        return self.field("X-Cache") == "HIT"


def ask(url, method="GET", fields=None, body=None):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        connection.request(method, target, body, fields or {})
        reply = connection.getresponse()
        return Reply(reply.status, reply.headers, reply.read())
    finally:
        connection.close()


class Process:
    """A server that runs until the test ends. Its output goes to a file."""

    def __init__(self, command, folder, **how):
        self.name = pathlib.Path(command[0]).name
        self.log = folder / f"{self.name}-{free_port()}.log"
        how.setdefault("env", clean_environment())
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **how,
            )

    def text(self):
        return self.log.read_text("utf-8", "replace")

    def wait_for(self, pattern, seconds=30):
        def found():
            match = re.search(pattern, self.text())
            if not match and self.process.poll() is not None:
                raise Failed(f"{self.name} ended with {self.process.returncode}: {self.text()[-1000:]}")
            return match

        return wait_until(found, f"{self.name} says {pattern!r}", seconds)

    def wait_for_port(self, port, seconds=30):
        def open_now():
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended with {self.process.returncode}: {self.text()[-1000:]}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                return False

        wait_until(open_now, f"{self.name} listens on port {port}", seconds)
        return self

    def end(self):
        """Ends the process and its own children, which are a process group of their own."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Answer:
    """One line of Larder's log: the word (HIT, MISS ...), the status, the method and the target."""

    LINE = re.compile(r"^\S+ \S+ +(HIT|MISS|STALE|----) (\S+) (\S+) (\S+) ")

    def __init__(self, match):
        self.word, self.status, self.method, self.target = match.groups()

    def __repr__(self):
        return f"{self.word} {self.status} {self.method} {self.target}"


class Larder(Process):
    def __init__(self, origin, folder, flags, preset=None):
        command = [larder_program(), "--origin", origin, "--port", "0", "--cache-dir", folder / "cache", *flags]
        self.preset = preset
        if preset:
            (folder / "larder.toml").write_text(f'preset = "{preset}"\n')
            command += ["--config", folder / "larder.toml"]
        super().__init__(command, folder)
        try:
            self.port = int(self.wait_for(r"listening on http://127\.0\.0\.1:(\d+)").group(1))
        except Failed:
            self.end()
            raise
        self.url = f"http://127.0.0.1:{self.port}"

    def answers(self, target=None):
        """The answers so far, of those requests whose target the pattern matches."""
        lines = map(Answer.LINE.match, self.text().splitlines())
        answers = [Answer(match) for match in lines if match]
        return [answer for answer in answers if target is None or re.search(target, answer.target)]

    def last(self, target, count):
        """The last answer to a request for the target, once there are that many."""
        sentence = f"Larder answers {count} requests for {target}"
        return wait_until(lambda: self.answers(target)[count - 1 :], sentence)[-1]

    def wait_for_age(self, path, seconds=2):
        """Waits until what is stored for the path is that old. A reload is followed at most once a second.

        A preset has each index validated before each use. Then no reload is to be followed, and what is stored never gets
        old: asking for it makes it new.
        """
        if self.preset:
            reply = ask(self.url + path)
            check("fwd-status=" in reply.field("Cache-Status"), f"{path} is validated: {reply.field('Cache-Status')}")
            return

        def old_enough():
            reply = ask(self.url + path)
            return not reply.hit or int(reply.field("Age")) >= seconds

        wait_until(old_enough, f"what is stored for {path} is {seconds} s old", pause=0.2)


class Nginx(Process):
    CONFIGURATION = """
        daemon off; master_process off; pid %(home)s/pid; error_log stderr;
        events { worker_connections 512; }
        http {
            types {
                text/html html; text/css css; application/javascript js; application/json json; image/png png;
                audio/wav wav; text/xml xml pom;
            }
            default_type application/octet-stream;
            log_format plain '$request_method $request_uri $status "$http_range"';
            access_log %(home)s/access.log plain;
            client_body_temp_path %(home)s/body; proxy_temp_path %(home)s/proxy; fastcgi_temp_path %(home)s/fastcgi;
            uwsgi_temp_path %(home)s/uwsgi; scgi_temp_path %(home)s/scgi;
            server { listen 127.0.0.1:%(port)d; root %(root)s; location = /--mark-- { return 204; } %(rules)s }
        }"""

    def __init__(self, root, folder, rules):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        home = folder / f"nginx-{self.port}"
        home.mkdir()
        self.access_log = home / "access.log"
        values = {"home": home, "port": self.port, "root": root, "rules": rules}
        (home / "nginx.conf").write_text(self.CONFIGURATION % values)
        super().__init__(["/usr/sbin/nginx", "-e", "stderr", "-p", home, "-c", home / "nginx.conf"], folder)
        self.wait_for_port(self.port)

    def requests(self, pattern=""):
        """The lines of the access log. All are there that were answered before: there is one process, and a mark in the log."""
        mark = f"/--mark--?{free_port()}.{time.monotonic_ns()}"
        ask(self.url + mark)
        text = wait_until(
            lambda: (log := self.access_log.read_text()) and mark in log and log, "nginx writes its access log"
        )
        return [line for line in text.splitlines() if "/--mark--" not in line and re.search(pattern, line)]


class Bench:
    """Belongs to one test, and is closed after it. With a preset each Larder has the rules of that."""

    def __init__(self, preset=None):
        self.preset = preset
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="larder-real-clients-"))
        self.processes = []

    def start(self, command, **how):
        self.processes.append(Process(command, self.folder, **how))
        return self.processes[-1]

    def larder(self, origin, *flags):
        self.processes.append(Larder(origin, self.folder_for("larder"), flags, self.preset))
        return self.processes[-1]

    def nginx(self, root, rules=""):
        self.processes.append(Nginx(root, self.folder, rules))
        return self.processes[-1]

    def folder_for(self, name):
        path = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        path.mkdir(parents=True)
        return path

    def write(self, path, content, days_old=None):
        """Writes a file below the folder of the test. Its modification time is that many days ago."""
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if days_old is not None:
            age(path, days_old)
        return path

    def environment(self):
        return {**clean_environment(), "HOME": str(self.folder)}

    def run(self, command, succeeds=True, seconds=60, environment=None, **how):
        """Runs a client to its end and returns what it printed, both streams together."""
        done = subprocess.run(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            env={**self.environment(), **(environment or {})},
            **{"stdin": subprocess.DEVNULL, **how} if "input" not in how else how,
        )
        text = done.stdout.decode("utf-8", "replace")
        if succeeds and done.returncode != 0:
            raise Failed(f"`{' '.join(map(str, command))}` ended with {done.returncode}:\n{text[-1500:].strip()}")
        return text

    def close(self):
        for process in reversed(self.processes):
            # One that is gone already must not keep the others running.
            with contextlib.suppress(Failed, OSError):
                process.end()
        shutil.rmtree(self.folder, ignore_errors=True)


def age(path, days):
    moment = time.time() - days * 86400
    os.utime(path, (moment, moment))


def clean_environment():
    """The environment without proxies, and without what steers the clients under test."""
    steering = re.compile(r"(_proxy$|^pip_|^npm_|^cargo_(?!home$)|^git_|^larder)", re.I)
    return {
        **{name: value for name, value in os.environ.items() if not steering.search(name)},
        "LC_ALL": "C.UTF-8",
        "NO_PROXY": "*",
        "no_proxy": "*",
    }
