"""An S3 server on loopback, and what data sets in it are read by."""

from contextlib import contextmanager
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from joblib.externals.loky import get_reusable_executor

from .optional import needed


@contextmanager
def object_store(bucket):
    """A server with one empty bucket, to which the environment points meanwhile; gives a client."""
    moto, boto3 = needed("moto.server"), needed("boto3")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    anew = Request(f"{endpoint}/moto-api/reset", method="POST")  # else servers share their objects
    build_opener(ProxyHandler({})).open(anew).close()
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        get_reusable_executor().shutdown()  # jobs of an earlier test know nothing of this
        client = boto3.client("s3")
        client.create_bucket(Bucket=bucket)
        try:
            yield client
        finally:
            server.stop()


def objects_in(client, bucket):
    """Name -> content of every object."""
    found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {
        one["Key"]: client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
        for one in found
    }
