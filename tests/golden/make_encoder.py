"""Which ids and vectors do Hugging Face and sentence-transformers give for tiny models?

Writes the model folders below encoder/ and, beside each, expected.json with what PyTorch computes for them. The models have
random weights; their sizes are the smallest that exercise every path. Run it again only to add a case:

    python -m venv .venv && .venv/bin/pip install torch transformers sentence-transformers
    .venv/bin/python tests/golden/make_encoder.py

Made with torch 2.15, transformers 5.23, tokenizers 0.23, sentence-transformers 6.2.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel

HERE = Path(__file__).parent / "encoder"
TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "",
    " ",
    "a",
    "Crème brûlée, naïve café: ÀÉÎÕÜ ßœ",
    "decomposed e\u0301 and a\u030a; full width \uff21\uff22",
    "東京 tower と 北京 in 2024",
    "smile \U0001f600 family \U0001f468\u200d\U0001f469\u200d\U0001f467 flag \U0001f1eb\U0001f1f7",
    "tab\tnewline\nreturn\r nul \x00 bell \x07 zero\u200bwidth \ufeff bom \xa0 nbsp",
    "pneumonoultramicroscopicsilicovolcanoconiosis" * 4,
    "[CLS] not special [SEP] <s> </s> [MASK] [UNK]",
    "x = foo(bar[0], \"baz\") // don't; it's 3.14e-10!!!",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "one text that is much longer than the model can take " * 9,
    "\ud7ff\ue000 \U0010fffd \u2028 \u2029",
]
CORPUS = TEXTS[:1] * 20 + ["the dog and the fox are quick", "brown tower in the city of Tokyo", "naive cafe over there"] * 5
H, F, LAYERS, HEADS = 32, 48, 2, 4


def bert_tokenizer() -> Tokenizer:
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=special, show_progress=False, limit_alphabet=60)
    t.train_from_iterator(CORPUS + TEXTS[4:5] + TEXTS[6:7], trainer)
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    t.decoder = decoders.WordPiece()
    # What a careless export leaves behind; an encoder must not follow it.
    t.enable_truncation(8)
    t.enable_padding(length=8)
    return t


def roberta_tokenizer() -> Tokenizer:
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    t.train_from_iterator(CORPUS, trainer)
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    return t


def randomise(model: torch.nn.Module) -> None:
    """Weights large enough for GELU and softmax to leave their linear range."""
    for name, p in model.named_parameters():
        scale = 0.1 if p.dim() == 1 else 0.3
        p.data = torch.randn(p.shape) * scale + (1.0 if "LayerNorm.weight" in name or "layer_norm.weight" in name else 0.0)


def write_json(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=True, indent=1) + "\n")


def write_modules(out: Path, modules: list[tuple[str, str]]) -> None:
    prefix = "sentence_transformers.models."
    write_json(out / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": prefix + kind} for i, (path, kind) in enumerate(modules)
    ])


def write_transformer(out: Path, model, tokenizer: Tokenizer, dtype, special: dict, prefix: str, max_length: int) -> None:
    model.config.save_pretrained(out)
    state = {f"{prefix}{k}": v.to(dtype).contiguous() for k, v in model.state_dict().items() if "position_ids" not in k}
    save_file(state, out / "model.safetensors")
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    write_json(out / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **special})
    write_json(out / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})


def numbers(rows) -> list[list[float]]:
    return [[float(f"{x:.7g}") for x in row] for row in rows]


def write_expected(out: Path, ids, queries, passages, **more) -> None:
    expected = {"texts": TEXTS, "ids": ids, "query": numbers(queries), "passage": numbers(passages), **more}
    (out / "expected.json").write_text(json.dumps(expected, ensure_ascii=True, separators=(",", ":")) + "\n")


def encode_as(model: SentenceTransformer, text: str, names: list[str]):
    """With the first of these prompts that the folder defines, else with its default prompt."""
    name = next((n for n in names if model.prompts.get(n)), None)
    return model.encode(text, prompt_name=name)


def expect_transformer(out: Path, **more) -> None:
    """Ids by the tokenizer and vectors by sentence-transformers, each text by itself."""
    model = SentenceTransformer(str(out), device="cpu", model_kwargs={"dtype": torch.float32})
    tok = Tokenizer.from_file(str(out / "tokenizer.json"))
    tok.no_padding()
    tok.enable_truncation(model.max_seq_length)
    ids = [tok.encode(t).ids for t in TEXTS]
    queries = [encode_as(model, t, ["query"]) for t in TEXTS]
    passages = [encode_as(model, t, ["document", "passage", "corpus"]) for t in TEXTS]
    write_expected(out, ids, queries, passages, **more)


def make_bert() -> None:
    out = HERE / "bert"
    out.mkdir(parents=True)
    tokenizer = bert_tokenizer()
    config = BertConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=H, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                        intermediate_size=F, max_position_embeddings=40, type_vocab_size=2, hidden_act="gelu")
    model = BertModel(config, add_pooling_layer=False).eval()
    randomise(model)
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    write_transformer(out, model, tokenizer, torch.float32, special, "", 24)
    write_modules(out, [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")])
    write_json(out / "1_Pooling/config.json", {"word_embedding_dimension": H, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
                                               "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False})
    tokens = SentenceTransformer(str(out), device="cpu").encode(TEXTS[0], output_value="token_embeddings")
    pooled = {}
    for mode in Pooling.POOLING_MODES:
        features = {"token_embeddings": tokens[None], "attention_mask": torch.ones(1, len(tokens))}
        pooled[mode] = numbers(Pooling(H, mode).eval()(features)["sentence_embedding"])[0]
    expect_transformer(out, tokens=numbers(tokens), pooled=pooled)


def make_roberta() -> None:
    out = HERE / "roberta"
    out.mkdir(parents=True)
    tokenizer = roberta_tokenizer()
    config = RobertaConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=H, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                           intermediate_size=F, max_position_embeddings=42, type_vocab_size=1, hidden_act="gelu_new",
                           pad_token_id=1, bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5)
    model = RobertaModel(config, add_pooling_layer=False).eval()
    randomise(model)
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>",
               "bos_token": "<s>", "eos_token": "</s>"}
    write_transformer(out, model, tokenizer, torch.bfloat16, special, "roberta.", 40)
    write_modules(out, [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Normalize", "Normalize")])
    write_json(out / "1_Pooling/config.json", {"embedding_dimension": H, "pooling_mode": "cls", "include_prompt": True})
    write_json(out / "2_Dense/config.json", {"in_features": H, "out_features": 12, "bias": True,
                                             "activation_function": "torch.nn.modules.activation.Tanh"})
    save_file({"linear.weight": torch.randn(12, H) * 0.3, "linear.bias": torch.randn(12) * 0.3}, out / "2_Dense/model.safetensors")
    write_json(out / "config_sentence_transformers.json", {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": None})
    expect_transformer(out)


def make_distilbert() -> None:
    out = HERE / "distilbert"
    out.mkdir(parents=True)
    tokenizer = bert_tokenizer()
    config = DistilBertConfig(vocab_size=tokenizer.get_vocab_size(), dim=H, n_layers=LAYERS, n_heads=HEADS, hidden_dim=F,
                              max_position_embeddings=40, activation="gelu")
    model = DistilBertModel(config).eval()
    randomise(model)
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    write_transformer(out, model, tokenizer, torch.float16, special, "distilbert.", 24)
    write_modules(out, [("", "Transformer"), ("1_Pooling", "Pooling")])
    write_json(out / "1_Pooling/config.json", {"word_embedding_dimension": H, "pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True,
                                               "include_prompt": False})
    write_json(out / "config_sentence_transformers.json", {"prompts": {"find": "the dog: "}, "default_prompt_name": "find"})
    expect_transformer(out)


def make_static() -> None:
    out = HERE / "static"
    (out / "0_StaticEmbedding").mkdir(parents=True)
    tokenizer = bert_tokenizer()
    tokenizer.enable_truncation(30)
    write_modules(out, [("0_StaticEmbedding", "StaticEmbedding"), ("1_Normalize", "Normalize")])
    tokenizer.save(str(out / "0_StaticEmbedding/tokenizer.json"), pretty=False)
    save_file({"embedding.weight": torch.randn(tokenizer.get_vocab_size(), 16)}, out / "0_StaticEmbedding/model.safetensors")
    model = SentenceTransformer(str(out), device="cpu")
    tok = Tokenizer.from_file(str(out / "0_StaticEmbedding/tokenizer.json"))
    tok.no_padding()
    ids = [tok.encode(t, add_special_tokens=False).ids for t in TEXTS]
    vectors = [model.encode(t) for t in TEXTS]
    write_expected(out, ids, vectors, vectors)


def make_model2vec() -> None:
    """model2vec's rule: unknown tokens dropped, mean of weight * embeddings[mapping[id]], unit length."""
    out = HERE / "model2vec"
    out.mkdir(parents=True)
    tokenizer = bert_tokenizer()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    v = tokenizer.get_vocab_size()
    table, weights, mapping = torch.randn(20, 16).half(), torch.rand(v), torch.randint(0, 20, (v,))
    save_file({"embeddings": table, "weights": weights, "mapping": mapping}, out / "model.safetensors")
    write_json(out / "config.json", {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True, "hidden_dim": 16})
    unknown = tokenizer.token_to_id("[UNK]")
    ids = [[i for i in tokenizer.encode(t, add_special_tokens=False).ids if i != unknown][:512] for t in TEXTS]
    vectors = []
    for row in ids:
        x = (table.float()[mapping[row]] * weights[row, None]).mean(0) if row else torch.zeros(16)
        vectors.append(x / (x.norm() + 1e-32))
    write_expected(out, ids, vectors, vectors)


if __name__ == "__main__":
    torch.manual_seed(7)
    shutil.rmtree(HERE, ignore_errors=True)
    for make in (make_bert, make_roberta, make_distilbert, make_static, make_model2vec):
        make()
