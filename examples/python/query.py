"""Asks a running pipeline with SQL and prints the rows, one JSON object a line.

    python query.py http://127.0.0.1:8080 "SELECT payment_type, count(*) AS trips FROM events GROUP BY 1 ORDER BY 2 DESC"

A pipeline with `[server] token` wants it: set MILLSTREAM_TOKEN.
"""

import argparse
import json
import os
import sys
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pyarrow as pa


def query(url: str, sql: str) -> pa.Table:
    """The rows as an Arrow table, with their types: `to_pandas()`, or a query of DuckDB, takes it from there."""
    headers = {"Content-Type": "application/json", "Accept": "application/vnd.apache.arrow.stream"}
    if token := os.environ.get("MILLSTREAM_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    request = Request(f"{url}/api/sql", json.dumps({"sql": sql}).encode(), headers)
    with urlopen(request, timeout=60) as response, pa.ipc.open_stream(response) as stream:
        return stream.read_all()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", metavar="URL", help="of the page, as `millstream run` prints it")
    parser.add_argument("sql", metavar="SELECT", help="over `events`, `live`, `archive`, `rejects` and your views")
    options = parser.parse_args()
    try:
        for row in query(options.url.rstrip("/"), options.sql).to_pylist():
            # Decimals and times as text.
            print(json.dumps(row, default=str))
    except HTTPError as error:
        sys.exit(f"query.py: {json.load(error)['error']}")
    except URLError as error:
        sys.exit(f"query.py: {options.url}: {error.reason}")
