"""The origin and the servers that are measured: how each is configured and started."""

import errno
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
LARDER = ROOT / "target/release/larder"

# Servers that write a line for each request are called NAME-log.
LOG = "-log"

ORIGIN = """
worker_processes 1; daemon off; pid {folder}/origin.pid; error_log stderr; user root;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; sendfile on; {temporary}
  server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}/site;
    location / {{ add_header Cache-Control max-age=36000; rewrite ^ /body break; }}
    location /validate {{ add_header Cache-Control no-cache; rewrite ^ /body break; }}
    location /vary {{ add_header Cache-Control max-age=36000; add_header Vary Accept-Encoding; rewrite ^ /body break; }}
    location /vary-two {{ add_header Cache-Control max-age=36000; add_header Vary "Accept-Encoding, Accept-Language";
      rewrite ^ /body break; }} }} }}
"""

NGINX = """
worker_processes {workers}; daemon off; pid {folder}/{name}.pid; error_log stderr; user root;
events {{ worker_connections 4096; }}
http {{ access_log {log}; keepalive_requests 1000000000; sendfile on; tcp_nopush on; {temporary}
  proxy_cache_path {folder}/{name}-cache levels=1:2 keys_zone=cache:256m max_size={room} inactive=10h use_temp_path=off;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache cache; add_header X-Cache $upstream_cache_status; }} }} }}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 60s
cache all
  total-max-size 64
  max-object-size 1000000
  max-age 36000
listen proxy
  bind 127.0.0.1:{port} backlog 4096
  http-request cache-use all
  http-response cache-store all
  server origin 127.0.0.1:{origin}
"""


def free_port():
    """A port that is free now, below those that the system gives to whoever asks for any."""
    for port in random.sample(range(10_000, 30_000), 100):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED:
                return port
    sys.exit("no free port between 10000 and 30000")


def await_answer(process, url):
    """The body of an answer with 200, as soon as there is one."""
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            return urllib.request.urlopen(url, timeout=60).read()
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{process.args} does not answer at {url}")


class Servers:
    """The origin and servers beside it, each on a port of its own, in one folder."""

    def __init__(self, folder, names, larder, core, other, workers=1):
        """The servers run on `core`, or, with more than one worker, on both; the origin runs on the other one."""
        self.folder, self.larder, self.other, self.workers, self.processes = folder, larder, other, workers, {}
        self.core = core if workers == 1 else f"{core},{other}"
        self.ports = {name: free_port() for name in ("origin", *names)}
        (folder / "site").mkdir()

    def url(self, name, path="warm"):
        return f"http://127.0.0.1:{self.ports[name]}/{path}"

    def log(self, name):
        """Where a server writes a line for each request, if it does."""
        return self.folder / f"{name}.log" if name.endswith(LOG) else None

    def words(self, name, room, flags):
        """The command that starts a server. It may store `room` bytes."""
        folder, port, log = self.folder, self.ports[name], self.log(name)
        if name.startswith("larder"):
            return [self.larder, "--origin", self.url("origin", ""), "--port", str(port), "--workers", str(self.workers),
                    "--cache-dir", str(folder / f"{name}-cache"), "--disk", f"{room}B", *([] if log else ["-q"]), *flags]
        if name == "floor":
            subprocess.run(["cc", "-O2", "-o", folder / "floor", ROOT / "benches/floor.c"], check=True)
            return [str(folder / "floor"), str(port), str(folder / "site/body")]
        if name == "varnish":
            return ["varnishd", "-F", "-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{self.ports['origin']}", "-n",
                    str(folder / "varnish"), "-s", "malloc,256m", "-p", "thread_pools=1", "-p", "http_max_hdr=128"]
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        text = {"origin": ORIGIN, "haproxy": HAPROXY}.get(name, NGINX)
        conf = folder / f"{name}.conf"
        conf.write_text(text.format(name=name, folder=folder, temporary=temporary, port=port, room=room, workers=self.workers,
                                    origin=self.ports["origin"], log=log or "off"))
        return ["haproxy", "-db", "-f", str(conf)] if name == "haproxy" else ["nginx", "-c", str(conf), "-e", "stderr"]

    def start(self, name, room=1 << 30, flags=(), under=()):
        """Starts a server, under another program if one is named, and awaits its first answer."""
        # Varnish tells of its start and its end there
        stderr = subprocess.DEVNULL if name == "varnish" else None
        if name.startswith("larder"):
            stderr = open(self.log(name) or self.folder / f"{name}.err", "ab")
        core = self.other if name == "origin" else self.core
        words = ["taskset", "-c", str(core), *under, *self.words(name, room, flags)]
        self.processes[name] = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=stderr)
        if await_answer(self.processes[name], self.url(name)) != (self.folder / "site/body").read_bytes():
            sys.exit(f"{name} answers with other bytes than the origin's")
        if name.startswith("larder"):
            # what came before the store was open need not be stored
            self.await_stats(name, "state", "open")
            await_answer(self.processes[name], self.url(name))

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait()
        for file in self.folder.glob("*.err"):
            problems = [line for line in file.read_text().splitlines() if " WARN " in line or " ERROR " in line]
            print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
            file.unlink()

    def stats(self, name):
        """What `larder stats` says of a Larder."""
        folder = str(self.folder / f"{name}-cache")
        words = ["taskset", "-c", str(self.other), self.larder, "stats", "--json", "--cache-dir", folder]
        return json.loads(subprocess.run(words, capture_output=True, check=True).stdout)[folder]

    def await_stats(self, name, field, value):
        for _ in range(1200):
            if self.stats(name)[field] == value:
                return
            time.sleep(0.05)
        sys.exit(f"{field} of {name} does not become {value}: {self.stats(name)}")

    def stored(self, name):
        """How many responses are in a server's cache."""
        if name.startswith("larder"):
            return self.stats(name)["responses"]
        return sum(len(files) for _, _, files in os.walk(self.folder / f"{name}-cache"))

    def answers_from_its_cache(self, name):
        fields = urllib.request.urlopen(self.url(name)).headers
        if name == "varnish":
            # of a hit it names two requests: this one, and the one that fetched
            return len(fields["X-Varnish"].split()) == 2
        return fields["Age"] is not None if name == "haproxy" else fields["X-Cache"] == "HIT"
