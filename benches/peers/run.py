"""Recall against queries a second: askance's index and its peers on the same .npy files.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r benches/peers/requirements.txt
    cargo build --release -p storage --example ann_curve
    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE /tmp/peers/bin/python benches/peers/run.py \
        --base base.npy --queries queries.npy --askance target/release/examples/ann_curve --work /tmp/peers/work

One thread, one query at a time. Times are those the searching thread spent on a CPU, so that other
work on the machine blurs the comparison less; each point is the best of --repeat runs, and peers and
askance take turns. Writes curves.json and curves.svg into --work. Metric: inner product, k = 10.
"""

import argparse
import json
import os
import subprocess
import time

import numpy as np


def recall(found, truth):
    return float(np.mean([len(set(f) & set(t)) / len(t) for f, t in zip(found, truth)]))


def exact(base, queries, k):
    scores = queries @ base.T
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


# Each maker yields (setting, search function of one query) after building or loading its index once.
def hnswlib_points(base, folder, k):
    import hnswlib
    index, path = hnswlib.Index("ip", base.shape[1]), os.path.join(folder, "hnsw.bin")
    if os.path.exists(path):
        index.load_index(path)
    else:
        index.init_index(len(base), M=16, ef_construction=200)
        index.add_items(base)
        index.save_index(path)
    index.set_num_threads(1)
    for ef in (40, 80, 120, 200, 300, 500):
        def search(q, ef=ef):
            index.set_ef(ef)
            return index.knn_query(q, k)[0][0]
        yield f"ef={ef}", search


def faiss_points(base, folder, k, name):
    import faiss
    path = os.path.join(folder, name.replace(",", "_") + ".faiss")
    if os.path.exists(path):
        index = faiss.read_index(path)
    else:
        index = faiss.index_factory(base.shape[1], name, faiss.METRIC_INNER_PRODUCT)
        index.train(base)
        index.add(base)
        faiss.write_index(index, path)
    faiss.omp_set_num_threads(1)
    refine = name.endswith("RFlat")
    inner = faiss.extract_index_ivf(index)
    for nprobe in (16, 32, 64, 128, 256, 512):
        for factor in ((5, 10, 20) if refine else (1,)):
            def search(q, nprobe=nprobe, factor=factor):
                inner.nprobe = nprobe
                if refine:
                    index.k_factor = factor
                return index.search(q, k)[1][0]
            yield f"nprobe={nprobe} factor={factor}", search


def usearch_points(base, folder, k):
    from usearch.index import Index
    index, path = Index(ndim=base.shape[1], metric="ip", dtype="f16"), os.path.join(folder, "usearch.bin")
    if os.path.exists(path):
        index.load(path)
    else:
        index.add(np.arange(len(base)), base)
        index.save(path)
    for ef in (64, 128, 256, 512):
        def search(q, ef=ef):
            index.expansion_search = ef
            return index.search(q[0], k, threads=1).keys
        yield f"ef={ef}", search


def scann_points(base, folder, k):
    import scann
    builder = scann.scann_ops_pybind.builder(base, k, "dot_product")
    builder = builder.tree(num_leaves=1000, num_leaves_to_search=100, training_sample_size=len(base))
    index = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100).build()
    for leaves in (30, 60, 120, 250, 500):
        for depth in (60, 150):
            yield f"leaves={leaves} reorder={depth}", lambda q, leaves=leaves, depth=depth: index.search(
                q[0], leaves_to_search=leaves, pre_reorder_num_neighbors=depth)[0]


def symqg_points(base, folder, k):
    import rabitqlib
    path = os.path.join(folder, "symqg.bin")
    if os.path.exists(path):
        index = rabitqlib.SymqgIndex.load(path)
    else:
        index = rabitqlib.SymqgIndex(base.shape[1], 32, metric="ip")
        index.build(base, 200, num_threads=os.cpu_count())
        index.save(path)
    for ef in (60, 80, 120, 160, 200, 300, 400):
        yield f"ef={ef}", lambda q, ef=ef: index.search(q, k, ef)[0][0]


PEERS = {
    "hnswlib": hnswlib_points,
    "faiss IVF-PQfs": lambda *a: faiss_points(*a, "IVF1024,PQ96x4fs,RFlat"),
    "faiss RaBitQfs": lambda *a: faiss_points(*a, "IVF1024,RaBitQfs,RFlat"),
    "scann": scann_points,
    "usearch": usearch_points,
    "SymphonyQG": symqg_points,
}


