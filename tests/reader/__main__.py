"""Prints what an archive holds as JSON: `python -m reader ARCHIVE_FOLDER`."""

import json
import sys
from pathlib import Path

from . import Inconsistent, read_archive


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m reader ARCHIVE_FOLDER")
    try:
        archive = read_archive(Path(sys.argv[1]))
    except Inconsistent as error:
        sys.exit(f"inconsistent: {error}")
    json.dump(archive.counts(), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
