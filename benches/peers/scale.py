"""How does the index grow: build time, memory, time to open, and rate at a recall, on one made set of vectors.

    python3 benches/peers/scale.py --stem WORK/made-1m --work WORK [--targets 0.9,0.95,0.98]

STEM-base.npy and STEM-query.npy come from generate.py. Prints one JSON object: what `askance bench ann` says of itself, and
what the process took: `anon_mib`, the most memory that was not mapped from a file (sampled every tenth of a second), and
`cpu_s`, the time all cores spent, measuring included. An index that lies in WORK already is not built again; memory and time are
then those of measuring alone.
"""

import argparse
import json
import os
import resource
import subprocess
import time


def anonymous_kib(pid):
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("RssAnon")), 0)
    except OSError:
        return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--stem", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--askance", default=os.path.join(here, "..", "..", "target", "release", "askance"))
    parser.add_argument("--targets", default="0.9,0.95,0.98")
    parser.add_argument("--options", default="", help="further options of `askance bench ann`")
    args = parser.parse_args()
    command = [args.askance, "bench", "ann", "--base", args.stem + "-base.npy", "--queries", args.stem + "-query.npy",
               "--targets", args.targets, "--repeat", "1", "--work", args.work, "--json", "--quiet", *args.options.split()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    most = 0
    while process.poll() is None:
        most = max(most, anonymous_kib(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(process.returncode)
    out = json.loads(process.stdout.read())
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    out["anon_mib"] = round(most / 1024)
    out["cpu_s"] = round(used.ru_utime + used.ru_stime)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
