"""The web page: today's views, live, and the views of past days; with a JSON interface, a badge and metrics.

- server, app, guard: who gets an answer, and how many at once; static/: the page
- api, openapi, parameters: the JSON interface; badge, metrics, events: the other addresses
- now, archive: today's counters and past days, for all requests together
"""
