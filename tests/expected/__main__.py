"""Prints the numbers as JSON: `python -m expected [PIPELINE_FOLDER]` (default: the taxi example)."""

import json
import sys
from pathlib import Path

from . import compute, summary

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "nyc-taxi"


def main() -> None:
    base = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else EXAMPLE
    files = list((base / "data").glob("*.parquet"))
    if not files:
        sys.exit(f"no Parquet file in `{base / 'data'}`")
    json.dump(summary(compute(files, base)), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
