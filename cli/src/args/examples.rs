//! What does each command look like in use? Shown below its `--help`.

/// Below `askance --help`.
pub const ASKANCE: &str = "\
Examples:
  askance search --in ~/notes \"standing desk\"     index a folder, then search it
  askance index ~/Documents ~/mail                add folders to your collection
  askance search how do I renew a passport        search the collection
  askance model add ./all-MiniLM-L6-v2            add an encoder, to search by meaning

Results go to stdout, everything else to stderr.
Exit status: 0 found or done, 1 nothing found, 2 error.";

/// Below `askance index --help`.
pub const INDEX: &str = "\
Examples:
  askance index ~/Documents              add a folder, or refresh it
  askance index                          refresh every folder of the collection
  askance index ~/work --collection @work    a collection of its own
  askance index . --hidden --no-ignore   every file, also those git ignores
  askance index ~/papers --max-size 1G   large PDFs too

Files that cannot be read are counted, named by `askance status`, and tried again when they change.";

/// Below `askance search --help`.
pub const SEARCH: &str = "\
Examples:
  askance search --in . \"retry with backoff\"           a folder that was never indexed
  askance search tax return --type pdf --after 2025-01-01
  askance search '\"exact phrase\" -draft' --path '*/reports/*'
  askance search passport renewal --mode dense --explain
  askance search invoice --json | jq -r '.hits[].path'
  askance search invoice --json-lines | head -3

A query that starts with a minus sign goes after `--`.";

/// Below `askance remove --help`.
pub const REMOVE: &str = "\
Examples:
  askance remove ~/Documents/old     forget a folder and everything below it
  askance remove notes.md            forget one file";

/// Below `askance status --help`.
pub const STATUS: &str = "\
Examples:
  askance status
  askance status --json | jq '.failures'     every file that could not be read, with the reason";

/// Below `askance doctor --help`.
pub const DOCTOR: &str = "\
Examples:
  askance doctor            check everything, change nothing
  askance doctor --repair   rebuild what is damaged

Exit status: 0 sound (or repaired), 2 problems remain.";

/// Below `askance compact --help`.
pub const COMPACT: &str = "\
Examples:
  askance remove ~/Documents/old && askance compact   forget a folder for good

`remove` takes files out of every answer at once; `compact` takes what is left of them off the disk and gives the room
back. Copies elsewhere (backups, snapshots of the file system) are out of its reach.";

/// Below `askance model --help`.
pub const MODEL: &str = "\
Examples:
  askance model add ./all-MiniLM-L6-v2
  askance model use all-MiniLM-L6-v2     re-encodes the current collection
  askance model list
  askance model use none                 back to words";

/// Below `askance model add --help`.
pub const MODEL_ADD: &str = "\
Examples:
  askance model add ~/Downloads/all-MiniLM-L6-v2
  askance model add ./model --name minilm
  askance model add sentence-transformers/all-MiniLM-L6-v2";

/// Below `askance model use --help`.
pub const MODEL_USE: &str = "\
Examples:
  askance model use all-MiniLM-L6-v2                  for new collections, and this one
  askance model use all-MiniLM-L6-v2 --no-reindex     for new collections only
  askance model use all-MiniLM-L6-v2 --precision f32  exact to the last bit, slower
  askance model use none";

/// Below `askance eval --help`.
pub const EVAL: &str = "\
Examples:
  askance eval --beir data/scifact --mode bm25
  askance eval --beir data/scifact data/nfcorpus --model all-MiniLM-L6-v2
  askance eval --beir data/scifact --run hybrid.trec --json
  askance eval --beir data/scifact --mode dense --index ivfpq     does the index cost quality?

Sets are indexed once in the cache folder and reused while their content stays the same.";

/// Below `askance compare --help`.
pub const COMPARE: &str = "\
Examples:
  askance compare bm25.trec hybrid.trec --qrels data/scifact/qrels/test.tsv
  askance compare a.trec b.trec --qrels qrels.txt --metric recall@100";

