"""pip in front of pypiserver, whose index pages state no lifetime.

Up to 26.2 pip asks for each index page with `Cache-Control: max-age=0`, from 26.3 on only with --refresh-package. So from then
on a new version is found at once where the index states lifetimes (as PyPI does), or with `--default-ttl 0s`.
"""

import base64
import hashlib
import io
import zipfile

from bench import APART, VENV, ask, check, equal, free_port, recipe

PRESET = "pip"
PYTHON = ["pypiserver==2.4.2", "pip==26.3"]
PYTHON_APART = ["pip==25.3"]


def wheel(name, version):
    """The bytes of a wheel with one module."""
    folder = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"version = {version!r}\n" + "# filler\n" * 2000,
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{folder}/WHEEL": "Wheel-Version: 1.0\nGenerator: larder\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    files[f"{folder}/RECORD"] = record + f"{folder}/RECORD,,\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return buffer.getvalue()


class Index:
    def __init__(self, bench):
        self.bench, self.packages = bench, bench.folder_for("packages")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def add(self, version):
        self.bench.write(self.packages / f"thing-{version}-py3-none-any.whl", wheel("thing", version), days_old=3)

    def serve(self):
        command = [VENV / "bin/pypi-server", "run", "--interface", "127.0.0.1", "--port", str(self.port)]
        command += ["--disable-fallback", "--server", "wsgiref", "--log-req-frmt", "ASKED %(REQUEST_METHOD)s %(PATH_INFO)s", "-v", "--log-stream", "stderr", self.packages]
        self.server = self.bench.start(command).wait_for_port(self.port)

    def requests(self, path):
        # pypiserver writes the line before it answers.
        return [line for line in self.server.text().splitlines() if "ASKED" in line and path in line]


def install(bench, larder, *options, environment=None):
    """Installs into a new folder, with an empty cache of pip's own, and returns the version that was found."""
    target = bench.folder_for("site")
    pip, *words = recipe("pip", larder.url).replace("NAME", "thing").split()
    command = [VENV / "bin/python", "-m", pip, *words, "--no-cache-dir", "--disable-pip-version-check", "--target", target]
    environment = {"PIP_CONFIG_FILE": "/dev/null", **(environment or {})}
    bench.run([*command, *options], environment=environment)
    return (target / "thing.py").read_text().split("'")[1]


def finds_a_new_version(bench, *options, flags=(), environment=None):
    index = Index(bench)
    index.add("1.0")
    index.serve()
    larder = bench.larder(index.url, *flags)
    equal(install(bench, larder, *options, environment=environment), "1.0", "the version that pip installs")
    larder.wait_for_age("/simple/thing/")
    index.add("2.0")
    new = install(bench, larder, *options, environment=environment)
    equal(new, "2.0", "the version that pip installs after 2.0 was published")


def test_finds_a_new_version_as_pip_25_does(bench):
    finds_a_new_version(bench, environment={"PYTHONPATH": str(APART / "pip==25.3")})


def test_finds_a_new_version_with_refresh_package(bench):
    finds_a_new_version(bench, "--refresh-package", ":all:")


def test_finds_a_new_version_with_default_ttl_0s(bench):
    finds_a_new_version(bench, flags=("--default-ttl", "0s"))


def test_downloads_a_wheel_from_the_cache(bench):
    index = Index(bench)
    index.add("1.0")
    index.serve()
    larder = bench.larder(index.url)
    for _ in range(2):
        install(bench, larder)
    equal(larder.last(r"\.whl$", 2).word, "HIT", "the wheel for the second machine")
    equal(len(index.requests(".whl")), 1, "requests for the wheel at the origin")


def test_names_its_own_address_in_the_links_of_the_index(bench):
    index = Index(bench)
    index.add("1.0")
    index.serve()
    larder = bench.larder(index.url)
    page = ask(f"{larder.url}/simple/thing/")
    check(str(index.port) not in page.text, f"no link of the index leads past Larder: {page.text}")
