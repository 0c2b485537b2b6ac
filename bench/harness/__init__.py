"""What the comparisons share: servers under test, the load, CPU time of process trees, the result tables."""
