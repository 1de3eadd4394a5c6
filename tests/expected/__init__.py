"""What must come out of the taxi example, computed a second time and straight from the source files.

It shares nothing with the program: no configuration is read, the rules of `examples/nyc-taxi/pipeline.toml` are written
out again by hand, in SQL for DuckDB and, for dedup, as a loop over rows in file order.
"""

from .trips import FILE, KEY, MARKS, OFF, REJECTS, SOURCE, Outcomes, compute, summary

__all__ = ["FILE", "KEY", "MARKS", "OFF", "REJECTS", "SOURCE", "Outcomes", "compute", "summary"]
