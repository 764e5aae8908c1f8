"""apt in front of a signed repository made by dpkg-scanpackages and served by nginx, which states no lifetimes."""

import gzip
import hashlib
import re
from email.utils import formatdate
from time import time

from bench import age, ask, check, equal, recipe

PRESET = "apt"
PROGRAMS = {
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg-scanpackages": "dpkg-dev",
    "dpkg-deb": "dpkg",
    "gpg": "gnupg",
    "gpgconf": "gnupg",
    "/usr/bin/gpgv": "gpgv",
    "/usr/sbin/nginx": "nginx-light",
}
# apt asks for it after InRelease.
INDEX = "/dists/stable/main/binary-all/Packages.gz"
MISMATCH = re.compile(r"mirror sync|hash sum mismatch|unexpected size|^E: ", re.I | re.M)


class Repository:
    def __init__(self, bench, by_hash):
        self.bench, self.by_hash = bench, by_hash
        self.root = bench.folder_for("repository")
        self.release = self.root / "dists/stable"
        self.index = self.release / "main/binary-all"
        self.keys = bench.folder_for("keys")
        self.keys.chmod(0o700)
        self.gpg = ["gpg", "--homedir", self.keys, "--batch", "--yes", "--quiet"]
        bench.run([*self.gpg, "--passphrase", "", "--quick-generate-key", "repository@example.org", "ed25519", "sign"])
        self.key = bench.folder / "repository.gpg"
        bench.run([*self.gpg, "--output", self.key, "--export"])
        bench.run(["gpgconf", "--homedir", self.keys, "--kill", "all"])

    def add(self, name, version):
        tree = self.bench.folder_for("package")
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: {name}\n"
        self.bench.write(tree / "DEBIAN/control", control)
        self.bench.write(tree / f"usr/share/{name}/content", f"{name} {version}\n" * 500)
        (self.root / "pool").mkdir(exist_ok=True)
        package = self.root / f"pool/{name}_{version}_all.deb"
        self.bench.run(["dpkg-deb", "--root-owner-group", "--build", tree, package])
        age(package, 10)

    def sign(self, days_old):
        """Writes Packages, Packages.gz, Release and InRelease anew. They are that old."""
        packages = self.bench.run(["dpkg-scanpackages", "--multiversion", "pool"], cwd=self.root)
        packages = re.sub(r"^dpkg-scanpackages: .*\n", "", packages, flags=re.M).encode()
        lines = []
        for name, content in (("Packages", packages), ("Packages.gz", gzip.compress(packages, mtime=0))):
            digest = hashlib.sha256(content).hexdigest()
            lines.append(f" {digest} {len(content)} main/binary-all/{name}\n")
            self.bench.write(self.index / name, content, days_old)
            self.bench.write(self.index / "by-hash/SHA256" / digest, content, days_old)
        release = (
            f"Origin: Test\nSuite: stable\nCodename: stable\nDate: {formatdate(time() - days_old * 86400, usegmt=True)}\n"
            f"Architectures: all amd64\nComponents: main\nAcquire-By-Hash: {'yes' if self.by_hash else 'no'}\n"
            f"SHA256:\n{''.join(lines)}"
        )
        plain = self.bench.write(self.release / "Release", release, days_old)
        signed = self.release / "InRelease"
        self.bench.run([*self.gpg, "--output", signed, "--clearsign", plain])
        self.bench.run(["gpgconf", "--homedir", self.keys, "--kill", "all"])
        age(signed, days_old)


