#!/usr/bin/env python3
"""Fits the constants of engine/src/fuse/weight.rs and checks them on data sets left out.

    python fit.py --data FOLDER_OF_BEIR_SETS --model all-MiniLM-L6-v2_FOLDER

Needs torch, transformers, tokenizers, safetensors, PyStemmer; minutes on a GPU, hours on a CPU. Both legs are made
here the way the engine makes them: BM25 over title and body with the engine's constants and function words, exact
inner products of mean-pooled MiniLM vectors (256 tokens). Every set takes part in five forms, so that the rule sees
weak and strong legs and small and large collections:

    fit      up to 1,000 train and dev queries against the set
    kw       the three rarest words of a query instead of the query
    small    150 queries against 600 documents, those relevant among them
    merged   300 queries against all sets in one collection
    static   token vectors averaged in place of MiniLM: a weak dense leg

Test queries are scored only, never fitted on. For the figures of a set, the set (with its relatives) is left out of
the fit. Prints the constants, their spread over the fits, and the table of benches/fusion/README.md.
"""
import argparse
import json
import math
import pathlib
import random
import re
from collections import Counter

import Stemmer
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

FORMS = {"fit": 1.0, "kw": 0.3, "small": 0.3, "merged": 0.5, "static": 0.3}  # what each counts for in the fit
RELATIVES = lambda name: "squad" if "squad" in name else name
LOWEST, HIGHEST = 0.05, 0.99
FIXED = [0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85]
GRID = torch.linspace(0, 1, 21)
DEPTH, FIELD_RANK, RRF_K = 200, 100, 60
STOP = set(
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to "
    "was will with about am any been being can could did do does doing from had has have having he her here hers him his "
    "how i its may me might must my our ours shall she should so some than them those us we were what when where which "
    "while who whom whose why would you your yours".split()
)
WORD = re.compile(r"[^\W_]+")
stem = Stemmer.Stemmer("english").stemWords


def words(text):
    return stem([w for w in WORD.findall(text.lower()) if len(w.encode()) <= 64])


def query_words(text):
    found = [w for w in WORD.findall(text.lower()) if len(w.encode()) <= 64]
    return stem([w for w in found if w not in STOP] or found)


class Bm25:
    """Title (weight 2, b .75) and body (weight 1, b .6) as one field each, k1 = .9."""

    def __init__(self, documents, device):
        n = len(documents)
        mean = [max(1e-9, sum(len(d[f]) for d in documents) / n) for f in (0, 1)]
        self.vocabulary, rows, columns, values = {}, [], [], []
        for row, (title, body) in enumerate(documents):
            tf = Counter()
            for tokens, weight, b, average in ((title, 2, 0.75, mean[0]), (body, 1, 0.6, mean[1])):
                for token in tokens:
                    tf[token] += weight / (1 - b + b * len(tokens) / average)
            for token, value in tf.items():
                rows.append(row)
                columns.append(self.vocabulary.setdefault(token, len(self.vocabulary)))
                values.append(value)
        columns, tf = torch.tensor(columns), torch.tensor(values)
        df = torch.bincount(columns, minlength=len(self.vocabulary)).float()
        self.idf = torch.log(1 + (n - df + 0.5) / (df + 0.5))
        weights = self.idf[columns] * 1.9 * tf / (0.9 + tf)
        shape = (n, len(self.vocabulary))
        index = torch.stack([torch.tensor(rows), columns])
        self.matrix = torch.sparse_coo_tensor(index, weights, shape).to(device).coalesce().to_sparse_csr()
        self.device = device

    def scores(self, queries):
        q = torch.zeros(len(self.vocabulary), len(queries))
        for column, query in enumerate(queries):
            for token, count in Counter(query_words(query)).items():
                if token in self.vocabulary:
                    q[self.vocabulary[token], column] = count
        return (self.matrix @ q.to(self.device)).T

    def rarest(self, query, count=3):
        kept = [w for w in WORD.findall(query) if w.lower() not in STOP]
        idf = lambda w: self.idf[self.vocabulary[s]].item() if (s := stem([w.lower()])[0]) in self.vocabulary else 0
        best = sorted(range(len(kept)), key=lambda i: -idf(kept[i]))[:count]
        return " ".join(kept[i] for i in sorted(best))


