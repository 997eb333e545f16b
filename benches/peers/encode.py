"""Passages a second and time of one query: askance's CPU encoder and its peers on the same texts.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r benches/peers/requirements.txt
    cargo test --workspace --release --no-run          # builds target/release/examples/encode
    /tmp/peers/bin/python benches/peers/encode.py prepare --model MODEL_DIR --data DATA --work WORK
    /tmp/peers/bin/python benches/peers/encode.py run --model MODEL_DIR --work WORK \
        --askance target/release/examples/encode

`prepare` exports the model to ONNX, quantises it (ONNX Runtime, dynamic, weights int8) and chooses the texts;
`run` measures. Everybody gets texts, not ids, cuts at 256 tokens, pools and normalises; peers sort texts by length
and take batches of 32, padded to the longest. --threads 2. Systems take turns, --repeat rounds; the best round
counts, and so does each single query's best. Cosines are to PyTorch f32. Writes encode.json into --work.
"""

import argparse
import json
import os
import subprocess
import time

import numpy as np

LONGEST = 256
BATCH = 32


def corpus(folder, name, count):
    with open(os.path.join(folder, name, "corpus.jsonl")) as lines:
        records = [json.loads(line) for line in lines]
    step = max(1, len(records) // count)
    return [(r.get("title", "") + " " + r["text"]).strip() for r in records[::step][:count]]


def queries(folder, name, count):
    with open(os.path.join(folder, name, "queries.jsonl")) as lines:
        records = [json.loads(line) for line in lines]
    step = max(1, len(records) // count)
    return [r["text"] for r in records[::step][:count]]


def choose(args, tokenizer):
    """Real passages of all lengths, short texts of about 20 tokens, texts of exactly 128 tokens, and queries."""
    real = [t for s in ("scifact", "nfcorpus", "lfrqa", "wikiqa") for t in corpus(args.data, s, 48)]
    short = [t for s in ("scifact", "nfcorpus", "lfrqa", "boolq") for t in queries(args.data, s, 400)]
    lengths = [len(tokenizer(t).input_ids) for t in short]
    near = sorted(range(len(short)), key=lambda i: abs(lengths[i] - 20))[:512]
    equal = []
    for text in corpus(args.data, "scifact", 400):
        ids = tokenizer(text, add_special_tokens=False).input_ids[:126]
        words = tokenizer.decode(ids)
        if len(ids) == 126 and len(tokenizer(words).input_ids) == 128:
            equal.append(words)
    asked = [q for s in ("scifact", "boolq", "wikiqa") for q in queries(args.data, s, 60)]
    return {"real": real, "short": [short[i] for i in near], "equal": equal[:128], "queries": asked}


def prepare(args):
    import onnxruntime.quantization as quantization
    import torch
    from transformers import AutoModel, AutoTokenizer
    os.makedirs(args.work, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    with open(os.path.join(args.work, "texts.json"), "w") as file:
        json.dump(choose(args, tokenizer), file)
    model = AutoModel.from_pretrained(args.model, attn_implementation="eager").eval()
    sample = dict(tokenizer(["a text", "another, longer text"], padding=True, return_tensors="pt"))
    names = ["input_ids", "attention_mask", "token_type_ids"]
    path = os.path.join(args.work, "model.onnx")

    class Tokens(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, ids, mask, types):
            return self.inner(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state

    torch.onnx.export(
        Tokens().eval(), tuple(sample[n] for n in names), path, input_names=names, output_names=["tokens"],
        dynamic_axes={n: {0: "batch", 1: "length"} for n in names + ["tokens"]}, dynamo=False, opset_version=17)
    quantization.quantize_dynamic(path, os.path.join(args.work, "int8.onnx"), weight_type=quantization.QuantType.QInt8)


class Peer:
    """Texts to vectors through `forward`, from a dictionary of (n, t) ids and masks to (n, t, h) token vectors."""

    def __init__(self, name, tokenizer, forward):
        self.name, self.tokenizer, self.forward = name, tokenizer, forward

    def encode(self, texts):
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        rows = np.empty((len(texts), 384), np.float32)
        for at in range(0, len(order), BATCH):
            part = order[at:at + BATCH]
            inputs = self.tokenizer([texts[i] for i in part], padding=True, truncation=True, max_length=LONGEST,
                                    return_tensors="np")
            tokens = self.forward(dict(inputs))
            mask = inputs["attention_mask"][..., None].astype(np.float32)
            pooled = (tokens * mask).sum(1) / mask.sum(1)
            rows[part] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return rows

    def passages(self, texts, _):
        start = time.perf_counter()
        self.encode(texts)
        return time.perf_counter() - start

    def queries(self, texts, _):
        return [self.passages([text], _) for text in texts]

    def vectors(self, texts, _):
        return self.encode(texts)


class SentenceTransformers(Peer):
    def __init__(self, model):
        from sentence_transformers import SentenceTransformer
        self.name, self.model = "sentence-transformers", SentenceTransformer(model, device="cpu")

    def encode(self, texts):
        return self.model.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)


class Askance:
    def __init__(self, args, precision):
        self.name = f"askance {precision}"
        texts = os.path.join(args.work, "texts.json")
        command = [args.askance, args.model, precision, str(args.threads), texts]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, verb, name):
        self.process.stdin.write(f"{verb} {name}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def passages(self, _, name):
        return self.ask("passages", name)

    def queries(self, _, name):
        return self.ask("queries", name)

    def vectors(self, _, name):
        return np.array(self.ask("vectors", name), np.float32)


def torch_peer(args, tokenizer, dtype):
    import torch
    from transformers import AutoModel
    model = AutoModel.from_pretrained(args.model, dtype=dtype).eval()

    def forward(inputs):
        with torch.inference_mode():
            inputs = {k: torch.from_numpy(v) for k, v in inputs.items()}
            return model(**inputs).last_hidden_state.float().numpy()
    return Peer(f"PyTorch {str(dtype).split('.')[-1]}", tokenizer, forward)


def onnx_peer(args, tokenizer, file, name):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(os.path.join(args.work, file), options, providers=["CPUExecutionProvider"])
    return Peer(name, tokenizer, lambda inputs: session.run(None, inputs)[0])


def openvino_peer(args, tokenizer, precision):
    import openvino
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": args.threads,
                "PERFORMANCE_HINT": "LATENCY"}
    model = core.compile_model(os.path.join(args.work, "model.onnx"), "CPU", settings)
    return Peer(f"OpenVINO {precision}", tokenizer, lambda inputs: model(inputs)[0])


def systems(args):
    import torch
    from transformers import AutoTokenizer
    torch.set_num_threads(args.threads)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    makers = {
        "PyTorch float32": lambda: torch_peer(args, tokenizer, torch.float32),
        "PyTorch bfloat16": lambda: torch_peer(args, tokenizer, torch.bfloat16),
        "ONNX Runtime f32": lambda: onnx_peer(args, tokenizer, "model.onnx", "ONNX Runtime f32"),
        "ONNX Runtime int8": lambda: onnx_peer(args, tokenizer, "int8.onnx", "ONNX Runtime int8"),
        "OpenVINO f32": lambda: openvino_peer(args, tokenizer, "f32"),
        "OpenVINO bf16": lambda: openvino_peer(args, tokenizer, "bf16"),
        "sentence-transformers": lambda: SentenceTransformers(args.model),
        "askance f32": lambda: Askance(args, "f32"),
        "askance bf16": lambda: Askance(args, "bf16"),
        "askance int8": lambda: Askance(args, "int8"),
    }
    chosen = args.systems.split(",") if args.systems else list(makers)
    return [makers[name]() for name in chosen]


def run(args):
    with open(os.path.join(args.work, "texts.json")) as file:
        sets = json.load(file)
    peers = systems(args)
    exact = peers[0].vectors(sets["real"], "real")
    results = {peer.name: {"seconds": {}, "queries": None} for peer in peers}
    for peer in peers:
        cosines = (peer.vectors(sets["real"], "real") * exact).sum(1)
        results[peer.name]["cosine"] = [float(cosines.mean()), float(cosines.min())]
    for _ in range(args.repeat):
        for name in ("real", "short", "equal"):
            for peer in peers:
                seconds = results[peer.name]["seconds"].setdefault(name, [])
                seconds.append(peer.passages(sets[name], name))
        for peer in peers:
            took = np.array(peer.queries(sets["queries"], "queries"))
            before = results[peer.name]["queries"]
            results[peer.name]["queries"] = took if before is None else np.minimum(before, took)
    for result in results.values():
        took = result["queries"] * 1000
        result["queries"] = {"p50_ms": float(np.median(took)), "p99_ms": float(np.quantile(took, .99))}
    with open(os.path.join(args.work, "encode.json"), "w") as file:
        json.dump({"texts": {name: len(texts) for name, texts in sets.items()}, "systems": results}, file, indent=1)
    table(results, sets)


def table(results, sets):
    print("| system | real texts/s | short texts/s | 128 tokens, texts/s | query p50 / p99 ms | cosine mean / least |")
    print("|---|---|---|---|---|---|")
    for name, result in results.items():
        rates = [len(sets[s]) / min(result["seconds"][s]) for s in ("real", "short", "equal")]
        asked, cosine = result["queries"], result["cosine"]
        print(f"| {name} | " + " | ".join(f"{rate:,.0f}" for rate in rates)
              + f" | {asked['p50_ms']:.2f} / {asked['p99_ms']:.2f} | {cosine[0]:.5f} / {cosine[1]:.5f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["prepare", "run"])
    parser.add_argument("--model", required=True, help="folder in Hugging Face layout")
    parser.add_argument("--data", help="folder of sets in BEIR layout (prepare)")
    parser.add_argument("--work", required=True, help="folder for exports and results")
    parser.add_argument("--askance", help="target/release/examples/encode (run)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--systems", help="names, comma-separated [default: all]; the first one is what cosines are to")
    args = parser.parse_args()
    prepare(args) if args.step == "prepare" else run(args)


if __name__ == "__main__":
    main()
