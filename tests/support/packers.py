"""What log files are compressed with: each packer by the end of a file's name."""

import bz2
import gzip
import lzma
import sys
from collections.abc import Callable
from functools import partial

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": partial(zstd.compress, options={zstd.CompressionParameter.checksum_flag: 1}),  # as the program zstd does
    ".bz2": bz2.compress,
    ".xz": partial(lzma.compress, preset=0),
}
