"""Builds the compiled core; everything else about the package stands in pyproject.toml.

FASTHITS_DEBUG=1 builds with Cython's checks, line tracing and the annotated HTML beside the source. Sanitizers come
from outside: CFLAGS=-fsanitize=address LDFLAGS=-fsanitize=address. So does CFLAGS=-DFASTHITS_WORDS, which builds what
processors without SSE2 and NEON run.

The same source and tools give the same bytes: wheels and source archives hold no path, time or user of the machine that
built them.
"""

import gzip
import os
import re
import shutil
import sysconfig
import tarfile
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist
from setuptools.errors import CCompilerError, ExecError

# The time of each file in an archive. Zip, and so a wheel, knows no earlier year.
TIME = os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")
os.umask(0o022)
NEEDED = "on Debian and Ubuntu: apt-get install gcc libc6-dev python3-dev; on RHEL: dnf install gcc python3-devel"


class Modules(build_py):
    """Copies the modules of now: what an earlier build has left in build/ would go into the wheel."""

    def run(self):
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class Wheel(bdist_wheel):
    """Packs all files with the same permissions, whatever the umask of the clone was."""

    def write_wheelfile(self, folder, *generator):
        super().write_wheelfile(folder, *generator)
        for packed, _, names in os.walk(self.bdist_dir):  # which an editable installation does not have
            for name in (os.path.join(packed, name) for name in names):
                os.chmod(name, permissions(os.stat(name).st_mode))


class Core(build_ext):
    """Links the core without the library folder of this Python, in which a loader on another machine would search.

    Who has no compiler or no headers is told what to install.
    """

    def get_ext_filename(self, fullname):
        """Return a name that all Pythons load: earlier ones do not know the .abi3-x86_64-linux-gnu.so of 3.15."""
        return re.sub(r"\.abi3-[^/]*\.so$", ".abi3.so", super().get_ext_filename(fullname))

    def build_extension(self, extension):
        """Let Cython write the C file only now: an archive of the source needs none."""
        made = cythonize(
            [extension],
            force=debug,  # cythonize compares time stamps, so it would not see that the directives changed
            annotate=debug,
            build_dir=None if debug else "build/cython",
            compiler_directives=checks | {"cdivision": not debug},
        )
        extension.sources = made[0].sources
        extension.extra_compile_args = optimise + debug_information  # only now: Cython writes them into the C file
        super().build_extension(extension)

    def build_extensions(self):
        self.compiler.linker_so = [each for each in self.compiler.linker_so if not each.startswith("-Wl,-rpath")]
        try:
            super().build_extensions()
        except (CCompilerError, ExecError, OSError) as error:
            raise SystemExit(f"fasthits: the core could not be compiled ({NEEDED}): {error}") from error


class Source(sdist):
    """Packs the source without what differs from clone to clone: times, owners, and the permissions of a umask."""

    def make_archive(self, base_name, *formats, base_dir, **owners):
        name = f"{base_name}.tar.gz"
        os.makedirs(self.dist_dir, exist_ok=True)
        with (
            gzip.GzipFile("", "wb", fileobj=open(name, "wb"), mtime=int(TIME)) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            archive.add(base_dir, filter=without_machine)
        return name


def permissions(mode):
    """Return the permissions of a file or folder: as they are with the usual umask."""
    return 0o755 if mode & 0o100 else 0o644


def without_machine(member):
    """Return a member of a tar archive as each clone has it."""
    member.mtime, member.uid, member.gid, member.uname, member.gname = int(TIME), 0, 0, "", ""
    member.mode = permissions(member.mode)
    return member


debug = bool(os.environ.get("FASTHITS_DEBUG"))
flags = os.environ.get("CFLAGS", "").split()
# One wheel for every CPython from 3.11 on. Free-threaded builds have no stable ABI, line tracing does not exist in it.
abi3 = not debug and not sysconfig.get_config_var("Py_GIL_DISABLED")
# CFLAGS take the place of Python's own flags, -O3 among them, and without that the core is five times slower.
optimise = [] if any(re.match("-O", each) for each in flags) else ["-O3"]
# Python's own flags ask for debug information, more than half of the library, with the folder of the build in it.
debug_information = [] if debug or any(re.match("-g(?!0)", each) for each in flags) else ["-g0"]
parse = Extension(
    "fasthits._parse",
    ["fasthits/_parse.pyx"],
    depends=["fasthits/_parse.pyx", *glob("fasthits/core/*.pxd"), *glob("fasthits/core/*.h")],
    include_dirs=["fasthits/core"],
    py_limited_api=abi3,
    define_macros=[("CYTHON_TRACE_NOGIL", "1")] * debug + [("Py_LIMITED_API", "0x030B0000")] * abi3,
)
checks = dict.fromkeys(("boundscheck", "wraparound", "initializedcheck", "linetrace"), debug)
setup(
    cmdclass={"bdist_wheel": Wheel, "build_py": Modules, "build_ext": Core, "sdist": Source},
    ext_modules=[parse],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if abi3 else {},
)