/// Below `askance train --help`.
#[cfg(feature = "trainer")]
pub const TRAIN: &str = "\
Examples:
  askance train --out runs/own                              on your collection: its structure asks the questions
  askance train --beir data/scifact --out runs/scifact --epochs 8 --lr 5e-5
  askance train --beir data/scifact --method ance --dry-run
  askance train --beir data/scifact --out runs/scifact --resume
  askance train report runs/scifact --open

Ctrl-C saves; the same command with --resume goes on. A trained encoder that does not beat its start on held-out
queries is not taken on, and the report says why.";

/// Below `askance train report --help`.
#[cfg(feature = "trainer")]
pub const TRAIN_REPORT: &str = "\
Examples:
  askance train report runs/scifact          writes runs/scifact/report.html
  askance train report runs/scifact --open

The page needs nothing but itself: no scripts, nothing is fetched.";

/// Below `askance train distil --help`.
#[cfg(feature = "trainer")]
pub const TRAIN_DISTIL: &str = "\
Examples:
  askance train distil --teacher all-MiniLM-L6-v2 --beir data/scifact data/nfcorpus --out runs/table
  askance model add runs/table/model --name table

Most of the time is the teacher's, which encodes every text once; Ctrl-C keeps what it has done, and the same command
goes on from there.";

/// Below `askance encode --help`.
pub const ENCODE: &str = "\
Examples:
  askance encode --input data/scifact/corpus.jsonl --out corpus.npy
  askance encode --input data/scifact/queries.jsonl --role query --out queries.npy --model all-MiniLM-L6-v2";

/// Below `askance bench --help`.
pub const BENCH: &str = "\
Examples:
  askance bench ann --base corpus.npy --queries queries.npy
  askance bench ann --help";

/// Below `askance bench train --help`.
#[cfg(feature = "trainer")]
pub const BENCH_TRAIN: &str = "\
Examples:
  askance bench train
  askance bench train --device vulkan --batch 192 --length 256
  askance bench train --compute plain --json              burn's own operations, to compare";

/// Below `askance bench ann --help`.
pub const BENCH_ANN: &str = "\
Examples:
  askance bench ann --base corpus.npy --queries queries.npy
  askance bench ann --base corpus.npy --queries queries.npy --settings 100:64,300:128 --json
  askance bench ann --base corpus.npy --queries queries.npy --k 1000 --targets 0.9,0.95
  askance bench ann --base corpus.npy --queries queries.npy --work /tmp/ann    keeps the index for the next run

The index is built as a collection's is. `askance encode` makes .npy files of texts.";

/// Below `askance serve --help`.
pub const SERVE: &str = "\
Examples:
  askance serve --open                    the page at http://127.0.0.1:7411/, opened in the browser
  askance serve --port 0 --quiet          on any free port; the address is printed to stdout
  curl 'http://127.0.0.1:7411/api/v1/search?q=standing+desk'
  askance serve --host 0.0.0.0 --token-file ~/.askance-token

Only this computer can reach it unless `--host` says otherwise. The connection is not encrypted.
The API is described at /api/v1/openapi.json.";

/// Below `askance watch --help`.
pub const WATCH: &str = "\
Examples:
  askance watch ~/Documents ~/notes    index what changed meanwhile, then follow
  askance watch                        the folders of the collection
  askance watch --poll=60 /mnt/nas     a drive that does not report changes

Runs until Ctrl-C, at low priority. A changed file is searchable within two seconds; many at once wait for mains power and
a quieter moment unless `--always` is given. `docs/watch.md` shows how to run it in the background.";

/// Below `askance mcp --help`.
pub const MCP: &str = "\
Examples:
  askance mcp                                    for assistants that start their tools themselves
  askance mcp --http 7788                        at http://127.0.0.1:7788/mcp
  claude mcp add askance -- askance mcp          tell Claude Code of it

Only reads: nothing an assistant asks for changes a collection, and nothing outside the indexed documents is shown.";

/// Below `askance completions --help`.
pub const COMPLETIONS: &str = "\
Examples:
  askance completions bash > ~/.local/share/bash-completion/completions/askance
  askance completions zsh > ~/.zfunc/_askance
  askance completions fish > ~/.config/fish/completions/askance.fish";
