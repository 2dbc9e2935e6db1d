"""A real object store for tests: moto's S3 server, on a free port of 127.0.0.1."""

import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config

from tests.support.processes import end_process, eventually, new_mark
from tests.support.servers import free_port

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
REQUEST = re.compile(r'"(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP/1\.1"')


class ObjectStore:
    """An S3 server, empty at the start. Each test makes its own bucket."""

    def __init__(self, port: int, log: Any) -> None:
        self.environment = {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "AKIAFASTHITSTEST",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        }
        self._log = log
        self.client = boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL_S3"],
            aws_access_key_id="AKIAFASTHITSTEST",
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )

    def bucket(self) -> str:
        """Make a bucket, and return its name."""
        name = f"logs-{new_mark()[:8]}"
        self.client.create_bucket(Bucket=name)
        return name

    def empty(self, bucket: str) -> None:
        """Remove all objects of a bucket."""
        keys = [{"Key": each["Key"]} for each in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])]
        if keys:
            self.client.delete_objects(Bucket=bucket, Delete={"Objects": keys})

    def put(self, bucket: str, key: str, *lines: bytes) -> str:
        """Put an object into a bucket, and return its address."""
        self.client.put_object(Bucket=bucket, Key=key, Body=b"".join(lines))
        return f"s3://{bucket}/{key}"

    def requests(self, bucket: str) -> Counter[str]:
        """Return the number of requests for a bucket so far: LIST, HEAD, GET ..."""
        self._log.seek(0)
        found = Counter[str]()
        for method, target in REQUEST.findall(self._log.read()):
            if target.startswith(f"/{bucket}"):
                found["LIST" if "list-type=2" in target else method] += 1
        return found

    @contextmanager
    def closed_to_all(self) -> Iterator[None]:
        """Deny access to everything."""
        self._count_without_check("0")
        try:
            yield
        finally:
            self._count_without_check("inf")

    def _count_without_check(self, number: str) -> None:
        address = f"{self.environment['AWS_ENDPOINT_URL_S3']}/moto-api/reset-auth"
        request = urllib.request.Request(address, number.encode(), {"Content-Type": "text/plain"}, method="POST")
        urllib.request.urlopen(request).close()


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Give a server of S3. It ends with the block."""
    with tempfile.TemporaryFile("w+") as log:
        port = free_port()
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            store = ObjectStore(port, log)
            eventually(lambda: _answers(port) or process.poll() is not None, 120, "moto's server answers")
            assert process.poll() is None, "moto's server has ended"
            yield store
        finally:
            end_process(process)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5).close()
    except OSError:
        return False
    return True
