"""The comparisons share this: servers under test, the load, CPU time of process trees, the result tables."""
