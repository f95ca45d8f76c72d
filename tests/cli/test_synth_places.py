"""Where data may be: what reads and checks it wants it on this machine, and says so."""

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "s3://bucket/x"),
        ("verify", "s3://bucket/x"),
        ("view", "s3://bucket/x"),
        ("export", "s3://bucket/x", "set.h5"),
        ("import", "s3://bucket/set.h5", "shards"),
        ("sources", "--out", "s3://bucket/x"),
        ("panorama", "--src", "https://host/sun360"),
    ],
)
def test_a_url_where_a_local_place_is_wanted_is_a_mistake(blursynth, arguments):
    code, _, err = blursynth(*arguments)
    assert code == 2 and "expected a local folder, found" in err and "Traceback" not in err
