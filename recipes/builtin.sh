#!/usr/bin/env bash
# Makes the encoder that is part of askance (engine/builtin): a table of token vectors distilled from all-MiniLM-L6-v2, then
# trained to find the passages that training queries ask for. The settings are the defaults of `askance train distil`.
#
#   recipes/builtin.sh MINILM DATA OUT
#
# MINILM: the folder of all-MiniLM-L6-v2 in Hugging Face layout. DATA: the data sets named below, each a folder in BEIR layout.
# OUT: the folder of the run; what it holds already is used again. Same seed, same teacher's vectors: the same file, whatever
# the number of threads. engine/builtin/MODEL.md says what the data are and how long it takes.
set -euo pipefail
[ $# -eq 3 ] || { sed -n '2,10p' "$0"; exit 2; }
minilm=$1 data=$2 out=$3
here=$(cd "$(dirname "$0")/.." && pwd)
askance() { cargo run --quiet --release --manifest-path "$here/Cargo.toml" --bin askance -- "$@"; }

askance model list | grep -q '\bminilm\b' || askance model add "$minilm" --name minilm
sets=()
for name in bioasq-abstracts boolq cranfield fever-sent hotpotqa-small lfrqa nfcorpus reqa-squad-train scifact \
  squad-train-sample squad-train-sent tldr-pages wikiqa; do
  sets+=("$data/$name")
done
askance train distil --teacher minilm --beir "${sets[@]}" --out "$out" --seed 0

cp "$out/model/config.json" "$out/model/tokenizer.json" "$out/model/model.safetensors" "$here/engine/builtin/"
askance --json model add "$out/model" --name glance-new >"$out/added.json"
echo "engine/builtin has the new weights; write its hash, from $out/added.json, to engine/builtin/askance.json"
