//! Which passages of other documents are like this one?

use crate::collection::Engine;
use crate::error::EngineError;
use crate::report::SearchResponse;
use crate::request::SearchRequest;
use crate::search::{Like, rank_like};

/// Words of the passage that the BM25 leg looks for; more find little more and dilute the best.
const WORDS: usize = 16;

impl Engine {
    /// Passages like `passage`, from other documents: the BM25 leg looks for its most telling words, the dense leg for
    /// its vector. Mode, fusion, limit and filter are those of `request`; its query is not used. Nothing if there is no
    /// such passage.
    ///
    /// # Errors
    /// As [`Engine::search`].
    pub fn similar(
        &self,
        passage: u32,
        request: &SearchRequest,
    ) -> Result<Option<SearchResponse>, EngineError> {
        request.check()?;
        self.with_passage(passage, |open, id| {
            let stored = open.index.passage(id)?;
            let without = open.index.passages_of(&stored.path)?;
            let words = open
                .index
                .telling_words(&stored.text, stored.language, WORDS)?;
            let request = SearchRequest {
                query: words.join(" "),
                literal: true,
                fuzzy: false,
                ..request.clone()
            };
            let vectors = open.vectors.as_ref();
            let vector = vectors.and_then(|vectors| vectors.matrix.get(id));
            let like = Like { vector, without };
            let ranking = rank_like(open, self.encoder(), &request, like)?;
            ranking.respond(open, request.limit).map(Some)
        })
    }
}
