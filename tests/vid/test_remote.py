"""What a URL holds arrives whole and checked, or a sentence says why not."""

import hashlib
import io
import os
import pickle
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest

from blurvid import remote
from blurvid.remote import (
    LEAST_CHUNK,
    MOST_CHUNK,
    Patience,
    RemoteFolder,
    RemoteShard,
    Unreachable,
    is_remote,
    next_chunk,
)

from ..object_store import object_store
from .loopback import serving

QUICK = Patience(retries=3, first_delay_s=0.01, stall_s=0.2, stalls=2)
TAR = "dots-train-000000.tar"
CONTENT = np.random.default_rng(0).bytes(900_001)
OTHER = np.random.default_rng(1).bytes(900_001)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "served"
    (folder / "dots" / "train").mkdir(parents=True)
    (folder / "dots" / "train" / TAR).write_bytes(CONTENT)
    with serving(folder) as state:
        yield state


@pytest.fixture(scope="module")
def bucket():
    """A client of an S3 server whose bucket holds one shard."""
    with object_store("shards") as client:
        client.put_object(Bucket="shards", Key=f"all/dots/train/{TAR}", Body=CONTENT)
        client.put_object(Bucket="shards", Key="all/dots/plan.json", Body=b"{}")
        remote._file_system.cache_clear()
        yield client


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a certificate of 127.0.0.1, signed by itself, and its key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    place = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    made = made.add_extension(place, critical=False).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(secret + made.public_bytes(pem))
    return path


def _shard(url, content=CONTENT, patience=QUICK):
    folder = RemoteFolder(url, patience).join("dots").join("train")
    return RemoteShard(folder, TAR, len(content), hashlib.sha256(content).hexdigest())


def _fetched(shard, said=None):
    file = io.BytesIO()
    shard.fetch(file, say=[].append if said is None else said.append)
    return file.getvalue()


@pytest.mark.parametrize(
    "url", ["file:///etc", "pipe:cat x", "simplecache::s3://a", "ftp://h/x", "s3://", "S3://a"]
)
def test_nothing_but_the_three_protocols_is_opened(url):
    with pytest.raises(ValueError, match="expected a local folder or a URL of s3://, https://"):
        RemoteFolder(url)


@pytest.mark.parametrize("url", ["https://me:secret@host/x", "https://host/x?key=secret"])
def test_urls_with_secrets_are_refused_without_repeating_them(url):
    with pytest.raises(ValueError, match="without .*passwords") as caught:
        RemoteFolder(url.replace("?key=", "?"))
    assert "me:secret" not in str(caught.value)


@pytest.mark.parametrize(("url", "extra"), [("s3://a/b", "s3"), ("https://a/b", "http")])
def test_a_backend_that_is_not_installed_is_named_with_its_extra(monkeypatch, url, extra):
    monkeypatch.setattr(remote, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=rf'pip install "blursynth-blurvid\[{extra}\]"'):
        RemoteFolder(url)


@pytest.mark.parametrize("name", ["..", "", "a/b", "../x", "a\\b"])
def test_a_name_leads_to_no_other_folder(name):
    with pytest.raises(ValueError, match="expected the name of a file in it"):
        RemoteFolder("https://host/x").address(name)


@pytest.mark.parametrize(("sha256", "size"), [("../../etc", 5), ("0" * 64, 0)])
def test_an_index_cannot_name_a_shard_that_cannot_be(sha256, size):
    with pytest.raises(ValueError, match="expected a size and a sha256 in its index"):
        RemoteShard(RemoteFolder("https://host/x"), TAR, size, sha256)


def test_only_urls_are_remote():
    assert is_remote("s3://bucket/x") and is_remote("pipe://x")
    assert not is_remote("shards/") and not is_remote("/data/s3:/x") and not is_remote("C:\\x")


def test_folders_and_shards_can_be_sent_to_another_process():
    shard = _shard("https://host/x/")
    assert pickle.loads(pickle.dumps(shard)) == shard
    assert shard.address == f"https://host/x/dots/train/{TAR}"


def test_chunks_grow_where_answers_are_quick_and_shrink_where_they_are_slow():
    assert next_chunk(1 << 18, 0.01) == 1 << 20
    assert next_chunk(1 << 20, 20.0) == (1 << 20) // 10
    assert next_chunk(1 << 16, 100.0) == LEAST_CHUNK
    assert next_chunk(1 << 24, 0.0) == MOST_CHUNK


