"""Scripts of `dashboard/e2e`: a browser looks at a page of the real program."""

import subprocess

from program import ROOT


def look(script: str, *arguments: str, seconds: float) -> subprocess.CompletedProcess:
    """Runs one of them to its end."""
    command = ["node", f"e2e/{script}", *arguments]
    return subprocess.run(command, cwd=ROOT / "dashboard", timeout=seconds, capture_output=True, text=True)
