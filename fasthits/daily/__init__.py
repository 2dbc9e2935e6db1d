"""Every day before: log files reduced to views per day and path, in a database or CSV, and the code that reads them."""
