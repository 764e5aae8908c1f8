"""A Django site: forms with CSRF protection, and SECURE_SSL_REDIRECT behind HAProxy or nginx, which end TLS in front of Larder."""

import re

from bench import VENV, ask, check, equal, free_port, recipe_of_lines

PYTHON = ["django==5.2.19"]
PROGRAMS = {"curl": "curl", "haproxy": "haproxy", "openssl": "openssl", "/usr/sbin/nginx": "nginx-light"}

SITE = '''
import sys
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.urls import path

settings.configure(
    DEBUG=False, SECRET_KEY="of no use", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "app.example"],
    SECURE_SSL_REDIRECT="tls" in sys.argv, SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware",
                "django.middleware.csrf.CsrfViewMiddleware"],
)
seen = []

def form(request):
    if request.method == "POST":
        seen.append(request.POST["text"])
        return HttpResponseRedirect(request.build_absolute_uri("/list"))
    token = get_token(request)
    return HttpResponse(f"<form method=post><input name=csrfmiddlewaretoken value={token}><input name=text></form>")

def listing(request):
    return HttpResponse(" ".join(seen))

def address(request):
    return HttpResponse(request.build_absolute_uri())

urlpatterns = [path("form", form), path("list", listing), path("address", address)]
execute_from_command_line([sys.argv[0], "runserver", "--noreload", "--nothreading", f"127.0.0.1:{sys.argv[1]}"])
'''


def site(bench, *options):
    """Starts Django and returns its process and its address."""
    port = free_port()
    process = bench.start([VENV / "bin/python", bench.write("site.py", SITE), str(port), *options]).wait_for_port(port)
    return process, f"http://127.0.0.1:{port}"


class Browser:
    """curl with a cookie jar, and with the fields that a browser sends with a form."""

    def __init__(self, bench, url, *options):
        self.bench, self.url = bench, url
        self.command = ["curl", "--silent", "--show-error", "--max-time", "20", "--cookie-jar", bench.folder / "jar"]
        self.command += ["--cookie", bench.folder / "jar", *options]

    def get(self, path, *options):
        """The body, and after it the status and the address of the last page."""
        told = "\n%{http_code} %{url_effective}"
        text = self.bench.run([*self.command, "--write-out", told, *options, self.url + path])
        body, _, end = text.rpartition("\n")
        status, address = end.split(" ")
        return int(status), body, address

    def submit(self, path, text):
        status, page, _ = self.get(path)
        equal(status, 200, "the status of the form")
        token = re.search("csrfmiddlewaretoken value=(\\w+)", page).group(1)
        fields = ["--header", f"Origin: {self.url}", "--header", f"Referer: {self.url}{path}"]
        content = ["--data-urlencode", f"csrfmiddlewaretoken={token}", "--data-urlencode", f"text={text}"]
        return self.get(path, "--location", *fields, *content)


def submits_forms(bench, browser):
    entries = []
    for number in (1, 2):
        equal(browser.get("/list"), (200, " ".join(entries), f"{browser.url}/list"), "the list before")
        entries.append(f"entry-{number}")
        status, page, address = browser.submit("/form", entries[-1])
        equal((status, page[:100], address), (200, " ".join(entries), f"{browser.url}/list"), "the list to which the form leads")


def test_accepts_a_form_with_csrf_protection(bench):
    _, url = site(bench)
    larder = bench.larder(url)
    browser = Browser(bench, larder.url)
    submits_forms(bench, browser)
    equal(browser.get("/address")[1], f"{larder.url}/address", "the address that the site has in the browser's eyes")


def test_accepts_a_form_under_another_name_of_larder(bench):
    _, url = site(bench)
    larder = bench.larder(url)
    browser = Browser(bench, f"http://app.example:{larder.port}", "--connect-to", f"app.example::127.0.0.1:{larder.port}")
    submits_forms(bench, browser)
    equal(browser.get("/address")[1], f"{browser.url}/address", "the address that the site has in the browser's eyes")


class Terminator:
    """HAProxy or nginx as the README configures them, with TLS and without, in front of Larder."""

    def __init__(self, bench, larder, server):
        self.secure, self.plain = free_port(), free_port()
        self.key, self.certificate = bench.folder / "key.pem", bench.folder / "certificate.pem"
        bench.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
            + ["-subj", "/CN=127.0.0.1", "-keyout", self.key, "-out", self.certificate]
        )
        bench.start(server(self, bench, larder)).wait_for_port(self.secure)


def haproxy(front, bench, larder):
    both = bench.write("both.pem", front.key.read_text() + front.certificate.read_text())
    configuration = f"""
        defaults
            mode http
            timeout connect 5s
            timeout client 30s
            timeout server 30s
            default_backend larder
        frontend both
            bind 127.0.0.1:{front.secure} ssl crt {both}
            bind 127.0.0.1:{front.plain}
        backend larder
        {recipe_of_lines("HAProxy, in the backend", larder.url)}
    """
    return ["haproxy", "-db", "-f", bench.write("haproxy.cfg", "\n".join(line.strip() for line in configuration.splitlines()) + "\n")]


def nginx(front, bench, larder):
    configuration = f"""
        daemon off; pid {bench.folder}/nginx.pid; error_log stderr;
        events {{ }}
        http {{
            access_log off;
            server {{
                listen 127.0.0.1:{front.secure} ssl;
                listen 127.0.0.1:{front.plain};
                ssl_certificate {front.certificate};
                ssl_certificate_key {front.key};
                {recipe_of_lines("nginx", larder.url)}
            }}
        }}
    """
    return ["/usr/sbin/nginx", "-p", bench.folder, "-c", bench.write("front.conf", configuration)]


def does_not_loop(bench, server):
    _, url = site(bench, "tls")
    larder = bench.larder(url, "--trusted-proxy", "127.0.0.1")
    front = Terminator(bench, larder, server)
    plain = Browser(bench, f"http://127.0.0.1:{front.plain}")
    secure = Browser(bench, f"https://127.0.0.1:{front.secure}", "--insecure")
    for _ in range(2):
        equal(plain.get("/address")[0], 301, "the status without TLS")
        equal(plain.get("/address", "--header", "X-Forwarded-Proto: https")[0], 301, "the status for one who only says https")
        status, body, _ = secure.get("/address", "--location", "--max-redirs", "3")
        equal((status, body), (200, f"{secure.url}/address"), "the page with TLS")
    submits_forms(bench, secure)
    check(larder.answers("/address"), "all of it went through Larder")


def test_does_not_loop_with_secure_ssl_redirect_behind_haproxy(bench):
    does_not_loop(bench, haproxy)


def test_does_not_loop_with_secure_ssl_redirect_behind_nginx(bench):
    does_not_loop(bench, nginx)


def test_does_not_believe_a_stranger_who_says_https(bench):
    _, url = site(bench, "tls")
    larder = bench.larder(url)
    reply = ask(f"{larder.url}/address", fields={"X-Forwarded-Proto": "https"})
    equal(reply.status, 301, "the status for a peer that is no trusted proxy")
