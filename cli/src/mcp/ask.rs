//! What may an assistant ask for?

use schemars::JsonSchema;
use serde::Deserialize;

/// Longest query in bytes; longer ones are text to look at, not a question.
pub const LONGEST_QUERY: usize = 4096;

/// Arguments of `search`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchAsk {
    /// Words or a question. "Quoted words" must stand together, +word must be there, -word must not, and title:word,
    /// heading:word, name:word and path:word look in one place.
    pub query: String,
    /// Results on a page, 1 to 50. Default 8.
    #[serde(default)]
    pub limit: Option<u32>,
    /// next_cursor of the page before, with the same arguments otherwise.
    #[serde(default)]
    pub cursor: Option<String>,
    /// How to rank. Default hybrid.
    #[serde(default)]
    pub mode: Option<ModeAsk>,
    /// Only documents whose path matches one of these globs, such as */reports/* or *.md.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Only files with one of these extensions, without the dot.
    #[serde(default)]
    pub types: Vec<String>,
    /// Only files modified at or after: 2026-03-01, an RFC 3339 time, or an age such as 7d.
    #[serde(default)]
    pub after: Option<String>,
    /// Only files modified before: the same forms.
    #[serde(default)]
    pub before: Option<String>,
    /// A name that list_collections gives. Default: the first of them.
    #[serde(default)]
    pub collection: Option<String>,
}

/// How to rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModeAsk {
    /// By words and by meaning.
    Hybrid,
    /// By words.
    Bm25,
    /// By meaning.
    Dense,
}

impl From<ModeAsk> for engine::request::Mode {
    fn from(asked: ModeAsk) -> Self {
        match asked {
            ModeAsk::Hybrid => Self::Hybrid,
            ModeAsk::Bm25 => Self::Bm25,
            ModeAsk::Dense => Self::Dense,
        }
    }
}

/// Arguments of `get_passage`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PassageAsk {
    /// The passage number of a search result.
    pub passage: u32,
    /// Passages to show before and after it, 0 to 10. Default 0.
    #[serde(default)]
    pub around: Option<u32>,
    /// The collection that was searched, if not the first.
    #[serde(default)]
    pub collection: Option<String>,
}

/// Arguments of `get_document`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentAsk {
    /// Path of an indexed document, as a search result gives it, or the end of one that only one document has.
    pub path: String,
    /// Characters on a page, 500 to 50000. Default 12000.
    #[serde(default)]
    pub max_chars: Option<u32>,
    /// next_cursor of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// The collection that was searched, if not the first.
    #[serde(default)]
    pub collection: Option<String>,
}

/// Arguments of `status`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusAsk {
    /// A name that list_collections gives. Default: the first of them.
    #[serde(default)]
    pub collection: Option<String>,
}

/// Arguments of `list_collections`: none.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoAsk {}

/// Where a page starts, and for which question: a cursor of another question is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Results or passages before the page.
    pub offset: usize,
    question: u32,
}

impl Cursor {
    /// The start of `offset` in the answer to `question`, whose text is all that decides the answer.
    pub fn new(offset: usize, question: &str) -> Self {
        Self {
            offset,
            question: short_hash(question),
        }
    }

    /// Reads what an assistant hands back; nothing is the first page.
    ///
    /// # Errors
    /// One sentence for the assistant.
    pub fn read(text: Option<&str>, question: &str) -> anyhow::Result<Self> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Ok(Self::new(0, question));
        };
        let parse = || {
            let (offset, check) = text.split_once('-')?;
            let question = u32::from_str_radix(check, 16).ok()?;
            Some(Self {
                offset: offset.parse().ok()?,
                question,
            })
        };
        match parse() {
            Some(cursor) if cursor.question == short_hash(question) => Ok(cursor),
            Some(_) => anyhow::bail!(
                "this cursor belongs to other arguments; leave it out for the first page"
            ),
            None => anyhow::bail!("'{text}' is no cursor; hand back next_cursor as it came"),
        }
    }

    /// As the assistant gets it.
    pub fn text(self) -> String {
        format!("{}-{:08x}", self.offset, self.question)
    }
}

fn short_hash(text: &str) -> u32 {
    let hash = blake3::hash(text.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let cursor = Cursor::new(24, "herons");
        assert_eq!(
            Cursor::read(Some(&cursor.text()), "herons").expect("reads"),
            cursor
        );
        assert_eq!(Cursor::read(None, "herons").expect("reads").offset, 0);
    }

    #[test]
    fn a_cursor_of_another_question_is_refused() {
        let text = Cursor::new(24, "herons").text();
        let refusal = Cursor::read(Some(&text), "storks")
            .expect_err("refused")
            .to_string();
        assert!(refusal.contains("other arguments"), "{refusal}");
        for text in ["x", "-1", "3-", "99999999999999999999999-00000000"] {
            assert!(Cursor::read(Some(text), "herons").is_err(), "{text}");
        }
    }
}
