"""How often was each page read: live from Apache's log into memcached, by day into SQLite or CSV.

The names in ``__all__`` are the public Python API, which docs/python.md shows. Each is imported when it is first used,
so that ``import fasthits`` costs nothing.
"""

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs 3 ms
if TYPE_CHECKING:
    from fasthits import errors as errors
    from fasthits._parse import ParsedLine
    from fasthits.daily.counting.count_hits import HitCount, count_hits
    from fasthits.daily.days import Range
    from fasthits.daily.logs.lines import parse_lines
    from fasthits.daily.past.history import History
    from fasthits.errors import FasthitsError
    from fasthits.live.counters import add_views, hit_key, hits_today
    from fasthits.live.memcached import Delivery
    from fasthits.upkeep.explain import Explanation, explain_line
else:
    _PLACES = {
        "Delivery": "live.memcached",
        "Explanation": "upkeep.explain",
        "FasthitsError": "errors",
        "HitCount": "daily.counting.count_hits",
        "History": "daily.past.history",
        "ParsedLine": "_parse",
        "Range": "daily.days",
        "add_views": "live.counters",
        "count_hits": "daily.counting.count_hits",
        "explain_line": "upkeep.explain",
        "hit_key": "live.counters",
        "hits_today": "live.counters",
        "parse_lines": "daily.logs.lines",
    }

    def __getattr__(name):
        """Return a public name from its module, and keep it (PEP 562)."""
        from importlib import import_module

        if name == "errors":  # docs/python.md names this module
            return import_module(f"{__name__}.errors")
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
        return found

    def __dir__():
        """Return the public names."""
        return __all__


__all__ = [
    "Delivery",
    "Explanation",
    "FasthitsError",
    "History",
    "HitCount",
    "ParsedLine",
    "Range",
    "__version__",
    "add_views",
    "count_hits",
    "explain_line",
    "hit_key",
    "hits_today",
    "parse_lines",
]

__version__ = "0.1.0"
