"""How long do FAISS and askance take to build an index with the same number of lists, on all cores?

    python3 benches/peers/build.py --base base.npy --lists 1264 [--askance PATH]

FAISS is to be importable (run.py makes an environment that has it). Reading the vectors is not counted for either; askance's
time is the one it reports itself, writing to disk and measuring its own recall included.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time


def faiss_s(base, lists):
    import faiss
    index = faiss.index_factory(base.shape[1], f"IVF{lists},PQ{base.shape[1] // 4}x4fs,RFlat", faiss.METRIC_INNER_PRODUCT)
    start = time.time()
    index.train(base)
    index.add(base)
    return time.time() - start


def askance_s(args, numpy):
    with tempfile.TemporaryDirectory() as folder:
        queries = os.path.join(folder, "queries.npy")
        numpy.save(queries, numpy.load(args.base, mmap_mode="r")[:1])
        command = [args.askance, "bench", "ann", "--base", args.base, "--queries", queries, "--lists", str(args.lists),
                   "--settings", "1:1", "--repeat", "1", "--work", folder, "--json", "--quiet"]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return json.loads(out)["build_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--base", required=True)
    parser.add_argument("--lists", type=int, required=True)
    parser.add_argument("--askance", default=os.path.join(here, "..", "..", "target", "release", "askance"))
    args = parser.parse_args()
    import numpy
    print(f"askance {askance_s(args, numpy):.1f} s", flush=True)
    base = numpy.ascontiguousarray(numpy.load(args.base), dtype=numpy.float32)
    print(f"FAISS {faiss_s(base, args.lists):.1f} s")


if __name__ == "__main__":
    main()
