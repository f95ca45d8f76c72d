"""Laws of the contract: encode and decode, names, what is refused."""

import io
import json
import struct
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest

from blursynth import schema

from ..conftest import make_picture, make_sample


@pytest.mark.parametrize("image_format", ["png", "webp", "npy"])
def test_a_sample_survives_encoding_and_decoding(image_format):
    sample = make_sample(m=7)
    again = schema.decode_sample(sample.key, schema.encode_sample(sample, image_format))
    assert np.array_equal(again.blur, sample.blur) and np.array_equal(again.frames, sample.frames)
    assert again.meta == sample.meta and again.key == sample.key


def test_jpg_is_near_and_keeps_colours_in_their_channels():
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 200
    again = schema.decode_image(schema.encode_image(image, "jpg"), "jpg")
    assert np.abs(again.astype(int) - image).max() < 12


def test_members_are_named_by_number_and_kind():
    assert list(schema.encode_sample(make_sample())) == [
        "blur.png", "frame.000.png", "frame.001.png", "frame.002.png", "meta.json",
    ]  # fmt: skip


def test_chosen_frames_come_with_their_own_metadata():
    sample = make_sample(m=7)
    members = schema.encode_sample(sample)
    meta = schema.decode_meta(sample.key, members)
    some = schema.decode_frames(sample.key, members, meta, (0, 3, 6))
    assert np.array_equal(some.frames, sample.frames[[0, 3, 6]])
    assert some.meta["times"] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("image_format", schema.FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (3, 70), (300, 2)])
def test_the_header_tells_the_size_before_decoding(image_format, size):
    data = schema.encode_image(make_picture(*size), image_format)
    assert schema.image_size(data, image_format) == size


def damaged(members, name, data):
    return {**members, name: data}


def without(members, name):
    return {k: v for k, v in members.items() if k != name}


@pytest.mark.parametrize(
    "harm, words",
    [
        (lambda m: without(m, "blur.png"), "blur"),
        (lambda m: without(m, "frame.001.png"), "frame.001.png is missing"),
        (lambda m: without(m, "meta.json"), "meta.json is missing"),
        (lambda m: damaged(m, "frame.003.png", m["blur.png"]), "frame.003.png"),
        (lambda m: damaged(m, "extra.pkl", b"x"), "extra.pkl"),
        (lambda m: damaged(m, "blur.png", b"GIF89a"), "does not begin"),
        (lambda m: damaged(m, "blur.png", m["blur.png"][:60]), "damaged"),
        (lambda m: damaged(m, "meta.json", b"[1"), "not JSON"),
        (lambda m: damaged(m, "meta.json", b"{}"), "schema"),
    ],
)
def test_damage_is_an_error_that_names_the_sample(harm, words):
    sample = make_sample()
    with pytest.raises(ValueError, match=words) as error:
        schema.decode_sample(sample.key, harm(schema.encode_sample(sample)))
    assert sample.key in str(error.value)


def test_another_schema_is_refused_with_what_to_do():
    sample = make_sample()
    members = schema.encode_sample(sample)
    members["meta.json"] = schema.encode_json({**sample.meta, "schema": 99})
    with pytest.raises(ValueError, match="expected schema 1, found 99; make the shards anew"):
        schema.decode_sample(sample.key, members)


def test_a_pickled_array_is_never_loaded():
    bomb = io.BytesIO()
    np.save(bomb, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError):
        schema.decode_image(bomb.getvalue(), "npy")


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded():
    data = bytearray(schema.encode_image(make_picture(4, 4), "png"))
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    with pytest.raises(ValueError, match="at most"):
        schema.decode_image(bytes(data), "png")


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*chunks, side=16):
    """A PNG of side x side pixels with these chunks before its own."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(16 * 49)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def bombs():
    """Small files that would be large in memory: 512 MiB of zeros, 2 GiB as a length says."""
    deflate = zlib.compressobj(9)
    zeros = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(512)) + deflate.flush()
    frame = struct.pack(">IIIIIHHBB", 0, 30_000, 30_000, 0, 0, 1, 1, 0, 0)
    return {
        "pixels.png": png(side=10_000),
        "rows.png": png(chunk(b"IDAT", zeros)),
        "profile.png": png(chunk(b"iCCP", b"x\0\0" + zeros)),
        "text.png": png(chunk(b"zTXt", b"x\0\0" + zeros)),
        "unicode.png": png(chunk(b"iTXt", b"x\0\1\0\0\0" + zeros)),
        "length.png": png(struct.pack(">I", (1 << 31) - 1) + b"tEXt"),
        "second.png": png(chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0))),
        "film.png": png(chunk(b"acTL", struct.pack(">II", 9999, 0)), chunk(b"fcTL", frame)),
    }


GROWTH = """
import resource, sys
from pathlib import Path
from blursynth.schema import decode_image

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

