"""The HTTP server: `forebay serve`."""
