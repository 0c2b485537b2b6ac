"""The log inside a Python process: `forebay.open`, consumers, records and times."""