files = {path: path.read_bytes() for path in map(Path, sys.argv[1:])}
before = peak()
for path, data in files.items():
    try:
        decode_image(data, "png")
    except ValueError:
        pass
print((peak() - before) // 1024)
"""


def test_a_small_file_never_grows_large_in_memory(tmp_path):
    for name, data in bombs().items():
        assert len(data) < 1 << 20
        (tmp_path / name).write_bytes(data)
    program = [sys.executable, "-c", GROWTH, *map(str, tmp_path.iterdir())]
    grown_mib = int(subprocess.run(program, check=True, capture_output=True).stdout)
    assert grown_mib < 64


def lying(image_format, at, value):
    data = bytearray(schema.encode_image(make_picture(24, 32), image_format))
    at = data.index(at) + len(at)
    data[at : at + len(value)] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "image_format", "words"),
    [
        (lying("png", b"IHDR", bytes([0, 0, 100, 0] * 2)), "png", "at most .* found 25600x25600"),
        (lying("png", b"IHDR", bytes(8)), "png", "at most .* found 0x0"),
        (lying("png", b"\n\x1a\n\0\0\0\r", b"tEXt"), "png", "damaged"),
        (lying("png", b"IHDR", bytes([0, 32, 0, 0, 0, 0, 0, 1])), "png", "damaged"),
        (lying("jpg", b"\x11\x08", b"\xff" * 4), "jpg", "at most .* found 65535x65535"),
        (lying("webp", b"\x2f", b"\xff" * 4), "webp", "at most .* found 16384x16384"),
        (lying("webp", b"\x2f", b"\xff\x07"), "webp", "damaged"),
        (lying("webp", b"VP8", b"X"), "webp", "header is damaged"),
        (lying("npy", b"'shape': (", b"99"), "npy", "."),
        (lying("npy", b"'shape': (", b"-4, -2"), "npy", "."),
        (lying("npy", b"NUMPY", b"\x02"), "npy", "header is damaged"),
        (lying("npy", b"v\0", b"-" * 90), "npy", "header is damaged"),
    ],
)
def test_a_header_that_lies_is_refused(data, image_format, words):
    with pytest.raises(ValueError, match=words):
        schema.decode_image(data, image_format)


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 0},
        {"n": True},
        {"n": 3.0},
        {"seed": []},
        {"source": None},
        {"response": 3},
        {"kind": []},
        {"times": [0, "1", 2]},
        {"times": [0, 1, float("inf")]},
        {"direction": [0, 1]},
        {"direction": "abc"},
        {"direction": [0, 1, 10**400]},
        {"direction": [0, 1, float("nan")]},
        {"quat_wxyz": 5},
        {"quat_wxyz": [[1, 0, 0]] * 3},
    ],
)
def test_metadata_of_another_kind_than_the_contract_says_are_refused_by_key(changes):
    sample = make_sample()
    members = schema.encode_sample(sample)
    members["meta.json"] = json.dumps({**sample.meta, **changes}).encode()
    with pytest.raises(ValueError, match=f"sample {sample.key}: expected .*{next(iter(changes))}"):
        schema.decode_sample(sample.key, members)


@pytest.mark.parametrize(
    ("data", "words"), [(b"[" * 200_000, "not JSON"), (b" " * (1 << 21), "has 2097152 bytes, over")]
)
def test_metadata_that_would_take_memory_or_stack_are_refused_by_key(data, words):
    sample = make_sample()
    members = {**schema.encode_sample(sample), "meta.json": data}
    with pytest.raises(ValueError, match=f"sample {sample.key}: its meta.json .*{words}"):
        schema.decode_sample(sample.key, members)


@pytest.mark.parametrize("key", ["a.b", "../a", "a/b", "a\\b", "a\nb", ""])
def test_a_key_with_dots_or_slashes_is_refused(key):
    with pytest.raises(ValueError, match="key"):
        replace(make_sample(), key=key)


def test_frames_of_another_size_or_count_than_the_metadata_say_are_refused():
    sample = make_sample()
    with pytest.raises(ValueError, match="blur's size"):
        replace(sample, frames=sample.frames[:, :-1])
    with pytest.raises(ValueError, match="expected 3 frames"):
        replace(sample, frames=sample.frames[:2])


def test_equal_values_are_equal_json():
    first, second = {"b": 1, "a": [0.1, "é"]}, {"a": [0.1, "é"], "b": 1}
    assert schema.encode_json(first) == schema.encode_json(second)
    assert json.loads(schema.encode_json(first)) == first
