"""curl with ranges and resumed downloads, in front of nginx."""

import random
import subprocess
import time

from bench import check, equal, wait_until

PROGRAMS = {"curl": "curl", "/usr/sbin/nginx": "nginx-light"}
LENGTH = 8 << 20
CONTENT = random.Random(11).randbytes(LENGTH)


class Site:
    def __init__(self, bench, rules=""):
        root = bench.folder_for("site")
        bench.write(root / "file.iso", CONTENT, days_old=30)
        self.bench, self.nginx = bench, bench.nginx(root, rules)
        self.larder = bench.larder(self.nginx.url)
        self.url = f"{self.larder.url}/file.iso"

    def curl(self, *options, **how):
        return self.bench.run(["curl", "--silent", "--show-error", "--fail", "--max-time", "30", *options, self.url], **how)

    def part(self, ranges):
        """The status and the bytes of one request with a range."""
        target = self.bench.folder_for("part") / "part"
        status = self.curl("--range", ranges, "--output", target, "--write-out", "%{http_code}")
        return int(status), target.read_bytes()


def test_gets_ranges_of_a_file_that_is_not_stored_yet(bench):
    site = Site(bench)
    for first, last in ((0, 99), (1000, 1999), (LENGTH - 10, LENGTH - 1)):
        equal(site.part(f"{first}-{last}"), (206, CONTENT[first : last + 1]), f"bytes {first} to {last}")
    equal(site.part("-100"), (206, CONTENT[-100:]), "the last 100 bytes")


def test_gets_ranges_of_a_stored_file_from_the_cache(bench):
    site = Site(bench)
    whole = bench.folder / "whole"
    site.curl("--output", whole)
    equal(whole.read_bytes() == CONTENT, True, "the whole is what the origin has")
    equal(site.part("5000-5999"), (206, CONTENT[5000:6000]), "1000 bytes")
    status, several = site.part("0-9,100-109")
    equal(status, 206, "the status of two ranges")
    check(CONTENT[:10] in several and CONTENT[100:110] in several and len(several) < 1000, "both ranges, and no more, are there")
    equal(len(site.nginx.requests("file.iso")), 1, "requests at the origin")


def test_resumes_a_broken_download(bench):
    site = Site(bench)
    for stored_first in (False, True):
        target = bench.write(f"resumed-{stored_first}", CONTENT[: LENGTH // 3])
        site.curl("--continue-at", "-", "--output", target)
        equal(target.read_bytes() == CONTENT, True, "the resumed file is whole")
        site.curl("--output", "/dev/null")
    complete = bench.write("complete", CONTENT)
    site.curl("--continue-at", "-", "--output", complete, succeeds=False)
    equal(complete.read_bytes() == CONTENT, True, "a file that was whole stays as it is")


def test_shares_one_transfer_among_eight_clients_that_ask_for_the_range_from_0(bench):
    site = Site(bench, rules="location / { limit_rate 4m; }")
    targets = [bench.folder / f"player-{number}" for number in range(8)]
    command = ["curl", "--silent", "--fail", "--max-time", "30", "--range", "0-", "--output"]
    players = [subprocess.Popen([*command, target, site.url]) for target in targets]
    equal([player.wait(40) for player in players], [0] * 8, "how the clients ended")
    check(all(target.read_bytes() == CONTENT for target in targets), "each has the whole file")
    equal(len(site.nginx.requests("file.iso")), 1, "requests at the origin")


def test_gets_the_end_of_a_file_within_a_second_while_the_whole_is_on_its_way(bench):
    site = Site(bench, rules="location / { limit_rate 1m; }")
    whole = bench.folder / "whole"
    player = subprocess.Popen(["curl", "--silent", "--fail", "--max-time", "30", "--range", "0-", "--output", whole, site.url])
    wait_until(lambda: whole.exists() and whole.stat().st_size > 0, "the whole has begun")
    began = time.monotonic()
    equal(site.part("-1000"), (206, CONTENT[-1000:]), "the last 1000 bytes")
    took = time.monotonic() - began
    equal(player.poll(), None, "the whole, which takes 8 s, is still on its way")
    check(took < 1, f"the end is there within a second, not {took:.1f} s")
    equal(player.wait(40), 0, "how the client of the whole ended")
    equal(whole.read_bytes() == CONTENT, True, "the whole is what the origin has")
