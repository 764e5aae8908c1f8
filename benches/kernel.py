"""What the kernel counts for a process and its children, and what it knows of a disk."""

import os
import pathlib
import re

TICK = 1_000_000 / os.sysconf("SC_CLK_TCK")  # microseconds


def family(pid):
    """The process and its children: nginx works in a child of what was started."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [one for child in children for one in family(int(child))]


def cpu(pid):
    """Microseconds of CPU that the process and its children have used."""
    ticks = 0
    for one in family(pid):
        stat = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(stat[11]) + int(stat[12])
    return ticks * TICK


def sum_of(pid, file, name):
    """The sum of what a file in /proc says under this name of the process and its children."""
    texts = (pathlib.Path(f"/proc/{one}/{file}").read_text() for one in family(pid))
    return sum(int(re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)[1]) for text in texts)


def makes_files_slowly(folder):
    """Returns whether this folder is on an ext4 without a journal."""
    device = folder.stat().st_dev
    name = pathlib.Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
    journals = pathlib.Path("/proc/fs/jbd2").glob(f"{name}-*")
    return pathlib.Path("/proc/fs/ext4", name).exists() and not any(journals)
