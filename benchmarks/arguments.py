"""The command lines of the benchmarks."""

import argparse


def make_parser(program: str, text: str | None) -> argparse.ArgumentParser:
    """Return a parser for *program*, whose ``--help`` shows *text*, the docstring of a module, around the options."""
    about, _, method = (text or "").partition("\n\n")
    return argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=about,
        epilog=method,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