def askance_points(args):
    settings = ",".join(f"{p}:{r}" for p, r in [
        (50, 48), (75, 48), (100, 64), (125, 64), (150, 64), (150, 96), (200, 96), (300, 96), (300, 128),
        (400, 128), (500, 128), (600, 128), (600, 192), (800, 192)])
    out = subprocess.run([args.askance, args.base, args.queries, os.path.join(args.work, "askance"),
                          f"settings={settings}", f"repeat={args.repeat}"],
                         check=True, capture_output=True, text=True).stdout
    return [{"setting": f"nprobe={p['nprobe']} rescore={p['rescore']} target={p['target']}",
             "recall": p["recall"], "qps": p["qps"]} for p in json.loads(out)["points"]]


def measure(points, queries, truth, repeat):
    measured = []
    for setting, search in points:
        best, found = float("inf"), None
        for _ in range(repeat):
            start = time.thread_time()
            found = [search(queries[i:i + 1]) for i in range(len(queries))]
            best = min(best, time.thread_time() - start)
        measured.append({"setting": setting, "recall": round(recall(found, truth), 4),
                         "qps": round(len(queries) / best)})
        print("   ", measured[-1], flush=True)
    return measured


def draw(curves, path):
    width, height, left, low = 720, 440, 60, 0.85
    top = np.log10(max(p["qps"] for c in curves.values() for p in c) * 1.2)
    place = lambda r, q: (left + (r - low) / (1 - low) * (width - left - 170),
                          height - 40 - (np.log10(q) - 2) / (top - 2) * (height - 60))
    colours = ["#c1272d", "#0b6e99", "#0f7b4f", "#9065b0", "#b8860b", "#444444", "#d2691e"]
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">']
    for r in (0.85, 0.9, 0.95, 0.98, 0.99, 1.0):
        x, _ = place(r, 100)
        parts.append(f'<path d="M{x:.0f} 20V{height - 40}" stroke="#ddd"/><text x="{x - 10:.0f}" y="{height - 22}">{r}</text>')
    for q in (100, 300, 1000, 3000, 10000, 30000):
        if np.log10(q) <= top:
            _, y = place(low, q)
            parts.append(f'<path d="M{left} {y:.0f}H{width - 170}" stroke="#ddd"/><text x="8" y="{y + 4:.0f}">{q}</text>')
    for at, (name, curve) in enumerate(curves.items()):
        best, front = 0, []
        for p in sorted(curve, key=lambda p: -p["recall"]):
            if p["qps"] > best and p["recall"] >= low:
                best = p["qps"]
                front.append("%.1f,%.1f" % place(p["recall"], p["qps"]))
        colour = colours[at % len(colours)]
        parts.append(f'<polyline points="{" ".join(front)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{width - 160}" y="{30 + 18 * at}" fill="{colour}">{name}</text>')
    parts.append(f'<text x="{left}" y="{height - 6}">recall@10; upwards: queries a second of CPU time, one thread</text></svg>')
    with open(path, "w") as file:
        file.write("\n".join(parts))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True)
    parser.add_argument("--queries", required=True)
    parser.add_argument("--askance", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peers", default=",".join(PEERS))
    args = parser.parse_args()
    os.makedirs(args.work, exist_ok=True)
    base, queries = (np.load(path).astype(np.float32) for path in (args.base, args.queries))
    truth = exact(base, queries, 10)
    curves = {"askance": askance_points(args)}
    for name in args.peers.split(","):
        print(name, flush=True)
        curves[name] = measure(PEERS[name](base, args.work, 10), queries, truth, args.repeat)
        # Taking turns: the load of the machine changes slowly.
        curves["askance"] += askance_points(args)
        with open(os.path.join(args.work, "curves.json"), "w") as file:
            json.dump(curves, file, indent=1)
    for name, curve in curves.items():
        for floor in (0.95, 0.99):
            fit = [p for p in curve if p["recall"] >= floor]
            top = max(fit, key=lambda p: p["qps"]) if fit else None
            print(f"{name:16} recall >= {floor}: {top}")
    draw(curves, os.path.join(args.work, "curves.svg"))


if __name__ == "__main__":
    main()
