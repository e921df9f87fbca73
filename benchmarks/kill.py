"""Kill a solve at random moments and load its last checkpoint every time.

A child process solves heat with the two-stage network and writes a checkpoint at every step; it is killed with
SIGKILL after a random delay. Whatever the moment, the file must be absent (killed before the first write) or load
and continue.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import evenflow as ef
from evenflow.checkpoint import read_checkpoint

_CHILD = """
import sys, evenflow as ef
energy = ef.HeatDiffusion.from_graph(ef.gallery.lattice(30, 30), baths="sides")
print("ready", flush=True)
ef.minimize(energy, method="gcn", checkpoint=sys.argv[1], every=1, progress=False)
"""


def main() -> None:
    """Kill, load, repeat."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    delays = random.Random(arguments.seed)
    loaded = absent = broken = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.kills):
            path = Path(folder) / f"{number}.npz"
            child = subprocess.Popen([sys.executable, "-c", _CHILD, str(path)], stdout=subprocess.PIPE)
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(delays.uniform(0.0, 1.0))
            child.send_signal(signal.SIGKILL)
            child.wait()
            child.stdout.close()
            if not path.exists():
                absent += 1
                continue
            try:
                steps = read_checkpoint(path).progress["iterations"]
                if number % 20 == 0:  # and it goes on from there
                    ef.resume(path, max_iterations=steps + 5, progress=False)
            except ef.EvenflowError as error:
                broken += 1
                print(f"kill {number}: {error}")
            else:
                loaded += 1
    print(f"{arguments.kills} kills: {loaded} loaded whole, {absent} before the first write, {broken} broken")
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