class Encoders:
    def __init__(self, folder, device):
        self.device = device
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(256)
        self.model = BertModel(BertConfig.from_json_file(folder / "config.json"))
        weights = load_file(folder / "model.safetensors")
        weights = {k: v.float() for k, v in weights.items() if v.is_floating_point()}
        self.model.load_state_dict(weights, strict=False)
        self.model.to(device).eval()
        # The static stand-in: each token on its own through the model, 256 principal directions, frequent tokens less.
        pieces = self.vectors([[101, i, 102] for i in range(self.tokenizer.get_vocab_size())])
        pieces = pieces - pieces.mean(0)
        pieces = pieces @ torch.linalg.svd(pieces, full_matrices=False)[2][:256].T
        share = 1 / (torch.arange(len(pieces), device=device) + 10.0)
        self.pieces = pieces * (1e-3 / (1e-3 + share / share.sum()))[:, None]

    @torch.inference_mode()
    def vectors(self, ids):
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        out = torch.zeros(len(ids), self.model.config.hidden_size, device=self.device)
        while order:
            longest = len(ids[order[0]])
            batch, order = order[: max(1, 65536 // longest)], order[max(1, 65536 // longest) :]
            x = torch.tensor([ids[i] + [0] * (longest - len(ids[i])) for i in batch], device=self.device)
            mask = torch.tensor([[1.0] * len(ids[i]) + [0.0] * (longest - len(ids[i])) for i in batch], device=self.device)
            hidden = self.model(input_ids=x, attention_mask=mask).last_hidden_state
            pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            out[torch.tensor(batch, device=self.device)] = torch.nn.functional.normalize(pooled, dim=1)
        return out.clone()

    def minilm(self, texts):
        return self.vectors([e.ids for e in self.tokenizer.encode_batch(texts)])

    def static(self, texts):
        ids = [[i for i in e.ids if i not in (101, 102)] or [100] for e in self.tokenizer.encode_batch(texts)]
        flat = torch.tensor([i for row in ids for i in row], device=self.device)
        starts = torch.tensor([0] + [len(row) for row in ids[:-1]], device=self.device).cumsum(0)
        return torch.nn.functional.normalize(torch.nn.functional.embedding_bag(flat, self.pieces, starts, mode="mean"), dim=1)


def ndcg(score, gains, ideal):
    top = score.topk(10, 1).indices
    discount = 1 / torch.log2(torch.arange(10, device=score.device) + 2.0)
    return (gains.gather(1, top) * discount).sum(1) / ideal


def observe(bm25, documents, queries, texts, judgements):
    """For each query the four features of weight.rs and nDCG@10 at each weight of GRID, and with reciprocal ranks."""
    features, curves, rrf = [], [], []
    n = len(documents)
    step = 64 if n > 50000 else 256
    for start in range(0, len(texts), step):
        b, d = bm25.scores(texts[start : start + step]), queries[start : start + step] @ documents.T
        gains = torch.zeros(b.shape)
        for row, judged in enumerate(judgements[start : start + step]):
            for column, grade in judged["found"].items():
                gains[row, column] = grade
        gains = gains.to(b.device)
        ideal = torch.tensor([j["ideal"] for j in judgements[start : start + step]], device=b.device)
        b_dev, d_dev = b.std(1, correction=0, keepdim=True), d.std(1, correction=0, keepdim=True)
        zb = torch.where(b_dev > 0, (b - b.mean(1, keepdim=True)) / b_dev.clamp(min=1e-9), 0.0)
        zd = (d - d.mean(1, keepdim=True)) / d_dev
        depth = min(DEPTH, n)
        b_top, d_top = b.topk(depth, 1), d.topk(depth, 1)
        share = 1 / (RRF_K + torch.arange(1, depth + 1, device=b.device)).expand(len(b), depth)
        b_rank = torch.zeros_like(b).scatter_(1, b_top.indices, share) * (b > 0)
        d_rank = torch.zeros_like(b).scatter_(1, d_top.indices, share)
        outside = torch.where(b_rank + d_rank > 0, 0.0, -1e9)
        curves.append(torch.stack([ndcg(w * zd + (1 - w) * zb + outside, gains, ideal) for w in GRID.tolist()], 1).cpu())
        rrf.append(ndcg(b_rank + d_rank, gains, ideal).cpu())
        best = b_top.values[:, 0]
        field = b_top.values[:, FIELD_RANK - 1] if n >= FIELD_RANK else torch.zeros_like(best)
        features.append(
            torch.stack(
                [
                    d_top.values[:, 0] - d.mean(1),
                    b_dev[:, 0].clamp(min=1e-3).log(),
                    torch.full_like(best, math.log(n)),
                    (best - field) / best.clamp(min=0.1),
                ],
                1,
            ).cpu()
        )
    return {"features": torch.cat(features), "curves": torch.cat(curves), "rrf": torch.cat(rrf)}


def read_set(folder):
    lines = lambda name: [json.loads(line) for line in open(folder / name, encoding="utf-8") if line.strip()]
    corpus, queries = lines("corpus.jsonl"), {q["_id"]: q["text"] for q in lines("queries.jsonl")}
    rows = {d["_id"]: i for i, d in enumerate(corpus)}
    splits = {}
    for path in sorted((folder / "qrels").glob("*.tsv")):
        for line in path.read_text().splitlines()[1:]:
            query, document, grade = line.split("\t")
            if query in queries and int(grade) > 0:
                splits.setdefault(path.stem, {}).setdefault(query, {})[document] = int(grade)

    def judged(query, grades):
        best = sorted(grades.values(), reverse=True)[:10]
        ideal = sum(g / math.log2(rank + 2) for rank, g in enumerate(best))
        return queries[query], {"found": {rows[d]: g for d, g in grades.items() if d in rows}, "ideal": ideal}

    test = splits.get("test", {})
    rest = {q: g for split in ("dev", "train") for q, g in splits.get(split, {}).items() if q not in test}
    chosen = random.Random(7).sample(sorted(rest), min(1000, len(rest)))
    return {
        "texts": [(d.get("title") or "", d["text"]) for d in corpus],
        "test": [judged(q, g) for q, g in test.items()],
        "fit": [judged(q, rest[q]) for q in chosen],
    }


def observe_all(sets, encoders, device):
    seen, merged, all_words, all_vectors, offset = {}, [], [], [], 0
    rng = random.Random(3)

    def put(form, name, bm25, documents, encode, queries):
        texts, judgements = [q for q, _ in queries], [j for _, j in queries]
        seen[form, name] = observe(bm25, documents, encode(texts), texts, judgements)
        curve = seen[form, name]["curves"].mean(0)
        print(f"{form:7} {name:20} {len(texts):5} queries, bm25 {curve[0]:.4f}, dense {curve[-1]:.4f}", flush=True)

    for name, data in sets.items():
        documents = [(words(title), words(body)) for title, body in data["texts"]]
        plain = [f"{title} {body}".strip() for title, body in data["texts"]]
        bm25, dense, static = Bm25(documents, device), encoders.minilm(plain), encoders.static(plain)
        if data["test"]:
            put("test", name, bm25, dense, encoders.minilm, data["test"])
        if data["fit"]:
            put("fit", name, bm25, dense, encoders.minilm, data["fit"])
            put("static", name, bm25, static, encoders.static, data["fit"][:400])
            some = data["fit"][:400]
            short = [(bm25.rarest(q), j) for q, j in some if len(query_words(q)) >= 4]
            if len(short) >= 40:
                put("kw", name, bm25, dense, encoders.minilm, short)
            few = some[:150]
            needed = {row for _, j in few for row in j["found"]}
            others = rng.sample([i for i in range(len(plain)) if i not in needed], max(0, min(600 - len(needed), len(plain) - len(needed))))
            kept = sorted(needed | set(others))
            if len(kept) < 0.6 * len(plain):
                place = {row: i for i, row in enumerate(kept)}
                moved = [(q, {**j, "found": {place[r]: g for r, g in j["found"].items()}}) for q, j in few]
                small = Bm25([documents[i] for i in kept], device)
                put("small", name, small, dense[torch.tensor(kept, device=device)], encoders.minilm, moved)
            merged.append((name, [(q, {**j, "found": {r + offset: g for r, g in j["found"].items()}}) for q, j in some[:300]]))
        offset += len(plain)
        all_words += documents
        all_vectors.append(dense)
    everything, vectors = Bm25(all_words, device), torch.cat(all_vectors)
    for name, queries in merged:
        put("merged", name, everything, vectors, encoders.minilm, queries)
    return seen


def at(curves, weight):
    """nDCG at any weight: straight lines between the points of GRID."""
    place = (weight * 20).clamp(0, 19.999)
    left = place.detach().long()
    part = place - left
    return curves.gather(1, left) * (1 - part) + curves.gather(1, left + 1) * part


class Fit:
    """One set of constants for each group of relatives left out, and one for all (the last)."""

    def __init__(self, seen, steps=200, penalty=2.0):
        keys = [key for key in seen if key[0] in FORMS]
        x = torch.cat([seen[k]["features"] for k in keys])
        self.mean, self.deviation = x.mean(0), x.std(0) + 1e-6
        x = self.scaled(x)
        curves = torch.cat([seen[k]["curves"] for k in keys])
        mean_of = torch.zeros(len(keys), len(x))
        start = 0
        for row, key in enumerate(keys):
            count = len(seen[key]["rrf"])
            mean_of[row, start : start + count] = 1 / count
            start += count
        better = torch.maximum(mean_of @ curves[:, 0], mean_of @ curves[:, -1])
        self.groups = sorted({RELATIVES(name) for _, name in keys})
        weights = torch.zeros(len(self.groups) + 1, len(keys))
        for column, (form, name) in enumerate(keys):
            members = len({n for _, n in keys if RELATIVES(n) == RELATIVES(name)})
            weights[:, column] = FORMS[form] / members
        for group in self.groups:
            inside = torch.tensor([RELATIVES(name) == group for _, name in keys])
            weights[:, inside] /= weights[0, inside].sum()
        for row, group in enumerate(self.groups):
            weights[row, torch.tensor([RELATIVES(name) == group for _, name in keys])] = 0
        weights /= weights.sum(1, keepdim=True)
        self.theta = torch.zeros(len(weights), x.shape[1] + 1)
        self.theta[:, 0] = 0.6
        self.theta.requires_grad_(True)
        optimiser = torch.optim.Adam([self.theta], lr=0.15)
        for step in range(steps):
            if step == steps * 2 // 3:
                optimiser.param_groups[0]["lr"] = 0.03
            optimiser.zero_grad()
            chosen = (mean_of @ at(curves, self.bounded(x @ self.theta[:, 1:].T + self.theta[:, 0]))).T
            # Gain counts, and what is lost to the better leg of a set counts `penalty` times more.
            loss = (weights * (penalty * torch.relu(better - chosen) - chosen)).sum() + 2e-4 * self.theta[:, 1:].square().sum()
            loss.backward()
            optimiser.step()
        self.theta = self.theta.detach()

    def scaled(self, x):
        return ((x - self.mean) / self.deviation).clamp(-4, 4)

    @staticmethod
    def bounded(logit):
        return LOWEST + (HIGHEST - LOWEST) * torch.sigmoid(logit)

    def weight(self, features, left_out=None):
        row = self.groups.index(left_out) if left_out in self.groups else len(self.groups)
        return self.bounded(self.scaled(features) @ self.theta[row, 1:] + self.theta[row, 0])

    def constants(self):
        slopes = self.theta[:, 1:] / self.deviation
        return torch.cat([(self.theta[:, 0] - (slopes * self.mean).sum(1))[:, None], slopes], 1)


def report(seen, fit):
    constants = fit.constants()
    for name, value, spread in zip(("BIAS", "PROMINENCE", "SPREAD", "SIZE", "GAP"), constants[-1], constants[:-1].std(0)):
        print(f"{name:10} {value:8.3f}   deviation over the fits {spread:.3f}")
    print("\n| set | queries | dense | BM25 | RRF |", " | ".join(f"{w:.2f}" for w in FIXED), "| chosen, set left out | chosen | weight |")
    rows = []
    for (form, name), o in seen.items():
        if form != "test":
            continue
        mean = o["curves"].mean(0)
        chosen = [at(o["curves"], w[:, None]).mean() for w in (fit.weight(o["features"], RELATIVES(name)), fit.weight(o["features"]))]
        weight = fit.weight(o["features"])
        row = [mean[-1], mean[0], o["rrf"].mean(), *[mean[round(w * 20)] for w in FIXED], *chosen]
        rows.append(torch.stack(row))
        print(f"| {name} | {len(o['rrf'])} |", " | ".join(f"{v:.4f}" for v in row), f"| {weight.mean():.2f} |")
    rows = torch.stack(rows)
    better = rows[:, :2].max(1, keepdim=True).values
    print("| mean | |", " | ".join(f"{v:.4f}" for v in rows.mean(0)), f"| better leg {better.mean():.4f} |")
    print("| worst against the better leg | |", " | ".join(f"{v:+.4f}" for v in (rows - better).min(0).values), "| |\n")
    for form in FORMS:
        losses = []
        for (other, name), o in seen.items():
            if other == form:
                mean = o["curves"].mean(0)
                losses.append(at(o["curves"], fit.weight(o["features"], RELATIVES(name))[:, None]).mean() - max(mean[0], mean[-1]))
        if losses:
            losses = torch.stack(losses)
            print(f"{form}: against the better leg, set left out: mean {losses.mean():+.4f}, worst {losses.min():+.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with one BEIR folder for each set")
    parser.add_argument("--model", type=pathlib.Path, required=True, help="all-MiniLM-L6-v2 in Hugging Face layout")
    parser.add_argument("--sets", nargs="*", help="names of the sets; default: all")
    args = parser.parse_args()
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    names = args.sets or sorted(p.parent.name for p in args.data.glob("*/corpus.jsonl"))
    sets = {name: read_set(args.data / name) for name in names}
    seen = observe_all(sets, Encoders(args.model, device), device)
    report(seen, Fit(seen))


if __name__ == "__main__":
    main()
