"""What PyTorch computes for the tiny models of tests/golden/encoder: loss, the gradient of every parameter, and the losses
of ten steps of AdamW. Run: python trainer/golden/make.py. The tests of the trainer compare themselves with the files it
writes beside itself."""
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

HERE = Path(__file__).parent
MODELS = HERE.parent.parent / "tests/golden/encoder"
QUERIES = ["the quick fox", "a brown tower", "dogs are lazy", "cafe in tokyo"]
POSITIVES = ["the quick brown fox jumps over the lazy dog", "brown tower in the city of Tokyo", "the dog and the fox are quick",
             "naive cafe over there"]
NEGATIVES = ["the city", "quick quick quick", "tower", "over there", "a fox in the city of dogs", "the", "jumps over the tower", "lazy"]
RATE, DECAY, STEPS = 1e-3, 0.01, 10
SCALES = {"bert": 20.0, "roberta": 20.0, "distilbert": 0.05, "static": 20.0}
PROMPTS = {"query": ["query"], "passage": ["document", "passage", "corpus"]}


def encode(model, texts, role):
    """One text at a time, so that no padding takes part, with the prompt that sentence-transformers would put before it."""
    name = next((n for n in PROMPTS[role] if model.prompts.get(n)), model.default_prompt_name)
    prompt = model.prompts.get(name) or "" if name else ""
    rows = []
    for text in texts:
        features = {k: v for k, v in model.tokenize([prompt + text]).items() if isinstance(v, torch.Tensor)}
        if prompt:
            features["prompt_length"] = model.tokenize([prompt])["input_ids"].shape[-1] - 1
        rows.append(model(features)["sentence_embedding"][0])
    return torch.stack(rows)


def losses(model, scale):
    q, p, n = encode(model, QUERIES, "query"), encode(model, POSITIVES, "passage"), encode(model, NEGATIVES, "passage")
    candidates = torch.cat([p, n])
    in_batch = F.cross_entropy(scale * q @ candidates.T, torch.arange(len(QUERIES)))
    own = n.view(len(QUERIES), -1, n.shape[1])
    margin = scale * (torch.einsum("bd,bnd->bn", q, own) - (q * p).sum(1, keepdim=True))
    return in_batch, F.softplus(margin).mean()


def gradients(model, scale):
    in_batch, pairwise = losses(model, scale)
    model.zero_grad()
    in_batch.backward()
    found = {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}
    return in_batch.item(), pairwise.item(), found


def ten_steps(model, scale):
    """Decay for matrices and tables only."""
    named = list(model.named_parameters())
    groups = [{"params": [p for _, p in named if p.dim() > 1], "weight_decay": DECAY},
              {"params": [p for _, p in named if p.dim() == 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    history = []
    for _ in range(STEPS):
        loss, _ = losses(model, scale)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        history.append(loss.item())
    return history


def open_model(name):
    kwargs = {} if name == "static" else {"model_kwargs": {"dtype": torch.float32}}
    return SentenceTransformer(str(MODELS / name), device="cpu", **kwargs).eval()


def main():
    torch.manual_seed(0)
    out = {"queries": QUERIES, "positives": POSITIVES, "negatives": NEGATIVES, "rate": RATE, "decay": DECAY, "models": {}}
    for name, scale in SCALES.items():
        in_batch, pairwise, found = gradients(open_model(name), scale)
        norms = {k.removeprefix("0.auto_model.").removeprefix("0.model."): g.norm().item() for k, g in found.items()}
        out["models"][name] = {"scale": scale, "in_batch": in_batch, "pairwise": pairwise, "norms": norms,
                               "steps": ten_steps(open_model(name), scale)}
        if name == "bert":
            save_file({k.removeprefix("0.auto_model.").removeprefix("0.model."): g.contiguous() for k, g in found.items()},
                      HERE / "bert-gradients.safetensors")
    (HERE / "expected.json").write_text(json.dumps(out, ensure_ascii=True, indent=1) + "\n")


if __name__ == "__main__":
    main()
