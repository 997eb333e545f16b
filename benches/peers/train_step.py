"""How many sequences a second does PyTorch train, forward + backward + AdamW, on this GPU?

The counterpart of `askance bench train`: the same BERT shapes, mean pooling, unit vectors, in-batch
softmax over pairs of rows, dropout as in the model's configuration. Prints one JSON line a case.

    python3 benches/peers/train_step.py [--steps 30]
"""

import argparse
import json
import time

import torch
from transformers import BertConfig, BertModel

CASES = [(32, 128, 384, 6), (128, 128, 384, 6), (192, 256, 384, 6), (32, 128, 768, 12)]


def model(width, layers):
    config = BertConfig(hidden_size=width, num_hidden_layers=layers, num_attention_heads=12, intermediate_size=4 * width)
    return BertModel(config, add_pooling_layer=False).cuda()


def step(net, optimizer, ids, mask, dtype, scaler):
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cuda", dtype=dtype or torch.float16, enabled=dtype is not None):
        hidden = net(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        unit = torch.nn.functional.normalize(pooled, dim=1)
        queries, passages = unit[: len(unit) // 2], unit[len(unit) // 2 :]
        labels = torch.arange(len(queries), device="cuda")
        loss = torch.nn.functional.cross_entropy(20 * queries @ passages.T, labels)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    return loss


def measure(batch, length, width, layers, name, dtype, tf32, steps):
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.manual_seed(0)
    net = model(width, layers).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-5)
    scaler = torch.amp.GradScaler("cuda", enabled=dtype == torch.float16)
    ids = torch.randint(0, 30000, (batch, length), device="cuda")
    mask = torch.ones(batch, length, device="cuda")
    mask[::3, length - length // 4 :] = 0
    for _ in range(5):
        step(net, optimizer, ids, mask, dtype, scaler)
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(steps):
        loss = step(net, optimizer, ids, mask, dtype, scaler)
    loss.item()
    seconds = time.perf_counter() - begun
    case = f"{batch}x{length}x{width}x{layers}"
    print(json.dumps({"case": case, "precision": name, "sequences_per_second": round(batch * steps / seconds, 1)}), flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--steps", type=int, default=30)
    steps = arguments.parse_args().steps
    precisions = [("f32", None, False), ("tf32", None, True), ("f16", torch.float16, True), ("bf16", torch.bfloat16, True)]
    for case in CASES:
        for name, dtype, tf32 in precisions:
            measure(*case, name, dtype, tf32, steps)


if __name__ == "__main__":
    main()
