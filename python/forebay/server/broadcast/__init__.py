"""Requests that last: pushed metrics, tails, long polls, and the end of each when its token ends."""
