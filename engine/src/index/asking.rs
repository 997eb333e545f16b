//! Which questions does an index of vectors measure its recall with?
//!
//! Some of the collection's own words, encoded as a query is: a few words of a sentence in the middle of a passage lie about as
//! far from their nearest passages as what people type does. Vectors of passages, which an index draws from when it is
//! given no questions, lie nearer, and promise more than is kept (`benches/RESULTS.md`).

use storage::{PassageId, Task};

use crate::bm25::Bm25Index;
use crate::encoder::{Encoder, Role};
use crate::error::EngineError;
use crate::ingest::split::sentences;

/// Questions wanted.
const QUESTIONS: u64 = 256;
/// With fewer, the index draws its own.
const FEWEST: usize = 32;
/// Words of a question.
const WORDS: usize = 8;

/// Vectors of questions, (n, d); `None` where the passages have too few words for them.
pub(super) fn questions(
    index: &Bm25Index,
    encoder: &dyn Encoder,
    task: Task<'_>,
) -> Result<Option<Vec<f32>>, EngineError> {
    let live = index.live();
    let count = live.len().min(QUESTIONS);
    let mut texts = Vec::new();
    for at in 0..count {
        task.check()?;
        let id = live.select((at * live.len() / count) as u32);
        let Some(id) = id.map(PassageId) else { break };
        texts.extend(question(&index.passage(id)?.text));
    }
    if texts.len() < FEWEST {
        return Ok(None);
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let rows = encoder.encode(&texts, Role::Query, task)?;
    Ok(Some(rows.rows().flatten().copied().collect()))
}

/// The first words of the middle sentence of `text`, if it has any.
fn question(text: &str) -> Option<String> {
    let all: Vec<&str> = sentences(text)
        .into_iter()
        .map(|range| &text[range])
        .collect();
    let words: Vec<&str> = all
        .get(all.len() / 2)?
        .split_whitespace()
        .take(WORDS)
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_the_start_of_the_middle_sentence() {
        let text = "The first one is short. The kettle in the kitchen of the old house by the sea is black. It ends.";
        let found = question(text);
        assert_eq!(
            found.as_deref(),
            Some("The kettle in the kitchen of the old")
        );
        assert_eq!(question("alone").as_deref(), Some("alone"));
        assert_eq!(question(" \n "), None);
        assert_eq!(question(""), None);
    }
}
