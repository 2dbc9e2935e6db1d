"""S3, and servers that are compatible, read by s3fs: with bounds for servers that are half dead, or not what they seem.

Whatever a server sends, no answer takes more time or memory than was asked for, and only a listing is a listing.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import closing
from errno import EIO
from typing import Any

from botocore.exceptions import ReadTimeoutError
from s3fs import S3FileSystem

ATTEMPTS = 2
"""How often s3fs asks. Each time botocore asks five times, unless AWS_MAX_ATTEMPTS gives another number."""
ANSWER_SECONDS = 10.0
"""How long a server may send nothing."""
READ_SECONDS = 600.0
"""How long a server may take for what is read at once, at most 8 MiB of a log. A slow line is fast enough for that."""

STALE_PAGES = 100
"""So many pages of a listing in a row may name nothing new: some servers send empty pages where objects were removed.
"""

_READS = ("get_", "head_", "list_")
"""How the methods begin that do not write."""


class S3(S3FileSystem):  # type: ignore[misc]
    """The objects of S3."""

    retries = ATTEMPTS  # s3fs itself would wait seven minutes for a server that says nothing
    read_timeout = ANSWER_SECONDS

    async def _call_s3(self, method: str, *options: Any, **arguments: Any) -> Any:
        if not method.startswith(_READS):
            return await super()._call_s3(method, *options, **arguments)
        try:
            async with asyncio.timeout(READ_SECONDS):
                answer = await super()._call_s3(method, *options, **arguments)
                if method == "get_object":
                    answer["Body"] = await _taken(answer["Body"], arguments.get("Range", ""))
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=f"s3://{arguments['Bucket']}/{arguments.get('Key', '')}") from error
        if method.startswith("list_object"):
            _check_listing(answer, arguments.get("ContinuationToken"))
        return answer

    async def _list_pages(self, method: str, **arguments: Any) -> AsyncIterator[Any]:
        """Yield the pages of a listing. Raises OSError if it goes on and on without a new name: a server or a proxy
        that ignores the token sends the first page each time, and may add a new token."""
        names: set[int] = set()
        stale = 0
        async for page in super()._list_pages(method, **arguments):
            known = len(names)
            names.update(hash(each["Key"]) for each in page.get("Contents", ()))
            names.update(hash(each["Prefix"]) for each in page.get("CommonPrefixes", ()))
            stale = stale + 1 if len(names) == known else 0
            if stale > STALE_PAGES:
                raise OSError(EIO, f"{stale} pages of a listing have no new name; does a proxy ignore their token?")
            yield page


class _Taken:
    """The body of an answer, which has been read."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> bytes:
        return self._content

    def close(self) -> None:
        pass


async def _taken(body: Any, asked: str) -> _Taken:
    """Return a body that has been read. *asked* is the header Range of the request. Raises OSError for a longer body:
    some proxies send all of an object."""
    bounds = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
    most = int(bounds[2]) - int(bounds[1]) + 1 if bounds else None
    with closing(body):
        if most is None:
            return _Taken(await body.read())
        content = bytearray()
        while piece := await body.read(most + 1 - len(content)):
            content += piece
            if len(content) > most:
                raise OSError(EIO, "the server sent more than it was asked for; does a proxy ignore the header Range?")
        return _Taken(bytes(content))


def _check_listing(answer: Any, token: str | None) -> None:
    """Raise OSError for an answer that is no page of a listing, such as a proxy's HTML: it would be an empty folder.

    *token* is what was sent to get this page: a server that gives it for the next page, too, would never end.
    """
    if "IsTruncated" not in answer:
        raise OSError(EIO, "the server did not answer with a listing; is it an S3 server?")
    if answer["IsTruncated"] and answer.get("NextContinuationToken") == token and "NextKeyMarker" not in answer:
        raise OSError(EIO, "the server sends the same page of a listing again and again")
