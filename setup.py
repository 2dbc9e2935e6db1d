"""Builds the compiled core; everything else about the package stands in pyproject.toml.

FASTHITS_DEBUG=1 builds with Cython's checks, line tracing and the annotated HTML beside the source. Sanitizers come
from outside: CFLAGS=-fsanitize=address LDFLAGS=-fsanitize=address. So does CFLAGS=-DFASTHITS_WORDS, which builds what
processors without SSE2 and NEON run.
"""

import os
import sysconfig
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

debug = bool(os.environ.get("FASTHITS_DEBUG"))
# One wheel for every CPython from 3.11 on. Free-threaded builds have no stable ABI, line tracing does not exist in it.
abi3 = not debug and not sysconfig.get_config_var("Py_GIL_DISABLED")
# CFLAGS take the place of Python's own flags, -O3 among them, and without that the core is five times slower.
optimise = [] if "-O" in os.environ.get("CFLAGS", "") else ["-O3"]
parse = Extension(
    "fasthits._parse",
    ["fasthits/_parse.pyx"],
    depends=["fasthits/_parse.pyx", *glob("fasthits/core/*.pxd"), *glob("fasthits/core/*.h")],
    include_dirs=["fasthits/core"],
    extra_compile_args=optimise,
    py_limited_api=abi3,
    define_macros=[("CYTHON_TRACE_NOGIL", "1")] * debug + [("Py_LIMITED_API", "0x030B0000")] * abi3,
)
checks = dict.fromkeys(("boundscheck", "wraparound", "initializedcheck", "linetrace"), debug)
setup(
    ext_modules=cythonize(
        [parse],
        force=debug,  # cythonize compares time stamps, so it would not see that the directives changed
        annotate=debug,
        build_dir=None if debug else "build/cython",
        compiler_directives=checks | {"cdivision": not debug},
    ),
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if abi3 else {},
)
