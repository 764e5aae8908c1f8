"""Installs what the clients under test need: programs from Debian, Python's packages into an environment below target/.

Each client names its own: PROGRAMS (a program or file, and the Debian package that has it), PYTHON (packages of PyPI), and
PYTHON_APART (those that must not be in the same environment; each has a folder).
"""

import os
import shutil
import subprocess
import sys

from bench import APART, VENV


def there(program):
    return os.path.exists(program) if program.startswith("/") else shutil.which(program, path=search_path()) is not None


def search_path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def install(modules):
    """Returns for each client what it lacks after all, in words, or an empty text."""
    os.environ["PATH"] = search_path()
    programs = {program: package for module in modules.values() for program, package in getattr(module, "PROGRAMS", {}).items()}
    absent = sorted({package for program, package in programs.items() if not there(program)})
    if absent:
        from_debian(absent)
    python, apart = (
        sorted({package for module in modules.values() for package in getattr(module, name, [])})
        for name in ("PYTHON", "PYTHON_APART")
    )
    refused = from_pypi(python, apart)
    lacks = {}
    for name, module in modules.items():
        lacking = [
            f"Debian's package {package} ({program}) cannot be had"
            for program, package in getattr(module, "PROGRAMS", {}).items()
            if not there(program)
        ]
        wanted = [*getattr(module, "PYTHON", []), *getattr(module, "PYTHON_APART", [])]
        lacking += [f"PyPI's package {package} cannot be had" for package in wanted if package in refused]
        lacks[name] = "; ".join(lacking)
        if lacking:
            print(f"{name}: {lacks[name]}", file=sys.stderr)
    return lacks


def from_debian(packages):
    if os.getuid() != 0:
        print(f"missing: {' '.join(packages)}; install them, or run this as root", file=sys.stderr)
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    get = ["apt-get", "-q", "-y", "--no-install-recommends"]
    subprocess.run([*get, "update"], env=environment)
    if subprocess.run([*get, "install", *packages], env=environment).returncode == 0:
        return
    # One that cannot be had must not keep the others away.
    for package in packages:
        subprocess.run([*get, "install", package], env=environment)


def from_pypi(packages, apart):
    """Returns the packages that cannot be had."""
    if not packages and not apart:
        return []
    python = VENV / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    frozen = subprocess.run([*pip, "freeze", "--all"], capture_output=True, text=True).stdout.lower().split()
    missing = [([], package) for package in packages if package not in frozen]
    missing += [(["--no-deps", "--target", APART / package], package) for package in apart if not (APART / package).exists()]
    return [package for place, package in missing if subprocess.run([*pip, "install", "-q", *place, package]).returncode != 0]