# --- over HTTP ---


def test_a_listing_page_gives_the_names_in_a_folder(server):
    (server.folder / "a b%20c").mkdir()
    folder = RemoteFolder(server.url, QUICK)
    assert folder.names() == ["a b%20c", "dots"]
    assert folder.join("dots").names() == ["train"]
    assert folder.join("dots").join("train").names() == [TAR]


@pytest.mark.parametrize("page", [b"", None])
def test_where_no_page_lists_the_folder_the_sentence_says_what_to_give(server, page):
    server.listing = page is not None
    (server.folder / "empty").mkdir()
    with pytest.raises(ValueError, match="give the folder of one data set, .*manifest.json"):
        RemoteFolder(server.url, QUICK).join("empty").names()


@pytest.mark.parametrize("ranges", [True, False])
def test_small_files_are_read_whole_and_large_ones_refused(server, ranges):
    server.ranges = ranges
    folder = RemoteFolder(server.url, QUICK)
    (server.folder / "a#?.json").write_bytes(b"12345")
    (server.folder / "empty.json").write_bytes(b"")
    assert folder.read("a#?.json", 5) == b"12345"
    assert folder.read("empty.json", 5) == b""
    with pytest.raises(ValueError, match="a%23%3F.json: expected at most 4 bytes"):
        folder.read("a#?.json", 4)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_shard_arrives_whole_with_and_without_ranges(server, ranges):
    server.ranges = ranges
    assert _fetched(_shard(server.url)) == CONTENT
    assert len(server.requests) == (2 if ranges else 1)


@pytest.mark.parametrize("ranges", [True, False])
def test_dropped_connections_are_tried_again_and_told(server, ranges):
    server.ranges, server.drops, server.drop_after = ranges, 3, 1000
    said = []
    assert _fetched(_shard(server.url), said) == CONTENT
    assert [line.rpartition("; ")[2] for line in said] == [
        f"trying again after {s} s" for s in (0.01, 0.02, 0.04)
    ]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_that_is_busy_is_asked_again(server, status):
    server.refusals, server.status = 2, status
    assert _fetched(_shard(server.url)) == CONTENT


