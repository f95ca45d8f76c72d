"""Laws of the contract: encode and decode, names, what is refused."""

import io
import json
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
    some = schema.decode_sample(sample.key, members, frames=(0, 3, 6))
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


@pytest.mark.parametrize("key", ["a.b", "../a", "a/b", ""])
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
