"""Vectors in clusters, as many as wanted: what the runs at a million and ten million are made of.

    python3 benches/peers/generate.py --rows 10000000 --out WORK/made-10m

Writes OUT-base.npy (n, d) f16 and OUT-query.npy (1,000, d) f32, of unit length. One center for every 50 vectors; a vector
is its center and .9 times as much of its own, a query 1.2 times as much, so that queries lie farther out than the
vectors do. Coordinates shrink as 1 / (1 + i / 8), which is about how the components of sentence embeddings do.
"""

import argparse

import numpy

BLOCK = 100_000


def unit(x):
    return x / numpy.linalg.norm(x, axis=1, keepdims=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--columns", type=int, default=96)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--out", required=True, help="what the names of both files start with")
    args = parser.parse_args()
    n, d = args.rows, args.columns
    rng = numpy.random.default_rng(0)
    spectrum = (1 / (1 + numpy.arange(d) / 8)).astype(numpy.float32)
    normal = lambda count: rng.standard_normal((count, d), dtype=numpy.float32) * spectrum
    centers = normal(max(1, n // 50))
    around = lambda count, deviation: unit(centers[rng.integers(len(centers), size=count)] + deviation * normal(count))
    numpy.save(args.out + "-query.npy", around(args.queries, 1.2))
    base = numpy.lib.format.open_memmap(args.out + "-base.npy", mode="w+", dtype=numpy.float16, shape=(n, d))
    for start in range(0, n, BLOCK):
        base[start:start + BLOCK] = around(min(BLOCK, n - start), 0.9)
    base.flush()


if __name__ == "__main__":
    main()
