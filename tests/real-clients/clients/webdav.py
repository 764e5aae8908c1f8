"""WebDAV: curl and cadaver in front of Apache's mod_dav, which compares Destination with the host that it was asked for."""

from apache import Apache
from bench import ask, check, equal

PROGRAMS = {"/usr/sbin/apache2": "apache2-bin", "curl": "curl", "cadaver": "cadaver"}


class Share:
    def __init__(self, bench):
        self.bench, self.root = bench, bench.folder_for("share")
        bench.write(self.root / "old.txt", "the content\n", days_old=10)
        bench.write(self.root / "other.txt", "other\n", days_old=10)
        home = bench.folder_for("locks")
        home.chmod(0o777)
        rules = f"DavLockDB {home}/locks\n<Directory {self.root}>\nDav On\nRequire all granted\n</Directory>\n"
        self.apache = Apache(bench, self.root, ["dav", "dav_fs", "dav_lock"], rules)
        self.larder = bench.larder(self.apache.url)

    def curl(self, method, path, *options):
        command = ["curl", "--silent", "--show-error", "--request", method, "--write-out", "%{http_code}", "--output", self.bench.folder / "out"]
        return int(self.bench.run([*command, *options, self.larder.url + path]))

    def get(self, path):
        reply = ask(self.larder.url + path)
        return reply.status, reply.text if reply.status == 200 else ""


def test_moves_and_copies_a_file_and_sees_both_ends_of_it(bench):
    share = Share(bench)
    equal(share.get("/old.txt"), (200, "the content\n"), "the file before")
    equal(share.get("/other.txt"), (200, "other\n"), "the file at the destination before")
    # Over a file that is stored, so that what is stored for the destination must go as well.
    destination = f"Destination: {share.larder.url}/other.txt"
    equal(share.curl("MOVE", "/old.txt", "--header", destination), 204, "the status of MOVE")
    equal(share.get("/old.txt")[0], 404, "the status of the file that was moved away")
    equal(share.get("/other.txt"), (200, "the content\n"), "the file at the destination")
    equal(share.get("/copy.txt")[0], 404, "the status of the copy before")
    destination = f"Destination: {share.larder.url}/copy.txt"
    equal(share.curl("COPY", "/other.txt", "--header", destination), 201, "the status of COPY")
    equal(share.get("/copy.txt"), (200, "the content\n"), "the copy")


def test_lists_a_folder_without_forgetting_what_is_stored(bench):
    share = Share(bench)
    share.get("/old.txt")
    equal(share.curl("PROPFIND", "/old.txt", "--header", "Depth: 0"), 207, "the status of PROPFIND")
    check(share.larder.url in bench.folder.joinpath("out").read_text() or "/old.txt" in bench.folder.joinpath("out").read_text(), "it is listed")
    equal(ask(f"{share.larder.url}/old.txt").hit, True, "what was stored is used after PROPFIND")


def test_cadaver_uploads_moves_and_downloads(bench):
    share = Share(bench)
    bench.write("upload.txt", "uploaded\n" * 100)
    script = "put upload.txt\nls\nmkcol folder\nmove upload.txt folder/moved.txt\nget folder/moved.txt came-back.txt\nrm old.txt\nls\nquit\n"
    text = bench.run(["cadaver", f"{share.larder.url}/"], input=script.encode(), cwd=bench.folder)
    check("failed" not in text.lower(), f"cadaver does all of it:\n{text}")
    equal((bench.folder / "came-back.txt").read_text(), "uploaded\n" * 100, "what came back")
    equal(share.get("/upload.txt")[0], 404, "the status of what was moved away")
    equal(share.get("/old.txt")[0], 404, "the status of what was removed")
