#!/usr/bin/env bash
# How much of engine and storage do the tests run? Prints line coverage by file. Needs llvm-profdata and llvm-cov of the
# LLVM that rustc was built with (`rustc -vV`), on PATH or in the folder LLVM_BIN; dependencies are not instrumented.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="${LLVM_BIN:+$LLVM_BIN:}$PATH"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/rustc" <<'WRAPPER'
#!/usr/bin/env bash
case " $* " in
  *" --crate-name engine "*|*" --crate-name storage "*) exec "$@" -Cinstrument-coverage ;;
  *) exec "$@" ;;
esac
WRAPPER
chmod +x "$work/rustc"
export RUSTC_WORKSPACE_WRAPPER="$work/rustc" LLVM_PROFILE_FILE="$work/%m-%p.profraw" CARGO_INCREMENTAL=0

cargo test --workspace --release --no-run --message-format=json 2>/dev/null |
  grep -o '"executable":"[^"]*"' | cut -d'"' -f4 | sort -u >"$work/programs"
cargo test --workspace --release
llvm-profdata merge -sparse "$work"/*.profraw -o "$work/all.profdata"
mapfile -t objects < <(sed 's/^/--object=/' "$work/programs")
llvm-cov report --instr-profile="$work/all.profdata" "${objects[@]}" engine/src storage/src