def test_after_the_last_try_the_sentence_names_url_count_and_reason(server):
    server.refusals = 100
    with pytest.raises(Unreachable, match=f"^{server.url}/.*: tried 4 times, at last: .*503"):
        _fetched(_shard(server.url))
    assert len(server.requests) == 4
    with pytest.raises(Unreachable, match="tried 4 times, at last: .*[Cc]onnect"):
        _fetched(_shard("http://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, FileNotFoundError), (403, PermissionError), (401, PermissionError), (400, OSError)],
)
def test_what_would_fail_again_is_not_tried_again(server, status, kind):
    server.refusals, server.status = 100, status
    with pytest.raises(kind, match=f"{server.url}/dots/train/{TAR}: ") as caught:
        _fetched(_shard(server.url))
    assert "\n" not in str(caught.value) and len(server.requests) == 1


def test_a_stall_is_reported_then_given_up_and_tried_again(server):
    server.stalls, server.stall_s = 1, 5
    said = []
    began = time.monotonic()
    assert _fetched(_shard(server.url), said) == CONTENT
    assert time.monotonic() - began < 3
    waiting = f"waiting for {server.url}/dots/train/{TAR}: 0.0 of 0.9 MB after"
    assert said[:2] == [f"{waiting} 0.2 s", f"{waiting} 0.4 s"]
    assert "nothing came for 0.4 s; trying again" in said[2]


def test_a_shard_replaced_between_two_requests_is_refused(server):
    def replace(number):
        if number == 2:
            (server.folder / "dots" / "train" / TAR).write_bytes(OTHER)

    server.before = replace
    with pytest.raises(ValueError, match="its index states, found another: the shard was changed"):
        _fetched(_shard(server.url))
    assert server.asked(TAR) == 2


def test_bytes_damaged_on_the_way_are_fetched_once_more(server):
    def damage_once(number):
        content = OTHER if number == 1 else CONTENT
        (server.folder / "dots" / "train" / TAR).write_bytes(content)

    server.before = damage_once
    assert _fetched(_shard(server.url)) == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("size", [0, 10, 300_000, 900_000, 900_002])
def test_a_shard_of_another_size_is_refused(server, ranges, size):
    server.ranges = ranges
    (server.folder / "dots" / "train" / TAR).write_bytes(OTHER[:size] + b"x" * (size - len(OTHER)))
    with pytest.raises(ValueError, match="the shard was changed or damaged"):
        _fetched(_shard(server.url))


@pytest.mark.parametrize("url", ["s3://a b", "http://127.0.0.1:x"])
def test_a_url_that_cannot_be_is_not_tried_again(bucket, url):
    said, patient = [], Patience(retries=3, first_delay_s=0.01, stall_s=20, stalls=2)
    with pytest.raises(OSError, match=f"^{url}/dots/train/{TAR}: "):
        _fetched(_shard(url, patience=patient), said)
    assert not any("trying again" in line for line in said)


def test_a_certificate_that_nobody_knows_is_refused_at_once(server, certificate):
    said = []
    with serving(server.folder, certificate) as secure:
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            _fetched(_shard(secure.url), said)
        assert not said and not secure.requests


def test_a_shard_arrives_whole_over_https(server, certificate):
    program = (
        "import io, pickle, sys; file = io.BytesIO()\n"
        "pickle.load(sys.stdin.buffer).fetch(file); sys.stdout.buffer.write(file.getvalue())"
    )
    with serving(server.folder, certificate) as secure:
        came = subprocess.check_output(
            [sys.executable, "-c", program],
            input=pickle.dumps(_shard(secure.url)),
            env={**os.environ, "SSL_CERT_FILE": os.fspath(certificate)},
            cwd=Path(__file__).parents[2],
        )
    assert came == CONTENT


# --- over S3 ---


def test_a_prefix_of_a_bucket_is_a_folder(bucket):
    folder = RemoteFolder("s3://shards", QUICK)
    assert folder.names() == ["all"]
    assert folder.join("all").join("dots").names() == ["plan.json", "train"]
    assert folder.join("all").join("dots").read("plan.json", 10) == b"{}"
    with pytest.raises(FileNotFoundError, match="s3://shards/none: "):
        folder.join("none").names()
    with pytest.raises(FileNotFoundError, match="s3://none: "):
        RemoteFolder("s3://none", QUICK).names()


def test_a_shard_arrives_whole_from_a_bucket(bucket):
    assert _fetched(_shard("s3://shards/all")) == CONTENT


def test_a_shard_replaced_in_a_bucket_is_refused(bucket):
    shard = _shard("s3://shards/changed")
    bucket.put_object(Bucket="shards", Key=f"changed/dots/train/{TAR}", Body=CONTENT)
    assert _fetched(shard) == CONTENT
    for content in (OTHER, OTHER[:10], OTHER[:300_000]):
        bucket.put_object(Bucket="shards", Key=f"changed/dots/train/{TAR}", Body=content)
        with pytest.raises(ValueError, match="the shard was changed or damaged"):
            _fetched(shard)


def test_an_object_that_is_missing_is_not_tried_again(bucket):
    said = []
    with pytest.raises(FileNotFoundError, match="s3://shards/no/dots/train/.*nothing there"):
        _fetched(_shard("s3://shards/no"), said)
    assert not said


def test_a_bucket_behind_a_dead_endpoint_is_unreachable(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    remote._file_system.cache_clear()
    try:
        with pytest.raises(Unreachable, match="tried 4 times, at last: "):
            _fetched(_shard("s3://shards/all"))
    finally:
        remote._file_system.cache_clear()


def test_reading_a_bucket_without_keys_is_not_allowed(bucket, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.fspath(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    remote._file_system.cache_clear()
    try:
        with pytest.raises(PermissionError, match="not allowed .*credentials"):
            _fetched(_shard("s3://shards/all"))
    finally:
        remote._file_system.cache_clear()


def test_an_answer_without_end_is_given_up_before_it_fills_the_memory(server, monkeypatch):
    monkeypatch.setattr(remote, "MOST_ANSWER", 1000)
    server.ranges = False
    with pytest.raises(OSError, match="the answer is longer than 1,000 bytes"):
        _fetched(_shard(server.url), [])