class Machine:
    """An apt with folders of its own: the system's sources, lists and cache are left alone."""

    def __init__(self, bench, repository, url):
        self.bench, self.home = bench, bench.folder_for("machine")
        for folder in ("state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d"):
            (self.home / folder).mkdir(parents=True)
        bench.write(self.home / "state/status", "")
        source = recipe("apt", url).replace("[signed-by=KEY]", f"[arch=all signed-by={repository.key}]")
        bench.write(self.home / "etc/sources.list", source + "\n")
        bench.write(
            self.home / "apt.conf",
            f'Dir::Etc "{self.home}/etc"; Dir::State "{self.home}/state"; Dir::State::status "{self.home}/state/status";\n'
            f'Dir::Cache "{self.home}/cache"; APT::Sandbox::User "root"; Acquire::Retries "0"; Acquire::Languages "none";\n'
            'APT::Architecture "amd64"; APT::Architectures { "amd64"; };\n',
        )

    def apt(self, *arguments, **how):
        environment = {"APT_CONFIG": str(self.home / "apt.conf")}
        return self.bench.run(arguments, environment=environment, cwd=self.home, **how)

    def update(self):
        text = self.apt("apt-get", "update", succeeds=False)
        check(not MISMATCH.search(text), f"`apt-get update` finds no mismatch:\n{text}")
        return text

    def versions(self, package):
        return re.findall(r"^Version: (.+)$", self.apt("apt-cache", "show", package, succeeds=False), re.M)


def finds_what_is_new(bench, by_hash):
    repository = Repository(bench, by_hash)
    repository.add("first", "1.0")
    repository.sign(days_old=10)
    nginx = bench.nginx(repository.root)
    larder = bench.larder(nginx.url)
    old = Machine(bench, repository, larder.url)
    old.update()
    equal(old.versions("first"), ["1.0"], "apt finds the package")

    larder.wait_for_age("/dists/stable/InRelease" if by_hash else INDEX)
    repository.add("first", "2.0")
    repository.add("second", "1.0")
    repository.sign(days_old=0.01)

    for who, machine in (("the same machine", old), ("a new machine", Machine(bench, repository, larder.url))):
        machine.update()
        equal(machine.versions("first"), ["2.0", "1.0"], f"{who} finds the new version")
        equal(machine.versions("second"), ["1.0"], f"{who} finds the new package")
    machine.apt("apt-get", "download", "second")
    check((machine.home / "second_1.0_all.deb").exists(), "the new package is downloaded")


def test_finds_new_packages_after_the_repository_was_signed_anew(bench):
    finds_what_is_new(bench, by_hash=False)


def test_finds_new_packages_by_hash_after_the_repository_was_signed_anew(bench):
    finds_what_is_new(bench, by_hash=True)


def test_sees_no_mismatch_where_only_a_part_of_the_index_was_stored_before(bench):
    repository = Repository(bench, by_hash=False)
    repository.add("first", "1.0")
    repository.sign(days_old=10)
    nginx = bench.nginx(repository.root)
    for number, stored in enumerate(("InRelease", "main/binary-all/Packages.gz")):
        larder = bench.larder(nginx.url)
        ask(f"{larder.url}/dists/stable/{stored}")
        larder.wait_for_age(f"/dists/stable/{stored}")
        repository.add("first", f"2.{number}")
        repository.sign(days_old=0.01)
        machine = Machine(bench, repository, larder.url)
        machine.update()
        check(f"2.{number}" in machine.versions("first"), f"apt finds the new version where {stored} was stored")


def test_downloads_a_package_from_the_cache_and_validates_the_index(bench):
    repository = Repository(bench, by_hash=False)
    repository.add("first", "1.0")
    repository.sign(days_old=10)
    nginx = bench.nginx(repository.root)
    larder = bench.larder(nginx.url)
    for _ in range(2):
        machine = Machine(bench, repository, larder.url)
        machine.update()
        machine.apt("apt-get", "download", "first")
        larder.wait_for_age(INDEX)
    equal(larder.last(r"\.deb$", 2).word, "HIT", "the second machine's package")
    equal(len(nginx.requests(r"\.deb ")), 1, "requests for the package at the origin")
    equal(len(nginx.requests(r"InRelease 200")), 1, "transfers of InRelease from the origin")
    check(len(nginx.requests(r"InRelease 304")) >= 1, "InRelease is validated at the origin")
    text = machine.update()
    check(re.search(r"^Hit:", text, re.M), f"apt says Hit where nothing has changed:\n{text}")
