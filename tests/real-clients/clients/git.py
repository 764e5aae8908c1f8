"""git over HTTP: the smart protocol by git http-backend, and the dumb one by plain files under nginx."""

import os

from bench import age, check, equal
from origins import git_backend

PROGRAMS = {"git": "git", "/usr/sbin/nginx": "nginx-light"}


class Work:
    """A person's folder with a clone."""

    def __init__(self, bench, url):
        self.bench, self.folder = bench, bench.folder_for("work")
        self.git("clone", "--quiet", url, ".")

    def git(self, *arguments, **how):
        environment = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": os.devnull}
        for who in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{who}_NAME": "T", f"GIT_{who}_EMAIL": "t@example.org"}
        return self.bench.run(["git", *arguments], cwd=self.folder, environment=environment, **how).strip()

    def commit(self, name):
        self.bench.write(self.folder / name, f"{name}\n" * 500)
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", name)
        return self.git("rev-parse", "HEAD")

    def push(self):
        self.git("push", "--quiet", "origin", "HEAD:main")

    def seen(self):
        """The commit that the server's branch is at, as a fetch sees it."""
        self.git("fetch", "--quiet")
        return self.git("rev-parse", "origin/main")


def repository(bench):
    """A bare repository with one commit, whose hook makes what the dumb protocol needs."""
    root = bench.folder_for("repositories")
    bare = root / "project.git"
    bench.run(["git", "init", "--quiet", "--bare", "--initial-branch", "main", bare])
    hook = bench.write(bare / "hooks/post-update", "#!/bin/sh\nexec git update-server-info\n")
    hook.chmod(0o755)
    first = Work(bench, bare)
    first.commit("one")
    first.push()
    return root, bare, first


def test_clones_pushes_and_sees_a_new_commit_by_the_smart_protocol(bench):
    root, _, _ = repository(bench)
    origin = git_backend(bench, root)
    larder = bench.larder(origin.url)
    alice, bob = (Work(bench, f"{larder.url}/project.git") for _ in range(2))
    for name in ("two", "three"):
        pushed = alice.commit(name)
        alice.push()
        equal(bob.seen(), pushed, f"the commit that a fetch sees after {name} was pushed")
    check("POST /project.git/git-receive-pack" in origin.requests, "the smart protocol was spoken")


def test_sees_a_new_commit_by_the_dumb_protocol(bench):
    root, bare, alice = repository(bench)
    for folder in (bench.folder, root):
        folder.chmod(0o755)
    age(bare / "info/refs", 10)
    nginx = bench.nginx(root)
    larder = bench.larder(nginx.url)
    bob = Work(bench, f"{larder.url}/project.git")
    larder.wait_for_age("/project.git/info/refs?service=git-upload-pack")
    pushed = alice.commit("two")
    alice.push()
    equal(bob.seen(), pushed, "the commit that a fetch sees after it was pushed")


def test_clones_objects_of_the_dumb_protocol_from_the_cache(bench):
    root, _, _ = repository(bench)
    for folder in (bench.folder, root):
        folder.chmod(0o755)
    nginx = bench.nginx(root)
    larder = bench.larder(nginx.url)
    for _ in range(2):
        Work(bench, f"{larder.url}/project.git")
    objects = nginx.requests(r"/objects/../\w+ 200")
    check(objects, "objects are asked for one by one")
    equal(len(objects), len(set(objects)), "each object is asked for once at the origin")
