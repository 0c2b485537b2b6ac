"""Exports of the log: jobs that write everything a search finds into files, which are kept for a while."""
