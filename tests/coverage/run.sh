#!/usr/bin/env bash
# How much of engine and storage do their own tests run? Prints regions, functions and lines covered by file. Needs
# llvm-profdata and llvm-cov of the LLVM that rustc was built with (`rustc -vV`), on PATH or in the folder LLVM_BIN. Only the
# two crates are instrumented (and hardly optimised, to compile sooner), not what they depend on. What only the
# whole-system tests reach counts as not covered.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="${LLVM_BIN:+$LLVM_BIN:}$PATH"
command -v llvm-profdata >/dev/null && command -v llvm-cov >/dev/null || {
  echo "llvm-profdata and llvm-cov are needed: install LLVM's tools and name their folder in LLVM_BIN" >&2
  exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/rustc" <<'WRAPPER'
#!/usr/bin/env bash
exec "$@" -Cinstrument-coverage -Copt-level=1
WRAPPER
chmod +x "$work/rustc"
export RUSTC_WORKSPACE_WRAPPER="$work/rustc" CARGO_INCREMENTAL=0
tests=(cargo test --release --package storage --package engine --tests)

LLVM_PROFILE_FILE="$work/build-%p.raw" "${tests[@]}" --no-run --message-format=json |
  grep -o '"executable":"[^"]*"' | cut -d'"' -f4 | sort -u >"$work/programs"
LLVM_PROFILE_FILE="$work/%m-%p.profraw" "${tests[@]}"
llvm-profdata merge -sparse "$work"/*.profraw -o "$work/all.profdata"
# The first program is named bare, the others as objects: that is how llvm-cov tells programs from sources.
mapfile -t objects < <(sed '2,$s/^/--object=/' "$work/programs")
llvm-cov report --instr-profile="$work/all.profdata" --ignore-filename-regex='/tests\.rs$|/tests/|/testing\.rs$' \
  "${objects[@]}" "$PWD/engine/src" "$PWD/storage/src"
