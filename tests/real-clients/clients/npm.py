"""npm in front of a static registry: a packument and tarballs, served by nginx.

npm sends no request directives at all, only conditions. So what it finds is what the registry's lifetime lets it find: the
public registry says `max-age=300`, here it is a few seconds. A registry without lifetimes needs `--default-ttl 0s`.
"""

import base64
import hashlib
import io
import json
import os
import tarfile

from bench import ask, check, equal, recipe, wait_until

PRESET = "npm"
PROGRAMS = {"npm": "npm", "/usr/sbin/nginx": "nginx-light"}
PACKUMENTS = "location = /thing { default_type application/json; %s }"
SHORT = PACKUMENTS % 'add_header Cache-Control "public, max-age=3";'


def tarball(version):
    """The bytes of a package as `npm pack` makes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in (
            ("package.json", json.dumps({"name": "thing", "version": version})),
            ("index.js", "// filler\n" * 500),
        ):
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


class Registry:
    def __init__(self, bench, rules):
        self.bench, self.root, self.versions = bench, bench.folder_for("registry"), {}
        self.publish("1.0.0", days_old=10)
        self.nginx = bench.nginx(self.root, rules)

    def publish(self, version, days_old):
        content = tarball(version)
        self.bench.write(self.root / f"files/thing-{version}.tgz", content, days_old)
        # npm puts its own registry in the place of this host.
        place = f"https://registry.npmjs.org/files/thing-{version}.tgz"
        digest = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
        self.versions[version] = {"name": "thing", "version": version, "dist": {"tarball": place, "integrity": digest}}
        packument = {"name": "thing", "dist-tags": {"latest": version}, "versions": self.versions}
        self.bench.write(self.root / "thing", json.dumps(packument), days_old)


class Project:
    """A machine with an npm cache of its own."""

    def __init__(self, bench, larder):
        self.bench, self.larder, self.home = bench, larder, bench.folder_for("project")
        bench.write(self.home / "package.json", '{"name": "project", "version": "1.0.0", "private": true}')

    def npm(self, *arguments):
        options = ["--cache", self.home / "cache", "--no-audit", "--no-fund", "--no-update-notifier"]
        options += ["--userconfig", os.devnull, "--fetch-retries", "0"]
        return self.bench.run(["npm", *arguments, *options], cwd=self.home)

    def install(self):
        self.npm(*recipe("npm", self.larder.url).replace("NAME", "thing@latest").split()[1:])
        return json.loads((self.home / "node_modules/thing/package.json").read_text())["version"]


def test_finds_a_new_version_once_the_lifetime_of_the_packument_is_over(bench):
    registry = Registry(bench, SHORT)
    larder = bench.larder(registry.nginx.url)
    project = Project(bench, larder)
    equal(project.install(), "1.0.0", "the version that npm installs")
    registry.publish("2.0.0", days_old=0.01)
    wait_until(lambda: not ask(f"{larder.url}/thing").hit, "the packument's lifetime is over", pause=0.2)
    equal(project.npm("view", "--registry", larder.url, "thing", "version").strip(), "2.0.0", "the version that `npm view` shows")
    equal(project.install(), "2.0.0", "the version that npm installs after 2.0.0 was published")


def test_downloads_a_tarball_from_the_cache(bench):
    registry = Registry(bench, SHORT)
    larder = bench.larder(registry.nginx.url)
    for _ in range(2):
        equal(Project(bench, larder).install(), "1.0.0", "the version that npm installs")
    equal(larder.last(r"\.tgz$", 2).word, "HIT", "the tarball for the second machine")
    equal(len(registry.nginx.requests(r"\.tgz ")), 1, "requests for the tarball at the origin")


def test_finds_a_new_version_at_once_with_default_ttl_0s_where_the_registry_states_no_lifetime(bench):
    registry = Registry(bench, PACKUMENTS % "")
    larder = bench.larder(registry.nginx.url, "--default-ttl", "0s")
    equal(Project(bench, larder).install(), "1.0.0", "the version that npm installs")
    equal(Project(bench, larder).install(), "1.0.0", "the version that npm installs")
    whole = registry.nginx.requests(" 200 ")
    equal(len(whole), len(set(whole)), "each is transferred once from the origin, and validated from then on")
    check(registry.nginx.requests("/thing 304"), "the packument is validated")
    registry.publish("2.0.0", days_old=0.01)
    equal(Project(bench, larder).install(), "2.0.0", "the version that npm installs after 2.0.0 was published")
