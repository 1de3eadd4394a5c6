"""Full speed with a browser open: the program takes files as fast as it can, the page Live shows it, and neither grows.

    PYTHONPATH=tests python tests/load_test.py [--minutes 10] [--warm-up 2]

The memory of the page (JavaScript that is in use once its garbage is collected) and of the program (resident) is sampled, after some
minutes of warming up, in which the live table fills its share, and caches theirs. The time is cut into thirds, and the median of the
last third may be `MARGIN` over that of the first, and a little that does not depend on size. No timing is judged. `--minutes 1` tries
whether all of it works; that is too short to tell what grows.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from program import EXAMPLE, ROOT, Failure, Run, adapt, address, get_json, start, tail, wait_until, without

sys.path.insert(0, str(ROOT / "benches"))
from generate import generate  # noqa: E402

MARGIN = 1.15
SPARE_BYTES = {"page": 4 << 20, "program": 48 << 20}
"""What may come and go besides: garbage of the last seconds, buffers of one more file."""
FILE_ROWS = 250_000
FILES_AHEAD = 2
"""Files that wait while one is read: there is always something to do, and never a folder full of links."""
SETTINGS = {
    "source.pace": '"max"',
    "stream.batch_rows": "8192",
    "stream.flush_interval": '"20ms"',
    "archive.commit_interval": '"5s"',
    "server.http": '"127.0.0.1:0"',
}


class Feeder:
    """Gives the program one file after another: names of the same few files, each name once."""

    def __init__(self, pool: Path, data: Path):
        self.pool, self.data, self.given = sorted(pool.glob("*.parquet")), data, 0

    def give(self, url: str) -> dict:
        """Another file if fewer than wanted wait; the program's status."""
        status = get_json(url, "/api/status")
        if status["source"]["files_waiting"] < FILES_AHEAD:
            source = self.pool[self.given % len(self.pool)]
            os.link(source, self.data / f"trips-{self.given:06}.parquet")
            self.given += 1
        return status


def resident(pid: int) -> int:
    """Memory of a process, bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise Failure(f"process {pid} has no resident memory")


def judged(name: str, samples: list[int]) -> tuple[str, bool]:
    """What is said of a series of samples, and whether it is flat."""
    third = len(samples) // 3
    if third == 0:
        return f"{name}: {len(samples)} samples are too few", False
    first, middle, last = (statistics.median(samples[part * third : (part + 1) * third]) for part in range(3))
    limit = first * MARGIN + SPARE_BYTES[name]
    shown = ", ".join(f"{value / (1 << 20):.1f}" for value in (first, middle, last))
    is_flat = last <= limit
    verdict = "flat" if is_flat else "GROWS"
    return f"{name}: {shown} MiB in the thirds, at most {limit / (1 << 20):.1f}: {verdict}", is_flat


def watch(folder: Path, url: str, program: Run, feeder: Feeder, minutes: float) -> tuple[dict[str, list[int]], int]:
    """Feeds and samples until the browser has looked long enough; the samples, and the rows that were read meanwhile."""
    command = ["node", "e2e/load.mjs", url, "--minutes", str(minutes)]
    output, resident_bytes = folder / "browser.txt", []
    rows = before = feeder.give(url)["source"]["rows_read"]
    with open(output, "wb") as out:
        browser = subprocess.Popen(command, cwd=ROOT / "dashboard", stdout=out, stderr=subprocess.STDOUT)
    try:
        while browser.poll() is None:
            rows = feeder.give(url)["source"]["rows_read"]
            resident_bytes.append(resident(program.process.pid))
            time.sleep(0.2)
    finally:
        if browser.poll() is None:
            browser.terminate()
            browser.wait()
    if browser.returncode != 0:
        raise Failure(f"{tail(output)}\nkept: {folder}")
    heaps = [json.loads(line)["heap"] for line in output.read_text().splitlines()]
    return {"page": heaps, "program": resident_bytes}, rows - before


def run(minutes: float, warm_up: float) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="millstream-load-"))
    data, pool = folder / "data", folder / "pool"
    data.mkdir(), pool.mkdir()
    generate(pool, rows=2 * FILE_ROWS, file_rows=FILE_ROWS)
    # The same rows come again and again: dedup would leave out all but the first.
    pipeline = without((EXAMPLE / "pipeline.toml").read_text(), "clean.dedup")
    (folder / "pipeline.toml").write_text(adapt(pipeline, SETTINGS))
    feeder = Feeder(pool, data)
    program = start(folder, "run", "pipeline.toml")
    try:
        url = address(folder, program)
        wait_until(lambda: feeder.give(url)["table"]["rows"] > 0, 60, "the first rows")
        if warm_up > 0:
            watch(folder, url, program, feeder, warm_up)
        samples, rows = watch(folder, url, program, feeder, minutes)
        program.process.send_signal(signal.SIGTERM)
        code = program.wait(120)
    finally:
        if program.process.poll() is None:
            program.kill()
    told = [judged(name, samples[name]) for name in samples]
    flat = all(is_flat for _, is_flat in told)
    peak = max(samples["program"]) / (1 << 20)
    print(f"{rows:,} rows in {minutes:g} minutes, {rows / minutes / 60:,.0f} a second; {feeder.given} files; program at most {peak:.0f} MiB")
    for line, _ in told:
        print(line)
    if code != 0 or rows == 0 or not flat:
        print(f"ended with {code}; kept: {folder}\n{tail(program.log)}")
        return False
    shutil.rmtree(folder)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="how long (default 10)")
    parser.add_argument("--warm-up", type=float, default=2, help="minutes before (default 2)")
    options = parser.parse_args()
    try:
        held = run(options.minutes, options.warm_up)
    except Failure as failure:
        print(failure)
        held = False
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
