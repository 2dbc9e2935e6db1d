"""The web page: today's views, live, and the views of past days; with a JSON interface, a badge and metrics."""
