//! What do a collection's settings look like?

use engine::settings::Settings;
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::json as paths_json;

/// What the settings do, one sentence each.
pub fn words(s: &Settings) -> Vec<String> {
    let roots = s
        .roots
        .iter()
        .map(|root| format!("roots: goes over {}", root.display()));
    let ignore =
        (!s.ignore.is_empty()).then(|| format!("ignore: leaves out {}", s.ignore.join(", ")));
    let hidden = s.hidden.map(|yes| {
        format!(
            "hidden: {} hidden files",
            if yes { "reads" } else { "leaves out" }
        )
    });
    let rules = s.gitignore.map(|yes| {
        format!(
            "gitignore: {} .gitignore files",
            if yes { "follows" } else { "takes no notice of" }
        )
    });
    let size = s
        .max_file_bytes
        .map(|bytes| format!("max_size: leaves out files over {}", HumanBytes(bytes)));
    let encoder = s
        .encoder
        .as_ref()
        .map(|name| format!("encoder: {name} for new vectors"));
    let tokens = s
        .passages
        .max_tokens
        .map(|n| format!("passage_tokens: passages of at most {n} tokens"));
    let overlap = s
        .passages
        .overlap_tokens
        .map(|n| format!("overlap_tokens: repeats at most {n} from the one before"));
    let single = [ignore, hidden, rules, size, encoder, tokens, overlap];
    roots.chain(single.into_iter().flatten()).collect()
}

/// For programs; null is left to the default.
pub fn json(s: &Settings) -> Value {
    json!({
        "file": paths_json::path(&s.path),
        "is_there": s.is_there,
        "roots": paths_json::paths(&s.roots),
        "ignore": s.ignore,
        "hidden": s.hidden,
        "gitignore": s.gitignore,
        "max_size": s.max_file_bytes,
        "encoder": s.encoder,
        "passage_tokens": s.passages.max_tokens,
        "overlap_tokens": s.passages.overlap_tokens,
    })
}
