"""The web page: today's views as they rise and those of past days, with a JSON interface, a badge and metrics."""
