"""cargo in front of a static sparse index and its crates, served by nginx.

cargo sends no request directives, only conditions. The public index says `max-age=600`, here it is a few seconds. An index
without lifetimes needs `--default-ttl 0s`.
"""

import hashlib
import io
import json
import os
import re
import tarfile

from bench import ask, check, equal, recipe, wait_until

PRESET = "cargo"
PROGRAMS = {"cargo": "cargo", "/usr/sbin/nginx": "nginx-light"}
INDEX = "location /index/ { default_type text/plain; %s }"
SHORT = INDEX % 'add_header Cache-Control "public, max-age=3";'


def crate(version):
    """The bytes of a crate as `cargo package` makes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        manifest = f'[package]\nname = "thing"\nversion = "{version}"\nedition = "2021"\n'
        for name, text in (("Cargo.toml", manifest), ("src/lib.rs", "// filler\n" * 500)):
            entry = tarfile.TarInfo(f"thing-{version}/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


class Registry:
    def __init__(self, bench, rules):
        self.bench, self.root, self.lines = bench, bench.folder_for("registry"), ""
        self.publish("1.0.0", days_old=10)
        self.nginx = bench.nginx(self.root, rules)

    def publish(self, version, days_old):
        content = crate(version)
        self.bench.write(self.root / f"crates/thing-{version}.crate", content, days_old)
        line = {"name": "thing", "vers": version, "deps": [], "features": {}, "yanked": False}
        self.lines += json.dumps({**line, "cksum": hashlib.sha256(content).hexdigest()}) + "\n"
        self.bench.write(self.root / "index/th/in/thing", self.lines, days_old)

    def serve_through(self, *flags):
        larder = self.bench.larder(self.nginx.url, *flags)
        # An index names the address of its crates absolutely.
        place = larder.url + "/crates/{crate}-{version}.crate"
        self.bench.write(self.root / "index/config.json", json.dumps({"dl": place}), days_old=10)
        return larder


class Project:
    """A machine with a CARGO_HOME of its own."""

    def __init__(self, bench, larder):
        self.bench, self.home = bench, bench.folder_for("project")
        manifest = '[package]\nname = "project"\nversion = "1.0.0"\nedition = "2021"\n'
        manifest += '[dependencies]\nthing = { version = ">=1", registry = "mine" }\n'
        bench.write(self.home / "Cargo.toml", manifest)
        bench.write(self.home / "src/lib.rs", "")
        bench.write(self.home / ".cargo/config.toml", recipe("cargo", larder.url) + "\n")

    def cargo(self, *arguments):
        environment = {"CARGO_HOME": str(self.home / "cargo-home"), "CARGO_NET_RETRY": "0"}
        if "RUSTUP_HOME" not in os.environ:
            environment["RUSTUP_HOME"] = os.path.expanduser("~/.rustup")
        return self.bench.run(["cargo", *arguments], cwd=self.home, environment=environment)

    def update(self):
        self.cargo("update")
        self.cargo("fetch")
        return re.search(r'name = "thing"\nversion = "(.+?)"', (self.home / "Cargo.lock").read_text()).group(1)


def test_finds_a_new_version_once_the_lifetime_of_the_index_is_over(bench):
    registry = Registry(bench, SHORT)
    larder = registry.serve_through()
    project = Project(bench, larder)
    equal(project.update(), "1.0.0", "the version that cargo locks")
    registry.publish("2.0.0", days_old=0.01)
    wait_until(lambda: not ask(f"{larder.url}/index/th/in/thing").hit, "the index's lifetime is over", pause=0.2)
    equal(project.update(), "2.0.0", "the version that cargo locks after 2.0.0 was published")


def test_downloads_a_crate_from_the_cache(bench):
    registry = Registry(bench, SHORT)
    larder = registry.serve_through()
    for _ in range(2):
        equal(Project(bench, larder).update(), "1.0.0", "the version that cargo locks")
    equal(larder.last(r"\.crate$", 2).word, "HIT", "the crate for the second machine")
    equal(len(registry.nginx.requests(r"\.crate ")), 1, "requests for the crate at the origin")


def test_finds_a_new_version_at_once_with_default_ttl_0s_where_the_index_states_no_lifetime(bench):
    registry = Registry(bench, INDEX % "")
    larder = registry.serve_through("--default-ttl", "0s")
    equal(Project(bench, larder).update(), "1.0.0", "the version that cargo locks")
    equal(Project(bench, larder).update(), "1.0.0", "the version that cargo locks")
    whole = registry.nginx.requests(" 200 ")
    equal(len(whole), len(set(whole)), "each is transferred once from the origin, and validated from then on")
    check(registry.nginx.requests("/thing 304"), "the index is validated")
    registry.publish("2.0.0", days_old=0.01)
    equal(Project(bench, larder).update(), "2.0.0", "the version that cargo locks after 2.0.0 was published")
