"""Recall against queries a second: askance's index and its peers on the same .npy files.

    cargo build --workspace --release
    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python3 benches/peers/run.py \
        --base base.npy --queries queries.npy --work /tmp/peers --svg benches/curve.svg

Makes a virtual environment with the peers in it (--venv, default WORK/venv), builds every index once (kept in
--work), and then measures in rounds: in each round every contender takes its turn with all its settings, and each
setting keeps its fastest round. Results add up in WORK/curves.json, so that a long run can be cut into short ones
(--peers, --rounds). One thread; queries one at a time and all at once. Times are those the searching thread spent
on a CPU, so that other work on the machine blurs the comparison less. Metric: inner product, k = 10.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import venv

HERE = os.path.dirname(os.path.abspath(__file__))
K = 10


class Peer:
    """An index: built or loaded once, then asked with each setting."""

    def __init__(self, base, folder):
        start = time.time()
        self.build_s = None
        if not os.path.exists(self.path(folder)):
            self.build(base, folder)
            self.build_s = time.time() - start
        else:
            self.load(base, folder)

    def path(self, folder):
        return os.path.join(folder, type(self).__name__ + ".index")


class Hnswlib(Peer):
    settings = [{"ef": ef} for ef in (40, 60, 80, 120, 160, 200, 300, 400, 500, 700)]

    def build(self, base, folder):
        import hnswlib
        self.index = hnswlib.Index("ip", base.shape[1])
        self.index.init_index(len(base), M=16, ef_construction=200)
        self.index.add_items(base)
        self.index.save_index(self.path(folder))

    def load(self, base, folder):
        import hnswlib
        self.index = hnswlib.Index("ip", base.shape[1])
        self.index.load_index(self.path(folder))

    def search(self, queries, ef):
        self.index.set_num_threads(1)
        self.index.set_ef(ef)
        return self.index.knn_query(queries, K)[0]


class Faiss(Peer):
    factory = None

    def build(self, base, folder):
        import faiss
        factory = self.factory.replace("LISTS", str(lists(len(base))))
        factory = factory.replace("CODES", str(base.shape[1] // 4))
        self.index = faiss.index_factory(base.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        self.index.train(base)
        self.index.add(base)
        faiss.write_index(self.index, self.path(folder))

    def load(self, base, folder):
        import faiss
        self.index = faiss.read_index(self.path(folder))

    def search(self, queries, nprobe, factor=None):
        import faiss
        faiss.omp_set_num_threads(1)
        faiss.extract_index_ivf(self.index).nprobe = nprobe
        if factor:
            self.index.k_factor = factor
        return self.index.search(queries, K)[1]


def pairs(first, second, *rows):
    """Settings of two parameters: for each (a, (b, ...)) of `rows` a with each b."""
    return [{first: a, second: b} for a, each in rows for b in each]


class FaissPQfs(Faiss):
    factory = "IVFLISTS,PQCODESx4fs,RFlat"
    settings = pairs("nprobe", "factor", (32, (5, 10)), (64, (5, 10, 20)), (128, (5, 10, 20)), (200, (10, 20, 40)),
                     (300, (10, 20, 40)), (450, (20, 40)), (700, (20, 40, 80)), (1264, (40, 80)))


class FaissRaBitQfs(Faiss):
    factory = "IVFLISTS,RaBitQfs,RFlat"
    settings = pairs("nprobe", "factor", (64, (10, 20)), (128, (10, 20, 40)), (200, (20, 40)), (300, (20, 40)),
                     (450, (40, 80)), (700, (40, 80, 160)), (1264, (80, 160)))


class FaissHnsw(Faiss):
    factory = "HNSW32"
    settings = [{"ef": ef} for ef in (40, 80, 120, 200, 300, 500, 800)]

    def search(self, queries, ef):
        import faiss
        faiss.omp_set_num_threads(1)
        self.index.hnsw.efSearch = ef
        return self.index.search(queries, K)[1]


class Scann(Peer):
    settings = pairs("leaves", "reorder", (40, (60, 150)), (80, (60, 150)), (120, (60, 150, 300)), (180, (100, 150, 300)),
                     (250, (100, 150, 300)), (400, (150, 300)), (600, (150, 300, 600)), (1264, (300, 600)))

    def path(self, folder):
        return os.path.join(folder, "scann")

    def build(self, base, folder):
        import scann
        builder = scann.scann_ops_pybind.builder(base, K, "dot_product")
        builder = builder.tree(num_leaves=lists(len(base)), num_leaves_to_search=100, training_sample_size=len(base))
        self.index = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100).build()
        os.makedirs(self.path(folder))
        self.index.serialize(self.path(folder))

    def load(self, base, folder):
        import scann
        self.index = scann.scann_ops_pybind.load_searcher(self.path(folder))

    def search(self, queries, leaves, reorder):
        if len(queries) == 1:
            return [self.index.search(queries[0], leaves_to_search=leaves, pre_reorder_num_neighbors=reorder)[0]]
        return self.index.search_batched(queries, leaves_to_search=leaves, pre_reorder_num_neighbors=reorder)[0]


class Usearch(Peer):
    settings = [{"ef": ef} for ef in (32, 64, 96, 128, 192, 256, 400, 512, 800)]

    def build(self, base, folder):
        import numpy
        self.open(base)
        self.index.add(numpy.arange(len(base)), base)
        self.index.save(self.path(folder))

    def load(self, base, folder):
        self.open(base)
        self.index.load(self.path(folder))

    def open(self, base):
        from usearch.index import Index
        self.index = Index(ndim=base.shape[1], metric="ip", dtype="f16")

    def search(self, queries, ef):
        self.index.expansion_search = ef
        if len(queries) == 1:
            return [self.index.search(queries[0], K, threads=1).keys]
        return self.index.search(queries, K, threads=1).keys


class SymphonyQG(Peer):
    settings = [{"ef": ef} for ef in (20, 30, 40, 60, 80, 100, 110, 120, 130, 160, 200, 300, 350, 380, 400, 600)]

    def build(self, base, folder):
        import rabitqlib
        self.index = rabitqlib.SymqgIndex(base.shape[1], 32, metric="ip")
        self.index.build(base, 200, num_threads=os.cpu_count())
        self.index.save(self.path(folder))

    def load(self, base, folder):
        import rabitqlib
        self.index = rabitqlib.SymqgIndex.load(self.path(folder))

    def search(self, queries, ef):
        return self.index.search(queries, K, ef)[0]


PEERS = {
    "hnswlib": Hnswlib,
    "FAISS IVF-PQfs": FaissPQfs,
    "FAISS RaBitQfs": FaissRaBitQfs,
    "FAISS HNSW": FaissHnsw,
    "ScaNN": Scann,
    "usearch": Usearch,
    "SymphonyQG": SymphonyQG,
}
ASKANCE = "askance"


def lists(n):
    """As many lists as people give FAISS and ScaNN for so many vectors: about four times the root."""
    return max(16, int(4 * n ** 0.5))


class Askance:
    """The command, which times itself in the same way."""

    def __init__(self, args):
        self.args, self.build_s, self.bytes = args, None, None

    def round(self, settings):
        command = [self.args.askance, "bench", "ann", "--base", self.args.base, "--queries", self.args.queries,
                   "--threads", "1", "--repeat", "1", "--json", "--quiet",
                   "--work", os.path.join(self.args.work, "askance"), *self.args.askance_options.split()]
        if settings:
            command += ["--settings", settings]
        out = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        self.build_s, self.bytes = out["build_s"], out["bytes_per_vector"]
        for p in out["points"]:
            yield (f"nprobe={p['nprobe']} rescore={p['rescore']}", p["recall"],
                   p["qps_cpu"] or p["qps"], p["batch_qps_cpu"] or p["batch_qps"])


def recall(found, truth):
    import numpy
    return float(numpy.mean([len(set(map(int, f)) & set(map(int, t))) / len(t) for f, t in zip(found, truth)]))


def timed(search):
    start = time.thread_time()
    found = search()
    return found, time.thread_time() - start


def peer_round(peer, queries, truth):
    for setting in peer.settings:
        found, one = timed(lambda: [peer.search(queries[i:i + 1], **setting)[0] for i in range(len(queries))])
        _, batch = timed(lambda: peer.search(queries, **setting))
        name = " ".join(f"{key}={value}" for key, value in setting.items())
        yield name, recall(found, truth), len(queries) / one, len(queries) / batch


def keep_best(curve, points):
    for setting, found, one, batch in points:
        old = curve.setdefault(setting, {"recall": found, "qps": 0, "batch_qps": 0, "rounds": 0})
        old["recall"] = round(found, 4)
        old["qps"], old["batch_qps"] = round(max(old["qps"], one)), round(max(old["batch_qps"], batch))
        old["rounds"] += 1


def draw(curves, path, key, title):
    import math
    width, height, left, low = 760, 460, 60, 0.85
    rates = [p[key] for c in curves.values() for p in c["points"].values() if p["recall"] >= low]
    top, bottom = math.log10(max(rates) * 1.2), math.floor(math.log10(min(rates)) * 2) / 2
    place = lambda r, q: (left + (r - low) / (1 - low) * (width - left - 190),
                          height - 50 - (math.log10(q) - bottom) / (top - bottom) * (height - 80))
    colours = {ASKANCE: "#c1272d"}
    spare = iter(["#0b6e99", "#0f7b4f", "#9065b0", "#b8860b", "#444444", "#d2691e", "#3f51b5"])
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
             f'font-size="12"><rect width="{width}" height="{height}" fill="white"/><text x="{left}" y="18">{title}</text>']
    for r in (0.85, 0.9, 0.95, 0.98, 0.99, 1.0):
        x, _ = place(r, 10 ** bottom)
        parts.append(f'<path d="M{x:.0f} 30V{height - 50}" stroke="#ddd"/><text x="{x - 10:.0f}" y="{height - 34}">{r}</text>')
    for q in (100, 300, 1000, 3000, 10000, 30000, 100000, 300000):
        if bottom <= math.log10(q) <= top:
            _, y = place(low, q)
            parts.append(f'<path d="M{left} {y:.0f}H{width - 190}" stroke="#ddd"/><text x="8" y="{y + 4:.0f}">{q}</text>')
    for at, (name, curve) in enumerate(curves.items()):
        best, front = 0, []
        for p in sorted(curve["points"].values(), key=lambda p: -p["recall"]):
            if p[key] > best and p["recall"] >= low:
                best = p[key]
                front.append("%.1f,%.1f" % place(p["recall"], p[key]))
        colour = colours.get(name) or next(spare)
        parts.append(f'<polyline points="{" ".join(front)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{width - 180}" y="{40 + 18 * at}" fill="{colour}">{name}</text>')
    parts.append(f'<text x="{left}" y="{height - 12}">recall@{K}; upwards: queries a second of CPU time, one thread</text></svg>\n')
    with open(path, "w") as file:
        file.write("\n".join(parts))


def at_least(curve, floor, key):
    fit = [p[key] for p in curve["points"].values() if p["recall"] >= floor]
    return max(fit) if fit else 0


def table(curves):
    print(f"{'':18} {'build s':>8}" + "".join(f" {'R>=' + str(f):>9} {'batch':>9}" for f in (0.9, 0.95, 0.99)))
    for name, curve in curves.items():
        cells = "".join(f" {at_least(curve, f, 'qps'):>9} {at_least(curve, f, 'batch_qps'):>9}" for f in (0.9, 0.95, 0.99))
        print(f"{name:18} {curve.get('build_s') or 0:>8.1f}{cells}")


def save(curves, path):
    with open(path, "w") as file:
        json.dump(curves, file, indent=1)


def with_peers(args):
    """Runs this script again in a virtual environment that has the peers."""
    folder = args.venv or os.path.join(args.work, "venv")
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python):
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", os.path.join(HERE, "requirements.txt")], check=True)
    os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:], "--inside"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="vectors, .npy")
    parser.add_argument("--queries", required=True, help="queries, .npy")
    parser.add_argument("--work", required=True, help="folder for indexes and results")
    parser.add_argument("--askance", default=os.path.join(HERE, "..", "..", "target", "release", "askance"))
    parser.add_argument("--settings", default="", help="askance's settings, nprobe:rescore,... [default: its own choice]")
    parser.add_argument("--askance-options", default="", help="further options of `askance bench ann`")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default=",".join(PEERS), help="names, or nothing")
    parser.add_argument("--svg", help="where the curves are drawn; the batch curves beside it")
    parser.add_argument("--venv", help="a virtual environment that has the peers, or is to get them")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.makedirs(args.work, exist_ok=True)
    if not args.inside:
        with_peers(args)
    import numpy
    base, queries = (numpy.ascontiguousarray(numpy.load(path), dtype=numpy.float32) for path in (args.base, args.queries))
    truth = numpy.argsort(-(queries @ base.T), axis=1, kind="stable")[:, :K]
    results = os.path.join(args.work, "curves.json")
    curves = json.load(open(results)) if os.path.exists(results) else {}
    peers = {}
    for name in filter(None, args.peers.split(",")):
        peers[name] = PEERS[name](base, args.work)
        curve = curves.setdefault(name, {"points": {}})
        curve["build_s"] = peers[name].build_s or curve.get("build_s")
    save(curves, results)
    askance = Askance(args)
    for turn in range(args.rounds):
        mine = curves.setdefault(ASKANCE, {"points": {}})
        keep_best(mine["points"], askance.round(args.settings))
        mine["build_s"], mine["bytes_per_vector"] = askance.build_s, askance.bytes
        for name, peer in peers.items():
            keep_best(curves[name]["points"], peer_round(peer, queries, truth))
        save(curves, results)
        print(f"round {turn + 1} of {args.rounds}", file=sys.stderr, flush=True)
    table(curves)
    if args.svg:
        title = f"{os.path.basename(args.base)}, {len(base):,} x {base.shape[1]}"
        stem, ending = os.path.splitext(args.svg)
        draw(curves, args.svg, "qps", title + ", one query at a time")
        draw(curves, stem + "-batch" + ending, "batch_qps", title + ", all queries at once")


if __name__ == "__main__":
    main()
