"""Origins in Python, for what no ready server does: git http-backend without a web server, and event streams."""

import http.server
import os
import queue
import subprocess
import threading


class Origin:
    """Serves on 127.0.0.1 in threads of this process, and remembers each request."""

    def __init__(self, bench, answer):
        requests = self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                requests.append(f"{self.command} {self.path}")
                answer(self)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        bench.processes.append(self)

    name, text = "origin", staticmethod(lambda: "")

    def end(self):
        self.server.shutdown()
        self.server.server_close()


def git_backend(bench, root):
    """git http-backend, as a web server runs it (CGI)."""
    program = bench.run(["git", "--exec-path"]).strip() + "/git-http-backend"

    def answer(request):
        path, _, query = request.path.partition("?")
        fields = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()}
        length = int(request.headers.get("Content-Length", 0))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            **fields,
            "GIT_PROJECT_ROOT": str(root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "REMOTE_USER": "t",
            "REMOTE_ADDR": "127.0.0.1",
            "REQUEST_METHOD": request.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
        }
        done = subprocess.run([program], input=request.rfile.read(length), env=environment, capture_output=True)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode("latin1").split("\r\n") if line]
        status = next((int(value[:3]) for name, value in lines if name == "Status"), 200)
        request.send_response(status)
        for name, value in lines:
            if name != "Status":
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return Origin(bench, answer)


class EventStream(Origin):
    """A page with an EventSource, and its stream. What is published goes to all streams that are open."""

    PAGE = b"""<!DOCTYPE html><title>events</title><script>
        window.got = []
        new EventSource("/events").onmessage = event => window.got.push(event.data)
    </script>"""

    def __init__(self, bench):
        self.streams, self.opened = set(), 0
        super().__init__(bench, self.answer)

    def publish(self, text):
        for stream in list(self.streams):
            stream.put(text)

    def answer(self, request):
        if request.path != "/events":
            request.send_response(200 if request.path == "/" else 404)
            body = self.PAGE if request.path == "/" else b""
            request.send_header("Content-Type", "text/html")
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
            return
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        stream = queue.Queue()
        self.opened += 1
        stream.put(f"stream {self.opened}")
        self.streams.add(stream)
        try:
            while True:
                event = f"data: {stream.get()}\n\n".encode()
                request.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        except OSError:
            request.close_connection = True
        finally:
            self.streams.discard(stream)
