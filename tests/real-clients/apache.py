"""Apache with the modules that a test names, as the user who runs the test."""

import pwd
import os
import re

from bench import free_port, wait_until

MODULES = "/usr/lib/apache2/modules"
CONFIGURATION = """
ServerRoot %(home)s
ServerName localhost
PidFile %(home)s/pid
DefaultRuntimeDir %(home)s
Listen 127.0.0.1:%(port)d
User %(user)s
Group %(group)s
ErrorLog /dev/stderr
LogFormat "%%m %%U%%q %%>s" plain
CustomLog %(home)s/access.log plain
DocumentRoot %(root)s
%(rules)s
"""


class Apache:
    def __init__(self, bench, root, modules, rules):
        self.home, self.port = bench.folder_for("apache"), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        account = pwd.getpwnam("www-data") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        for folder in (bench.folder, root, self.home):
            folder.chmod(0o755)
        if os.getuid() == 0:
            for path in [self.home, root, *root.rglob("*")]:
                os.chown(path, account.pw_uid, account.pw_gid)
        values = {"home": self.home, "port": self.port, "root": root, "rules": rules, "user": account.pw_name, "group": "#%d" % account.pw_gid}
        load = "".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so\n" for name in ["mpm_event", "authz_core", *modules])
        (self.home / "apache.conf").write_text(load + CONFIGURATION % values)
        self.process = bench.start(["/usr/sbin/apache2", "-f", self.home / "apache.conf", "-D", "FOREGROUND"])
        self.process.wait_for_port(self.port)

    def requests(self, pattern=""):
        """The lines of the access log: method, target, status."""
        text = wait_until(lambda: (self.home / "access.log").read_text(), "Apache writes its access log")
        return [line for line in text.splitlines() if re.search(pattern, line)]
