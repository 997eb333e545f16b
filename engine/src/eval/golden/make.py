#!/usr/bin/env python3
"""Makes qrels.txt, run.txt and expected.tsv beside this file; needs pytrec-eval-terrier 0.5 and ir-measures 0.4.

The run is random and meant to be awkward: ties within and across judged documents, unjudged documents, graded and
negative judgements, queries without hits, without a relevant document, without a judgement, few hits and many.
"""
import pathlib
import random

import ir_measures
import pytrec_eval

here = pathlib.Path(__file__).parent
rng = random.Random(20)
CUTS = (1, 3, 5, 10, 20, 100)
NAMES = {"ndcg": "ndcg_cut", "recall": "recall", "success": "success", "p": "P"}

qrels, run = {}, {}
for n in range(40):
    query = f"q{n}"
    documents = [f"d{i}" for i in range(rng.choice([8, 30, 150]))]
    grades = [-2, -1, 0] if n % 13 == 5 else rng.choice([[0, 1], [-1, 0, 1, 2, 3], [1], [0, 0, 0, 1, 5]])
    if n % 17 != 3:
        judged = rng.sample(documents, rng.randint(1, min(40, len(documents))))
        qrels[query] = {document: rng.choice(grades) for document in judged}
    if n % 11 != 7:
        levels = rng.choice([2, 6, 1000])
        found = rng.sample(documents, rng.randint(1, min(120, len(documents))))
        run[query] = {document: rng.randrange(levels) / 8 for document in found}

with open(here / "qrels.txt", "w") as file:
    for query, grades in qrels.items():
        file.writelines(f"{query} 0 {document} {grade}\n" for document, grade in grades.items())
with open(here / "run.txt", "w") as file:
    for query, hits in run.items():
        # File order and ranks are those of insertion: they must not matter.
        file.writelines(f"{query} Q0 {d} {i} {score} golden\n" for i, (d, score) in enumerate(hits.items(), 1))


def cut(hits, k):
    """The first k in trec_eval's order."""
    return dict(sorted(hits.items(), key=lambda hit: (hit[1], hit[0]), reverse=True)[:k])


def rows():
    measures = {"map"} | {f"{trec}.{','.join(map(str, CUTS))}" for trec in NAMES.values()}
    relevant = {q: g for q, g in qrels.items() if max(g.values()) > 0}
    values = pytrec_eval.RelevanceEvaluator(relevant, measures).evaluate(run)
    first = {k: pytrec_eval.RelevanceEvaluator(relevant, {"recip_rank"}).evaluate({q: cut(h, k) for q, h in run.items()}) for k in CUTS}
    for query in sorted(values):
        yield "map", query, values[query]["map"]
        for k in CUTS:
            yield f"mrr@{k}", query, first[k][query]["recip_rank"]
            for name, trec in NAMES.items():
                yield f"{name}@{k}", query, values[query][f"{trec}_{k}"]
    # Means by ir-measures, which counts a judged query without hits as 0.
    means = {"map": "AP", "ndcg@10": "nDCG@10", "recall@100": "R@100", "success@5": "Success@5", "p@5": "P@5"}
    aggregate = ir_measures.calc_aggregate([ir_measures.parse_measure(m) for m in means.values()], relevant, run)
    for name, measure in means.items():
        yield name, "mean", aggregate[ir_measures.parse_measure(measure)]


with open(here / "expected.tsv", "w") as file:
    file.writelines(f"{metric}\t{query}\t{value:.12g}\n" for metric, query, value in rows())
