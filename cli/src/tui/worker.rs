//! Who searches while the person types?
//!
//! A thread that answers the newest question and lets older ones go: by words first, which takes milliseconds, then by
//! words and meaning where that was asked for.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use engine::Engine;
use engine::report::{DocumentText, SearchResponse};
use engine::request::{Mode, SearchRequest};

use crate::io::sentence;
use crate::shelf::Shelf;

/// Passages shown before and after a hit in the preview.
const AROUND: usize = 2;

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// A search, with its number.
    Search(u64, Box<SearchRequest>),
    /// The text around a passage.
    Preview(u32),
}

/// What came of it.
#[derive(Debug)]
pub enum Answer {
    /// Hits of search `number`. More come for it unless it is the last word.
    Found {
        /// Number of the search.
        number: u64,
        /// The hits.
        response: Box<SearchResponse>,
        /// Whether nothing else comes for this search.
        is_last: bool,
    },
    /// Search `number` failed.
    Failed {
        /// Number of the search.
        number: u64,
        /// Why, in one sentence.
        error: String,
    },
    /// The text around a passage; nothing if it is gone.
    Preview(u32, Option<Box<DocumentText>>),
}

/// The newest of what is asked.
#[derive(Default)]
struct Waiting {
    search: Option<(u64, Box<SearchRequest>)>,
    preview: Option<u32>,
}

impl Waiting {
    fn of(asks: impl Iterator<Item = Ask>) -> Self {
        let mut waiting = Self::default();
        for ask in asks {
            match ask {
                Ask::Search(number, request) => waiting.search = Some((number, request)),
                Ask::Preview(passage) => waiting.preview = Some(passage),
            }
        }
        waiting
    }
}

/// The thread's state.
pub struct Worker {
    shelf: Shelf,
    engine: Arc<Engine>,
    asks: Receiver<Ask>,
    answers: Sender<Answer>,
}

impl Worker {
    /// A worker that answers `asks` over `engine`.
    pub fn new(
        shelf: Shelf,
        engine: Arc<Engine>,
        asks: Receiver<Ask>,
        answers: Sender<Answer>,
    ) -> Self {
        Self {
            shelf,
            engine,
            asks,
            answers,
        }
    }

    /// Works until nobody asks or listens any more.
    pub fn run(&mut self) {
        let mut heard = true;
        while heard {
            let Ok(ask) = self.asks.recv() else {
                return;
            };
            let mut waiting = Waiting::of(std::iter::once(ask).chain(self.asks.try_iter()));
            heard = waiting.preview.is_none_or(|passage| self.preview(passage));
            while let Some((number, request)) = waiting.search.take() {
                heard &= self.search(number, &request, &mut waiting);
            }
        }
    }

    /// Answers by words, then as asked unless another search was asked for meanwhile, which is left in `newer`.
    fn search(&self, number: u64, request: &SearchRequest, newer: &mut Waiting) -> bool {
        // What another process published since is searched too; a damaged generation shows itself in the search.
        let _ = self.engine.refresh();
        if request.mode != Mode::Hybrid || self.engine.identity().is_none() {
            return self.answer(number, request, true);
        }
        let words = SearchRequest {
            mode: Mode::Bm25,
            ..request.clone()
        };
        let mut heard = self.answer(number, &words, false);
        *newer = Waiting::of(self.asks.try_iter());
        heard &= newer.preview.is_none_or(|passage| self.preview(passage));
        heard && (newer.search.is_some() || self.answer(number, request, true))
    }

    fn answer(&self, number: u64, request: &SearchRequest, is_last: bool) -> bool {
        let answer = match self.shelf.search(&self.engine, request) {
            Ok((response, _)) => Answer::Found {
                number,
                response: Box::new(response),
                is_last,
            },
            Err(error) => Answer::Failed {
                number,
                error: sentence(&error),
            },
        };
        self.answers.send(answer).is_ok()
    }

    fn preview(&self, passage: u32) -> bool {
        let text = self.around(passage).ok().flatten();
        self.answers
            .send(Answer::Preview(passage, text.map(Box::new)))
            .is_ok()
    }

    fn around(&self, passage: u32) -> Result<Option<DocumentText>, engine::EngineError> {
        let place = self.engine.place_in_document(passage)?;
        let text = self.engine.passage(passage)?;
        let Some((place, text)) = place.zip(text) else {
            return Ok(None);
        };
        self.engine
            .document(&text.path, place.saturating_sub(AROUND)..place + AROUND + 1)
    }
}
