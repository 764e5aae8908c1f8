"""Chromium without a window, steered by chromedriver (WebDriver is plain HTTP and JSON)."""

import json

from bench import Failed, ask, free_port, wait_until


class Browser:
    """A browser with a new profile."""

    name, text = "chromium", staticmethod(lambda: "")

    def __init__(self, bench):
        port = free_port()
        bench.start(["chromedriver", f"--port={port}"], env=bench.environment()).wait_for_port(port)
        self.url = f"http://127.0.0.1:{port}/session"
        switches = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--autoplay-policy=no-user-gesture-required",
            "--mute-audio",
            # It asks nobody but this machine.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={bench.folder_for('profile')}",
        ]
        options = {"binary": "/usr/bin/chromium", "args": switches}
        capabilities = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
        self.url += "/" + self.say("POST", "", {"capabilities": capabilities})["sessionId"]
        bench.processes.append(self)

    def say(self, method, path, content=None):
        body = None if method == "GET" else json.dumps(content or {})
        reply = ask(self.url + path, method, {"Content-Type": "application/json"}, body)
        value = json.loads(reply.text)["value"]
        if reply.status != 200:
            raise Failed(f"chromedriver: {value['message'][:500]}")
        return value

    def open(self, url):
        self.say("POST", "/url", {"url": url})

    def run(self, script):
        """Runs a script in the page and returns what it returns."""
        return self.say("POST", "/execute/sync", {"script": script, "args": []})

    def wait_for(self, script, sentence, seconds=20):
        return wait_until(lambda: self.run(f"return {script}"), sentence, seconds, pause=0.05)

    def reload(self, hard):
        """Reloads the page as F5 does, or as Ctrl+Shift+R does, and waits until it is loaded."""
        self.run("window.before = true")
        self.say("POST", "/goog/cdp/execute", {"cmd": "Page.reload", "params": {"ignoreCache": hard}})
        self.wait_for("!window.before && document.readyState === 'complete'", "the page is loaded anew")

    def end(self):
        """Closes the browser, if that has not been done."""
        if self.url:
            self.say("DELETE", "")
            self.url = None
