"""Chromium in front of nginx, which states no lifetimes, and of an event stream."""

import io
import struct
import wave
import zlib

from bench import check, equal, wait_until
from browser import Browser
from origins import EventStream

PROGRAMS = {"chromedriver": "chromium-driver", "/usr/bin/chromium": "chromium", "/usr/sbin/nginx": "nginx-light"}

PAGE = """<!DOCTYPE html><title>page</title><link rel=icon href="data:,"><link rel=stylesheet href=/style.css>
<h1>%s</h1><img src=/picture.png><script src=/script.js></script>"""


def picture():
    """The bytes of a PNG of 3 by 2 black pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0\0\0" * 2)) + chunk(b"IEND", b"")


class Site:
    def __init__(self, bench):
        self.bench, self.root = bench, bench.folder_for("site")
        self.publish("first", days_old=10)
        bench.write(self.root / "style.css", "h1 { color: rgb(1, 2, 3) }", days_old=10)
        bench.write(self.root / "picture.png", picture(), days_old=10)
        self.nginx = bench.nginx(self.root)
        self.larder = bench.larder(self.nginx.url)

    def publish(self, edition, days_old):
        self.bench.write(self.root / "index.html", PAGE % edition, days_old)
        self.bench.write(self.root / "script.js", f"window.edition = '{edition}'", days_old)


def shows(browser, edition):
    """Checks that page, script, style and picture are there."""
    equal(browser.run("return document.querySelector('h1').textContent"), edition, "the page")
    equal(browser.run("return window.edition"), edition, "the script")
    equal(browser.run("return getComputedStyle(document.querySelector('h1')).color"), "rgb(1, 2, 3)", "the style")
    equal(browser.run("return document.querySelector('img').naturalWidth"), 3, "the width of the picture")


def test_shows_a_page_to_a_second_browser_from_the_cache(bench):
    site = Site(bench)
    for _ in range(2):
        browser = Browser(bench)
        browser.open(site.larder.url)
        shows(browser, "first")
    for path in ("/", "/style.css", "/picture.png", "/script.js"):
        equal(site.larder.last(f"^{path}$", 2).word, "HIT", f"the second browser's {path}")
    equal(len(site.nginx.requests()), 4, "requests at the origin")


def test_reloads_from_the_cache_and_reloads_hard_from_the_origin(bench):
    site = Site(bench)
    browser = Browser(bench)
    browser.open(site.larder.url)
    site.larder.wait_for_age("/")
    site.publish("second", days_old=0.01)
    asked = len(site.nginx.requests())
    browser.reload(hard=False)
    shows(browser, "first")
    equal(len(site.nginx.requests()), asked, "requests at the origin after a reload")
    browser.reload(hard=True)
    shows(browser, "second")


def recording(seconds):
    """The bytes of a WAV file of silence."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(bytes(4 * 44100 * seconds))
    return buffer.getvalue()


def test_seeks_to_the_end_of_a_recording_while_the_whole_is_on_its_way(bench):
    root = bench.folder_for("site")
    bench.write(root / "index.html", "<!DOCTYPE html><title>media</title><audio src=/long.wav preload=auto></audio>")
    bench.write(root / "long.wav", recording(240), days_old=10)
    # The whole takes 20 s.
    nginx = bench.nginx(root, "location /long.wav { limit_rate 2m; }")
    larder = bench.larder(nginx.url)
    browser = Browser(bench)
    browser.open(larder.url)
    browser.wait_for("document.querySelector('audio').readyState > 0", "the length of the recording is known", seconds=10)
    browser.run(
        """const audio = document.querySelector('audio'), began = performance.now()
        audio.onseeked = () => { window.took = performance.now() - began }
        audio.currentTime = audio.duration - 5"""
    )
    browser.wait_for("window.took", "the end of the recording is there", seconds=10)
    took = browser.run("return window.took")
    check(took < 3000, f"a seek to the end takes less than 3 s, not {took:.0f} ms")
    equal(browser.run("return document.querySelector('audio').error"), None, "the error of the player")
    check(not nginx.requests('long.wav 20. "bytes=0-"'), "the whole is still on its way")


def test_has_an_event_stream_for_each_browser(bench):
    origin = EventStream(bench)
    larder = bench.larder(origin.url)
    browsers = []
    for number in (1, 2):
        browsers.append(Browser(bench))
        browsers[-1].open(larder.url)
        browsers[-1].wait_for(f"window.got.includes('stream {number}')", f"browser {number} gets a stream of its own")
        origin.publish(f"event {number}")
    for number, (browser, expected) in enumerate(zip(browsers, (["stream 1", "event 1", "event 2"], ["stream 2", "event 2"])), 1):
        browser.wait_for(f"window.got.length >= {len(expected)}", f"browser {number} gets what was published, at once", seconds=5)
        equal(browser.run("return window.got"), expected, f"what browser {number} got")
    equal(origin.requests.count("GET /events"), 2, "requests for the stream at the origin")

    def closed():
        origin.publish("anybody there?")
        return not origin.streams

    for browser in browsers:
        browser.end()
    wait_until(closed, "the streams end at the origin when the browsers have left", seconds=5)
