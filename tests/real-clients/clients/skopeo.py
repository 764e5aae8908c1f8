"""skopeo (the library behind podman) in front of Debian's docker-registry."""

import hashlib
import io
import json
import tarfile

from bench import check, equal, free_port, recipe, wait_until

PRESET = "docker"
PROGRAMS = {"skopeo": "skopeo", "docker-registry": "docker-registry"}


class Registry:
    def __init__(self, bench):
        self.bench, self.port = bench, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        configuration = {
            "version": 0.1,
            "log": {"accesslog": {"disabled": False}},
            "storage": {"filesystem": {"rootdirectory": str(bench.folder_for("registry"))}},
            "http": {"addr": f"127.0.0.1:{self.port}", "secret": "of no use"},
        }
        # JSON is YAML.
        file = bench.write("registry.yml", json.dumps(configuration))
        self.process = bench.start(["docker-registry", "serve", file]).wait_for_port(self.port)

    def requests(self, pattern):
        lines = self.process.text().splitlines()
        return [line for line in lines if '"GET ' in line and pattern in line]


def image(bench, text):
    """An image of one layer with one file that holds the text, as an OCI folder."""
    folder = bench.folder_for("image")

    def blob(content):
        digest = hashlib.sha256(content).hexdigest()
        bench.write(folder / "blobs/sha256" / digest, content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        entry = tarfile.TarInfo("content")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
    layer = {**blob(layer.getvalue()), "mediaType": "application/vnd.oci.image.layer.v1.tar"}
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
    config = {**blob(json.dumps(config).encode()), "mediaType": "application/vnd.oci.image.config.v1+json"}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer]}
    manifest = {**blob(json.dumps(manifest).encode()), "mediaType": manifest["mediaType"]}
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    bench.write(folder / "oci-layout", '{"imageLayoutVersion": "1.0.0"}')
    bench.write(folder / "index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    return folder


def skopeo(bench, *arguments, **how):
    return bench.run(["skopeo", "--insecure-policy", *arguments], **how)


def push(bench, folder, port, tag):
    place = f"docker://127.0.0.1:{port}/thing:{tag}"
    skopeo(bench, "copy", "--quiet", "--dest-tls-verify=false", f"oci:{folder}:latest", place)


def pull(bench, port, tag):
    """Pulls the image into a new folder. Returns the text in its layer, and the layer's digest (skopeo compressed it)."""
    folder = bench.folder_for("pulled")
    words = recipe("docker", f"http://127.0.0.1:{port}").replace("NAME:TAG", f"thing:{tag}").replace("FOLDER", str(folder))
    skopeo(bench, *words.split()[1:], "--quiet")
    (layer,) = json.loads((folder / "manifest.json").read_text())["layers"]
    with tarfile.open(folder / layer["digest"].removeprefix("sha256:")) as archive:
        return archive.extractfile("content").read().decode(), layer["digest"]


def test_pushes_and_pulls_through_larder(bench):
    registry = Registry(bench)
    larder = bench.larder(registry.url)
    push(bench, image(bench, "one"), larder.port, "latest")
    equal(pull(bench, larder.port, "latest")[0], "one", "the image that was pushed")
    equal(pull(bench, registry.port, "latest")[0], "one", "the image that the registry itself has")


def test_pulls_layers_a_second_time_from_the_cache(bench):
    registry = Registry(bench)
    larder = bench.larder(registry.url)
    push(bench, image(bench, "one"), registry.port, "latest")
    for _ in range(2):
        text, layer = pull(bench, larder.port, "latest")
        equal(text, "one", "the image")
    equal(larder.last(f"blobs/{layer}", 2).word, "HIT", "the layer for the second machine")
    equal(len(registry.requests(f"blobs/{layer}")), 1, "requests for the layer at the registry")


def test_sees_a_tag_that_was_moved_through_larder(bench):
    registry = Registry(bench)
    larder = bench.larder(registry.url)
    for text in ("one", "two", "three"):
        push(bench, image(bench, text), larder.port, "latest")
        equal(pull(bench, larder.port, "latest")[0], text, f"the image after {text} was pushed")


def test_sees_a_tag_that_was_missing_and_has_been_pushed_to_the_registry_since(bench):
    registry = Registry(bench)
    larder = bench.larder(registry.url)
    inspect = ("inspect", "--tls-verify=false", f"docker://127.0.0.1:{larder.port}/thing:late")
    text = skopeo(bench, *inspect, succeeds=False)
    check("unknown" in text, f"the tag is missing at first: {text}")
    push(bench, image(bench, "late"), registry.port, "late")
    wait_until(lambda: "sha256:" in skopeo(bench, *inspect, succeeds=False), "the tag is found", seconds=5)


def test_sees_a_tag_that_was_moved_at_the_registry_with_default_ttl_0s(bench):
    registry = Registry(bench)
    larder = bench.larder(registry.url, "--default-ttl", "0s")
    for text in ("one", "two"):
        push(bench, image(bench, text), registry.port, "latest")
        equal(pull(bench, larder.port, "latest")[0], text, f"the image after {text} was pushed")
    _, layer = pull(bench, larder.port, "latest")
    equal(len(registry.requests(f"blobs/{layer}")), 1, "requests for the layer at the registry")
