"""Maven in front of a static repository, served by nginx without lifetimes.

Maven asks for everything with `Cache-Control: no-cache` and `Pragma: no-cache`. What it resolves here is a project's parent,
for which it needs no plugins.
"""

import hashlib
import re

from bench import check, equal, recipe

PRESET = "maven"
PROGRAMS = {"mvn": "maven", "/usr/sbin/nginx": "nginx-light"}
GROUP = "org/example/parent"


class Repository:
    def __init__(self, bench):
        self.bench, self.root, self.versions, self.builds = bench, bench.folder_for("repository"), [], 0

    def write(self, path, text, days_old):
        self.bench.write(self.root / GROUP / path, text, days_old)
        self.bench.write(self.root / GROUP / f"{path}.sha1", hashlib.sha1(text.encode()).hexdigest(), days_old)

    def pom(self, version, mark):
        name = "<groupId>org.example</groupId><artifactId>parent</artifactId>"
        text = f"<project><modelVersion>4.0.0</modelVersion>{name}<version>{version}</version><packaging>pom</packaging>"
        return f"{text}<description>{mark}</description></project>\n"

    def release(self, version, days_old):
        self.versions.append(version)
        listed = "".join(f"<version>{one}</version>" for one in self.versions)
        versioning = f"<release>{version}</release><versions>{listed}</versions><lastUpdated>2026110100000{len(self.versions)}</lastUpdated>"
        self.metadata("", versioning, days_old)
        self.write(f"{version}/parent-{version}.pom", self.pom(version, f"release {version}"), days_old)

    def snapshot(self, days_old):
        self.builds += 1
        value, moment = f"20261101.00000{self.builds}-{self.builds}", f"2026110100000{self.builds}"
        builds = f"<timestamp>{value.partition('-')[0]}</timestamp><buildNumber>{self.builds}</buildNumber>"
        built = f"<extension>pom</extension><value>1.0-{value}</value><updated>{moment}</updated>"
        versioning = f"<snapshot>{builds}</snapshot><lastUpdated>{moment}</lastUpdated>"
        versioning += f"<snapshotVersions><snapshotVersion>{built}</snapshotVersion></snapshotVersions>"
        self.metadata("1.0-SNAPSHOT/", versioning, days_old, "<version>1.0-SNAPSHOT</version>")
        self.write(f"1.0-SNAPSHOT/parent-1.0-{value}.pom", self.pom("1.0-SNAPSHOT", f"build {self.builds}"), days_old)

    def metadata(self, place, versioning, days_old, version=""):
        name = f"<groupId>org.example</groupId><artifactId>parent</artifactId>{version}"
        text = f'<metadata modelVersion="1.1.0">{name}<versioning>{versioning}</versioning></metadata>\n'
        self.write(f"{place}maven-metadata.xml", text, days_old)


class Machine:
    """A Maven with a local repository of its own, whose only mirror is Larder."""

    def __init__(self, bench, larder):
        self.bench, self.home = bench, bench.folder_for("machine")
        mirror = recipe("Maven", larder.url)
        snapshots = "<snapshots><enabled>true</enabled><updatePolicy>always</updatePolicy></snapshots>"
        repository = f"<repository><id>mine</id><url>http://mine.example</url>{snapshots}</repository>"
        profile = f"<profile><id>mine</id><repositories>{repository}</repositories></profile>"
        bench.write(
            self.home / "settings.xml",
            f"<settings><localRepository>{self.home}/local</localRepository><mirrors>{mirror}</mirrors>"
            f"<profiles>{profile}</profiles><activeProfiles><activeProfile>mine</activeProfile></activeProfiles></settings>",
        )

    def parent(self, version):
        """Resolves a project with this parent, and returns what the newest parent in the local repository says."""
        parent = f"<parent><groupId>org.example</groupId><artifactId>parent</artifactId><version>{version}</version><relativePath/></parent>"
        project = f"<artifactId>project</artifactId><version>1</version><packaging>pom</packaging>"
        self.bench.write(self.home / "pom.xml", f"<project><modelVersion>4.0.0</modelVersion>{parent}{project}</project>")
        command = ["mvn", "--batch-mode", "--update-snapshots", "--strict-checksums", "--settings", self.home / "settings.xml", "validate"]
        text = self.bench.run(command, cwd=self.home, environment={"MAVEN_OPTS": f"-Duser.home={self.home} -XX:TieredStopAtLevel=1"})
        check("BUILD SUCCESS" in text, f"the build succeeds:\n{text[-1000:]}")
        poms = [pom.read_text() for pom in (self.home / "local" / GROUP).rglob("*.pom")]
        return max(re.search("<description>(.*)</description>", pom).group(1) for pom in poms)


def test_finds_a_new_snapshot(bench):
    repository = Repository(bench)
    repository.snapshot(days_old=10)
    nginx = bench.nginx(repository.root)
    larder = bench.larder(nginx.url)
    machine = Machine(bench, larder)
    equal(machine.parent("1.0-SNAPSHOT"), "build 1", "the parent")
    larder.wait_for_age(f"/{GROUP}/1.0-SNAPSHOT/maven-metadata.xml.sha1")
    repository.snapshot(days_old=0.01)
    equal(machine.parent("1.0-SNAPSHOT"), "build 2", "the parent after a new snapshot was deployed")


def test_finds_a_new_release_and_has_the_old_one_from_the_cache(bench):
    repository = Repository(bench)
    repository.release("1.0", days_old=10)
    nginx = bench.nginx(repository.root)
    larder = bench.larder(nginx.url)
    for _ in range(2):
        equal(Machine(bench, larder).parent("[1.0,2.0)"), "release 1.0", "the parent")
    pom = f"{GROUP}/1.0/parent-1.0.pom"
    equal(larder.last(f"{pom}$", 2).word, "HIT", "the parent for the second machine")
    equal(len(nginx.requests(f"{pom} 200")), 1, "transfers of the parent from the origin")
    larder.wait_for_age(f"/{GROUP}/maven-metadata.xml.sha1")
    repository.release("1.1", days_old=0.01)
    equal(Machine(bench, larder).parent("[1.0,2.0)"), "release 1.1", "the parent after 1.1 was released")
