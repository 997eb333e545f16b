//! How does a passage read without the queries that were taken out of it?

use engine::ingest::context::encoder_text;

use super::propose::Proposal;
use super::{LEFT, Piece, filter};
use crate::examples::Passage;

/// A passage without the queries taken out of it.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) title: String,
    pub(super) headings: Vec<String>,
    /// What is left of the text, in order.
    pub(super) parts: Vec<std::ops::Range<usize>>,
    pub(super) text: String,
}

impl View {
    pub(super) fn of(piece: &Piece) -> Self {
        Self {
            title: piece.title.clone(),
            headings: piece.headings.clone(),
            parts: std::iter::once(0..piece.text.len()).collect(),
            text: piece.text.clone(),
        }
    }

    /// The passage without the words of `proposal` (with them, if they may stay); `None` if too little is left or the words
    /// are gone already.
    pub(super) fn without(&self, proposal: &Proposal, stays: bool) -> Option<Self> {
        let mut view = self.clone();
        if let Some(range) = &proposal.range {
            let at = self
                .parts
                .iter()
                .position(|p| p.start <= range.start && range.end <= p.end)?;
            let part = self.parts[at].clone();
            view.parts
                .splice(at..=at, [part.start..range.start, range.end..part.end]);
        }
        view.headings
            .retain(|heading| !proposal.lines.contains(heading));
        if proposal.lines.contains(&view.title) {
            view.title.clear();
        }
        let left = view.body(&proposal.lines);
        if filter::words(&left) < LEFT {
            return None;
        }
        if stays {
            return Some(self.clone());
        }
        // A section's passage begins with its heading.
        view.parts.retain(|part| !part.is_empty());
        if let Some(first) = view.parts.first_mut() {
            *first = first.start + skipped(&view.text[first.clone()], &proposal.lines)..first.end;
        }
        Some(view)
    }

    /// What is left of the text, without leading lines that are among `lines`.
    pub(super) fn body(&self, lines: &[String]) -> String {
        let parts = self.parts.iter().map(|part| self.text[part.clone()].trim());
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        let body = parts.join("\n");
        body[skipped(&body, lines)..].trim().to_owned()
    }

    pub(super) fn passage(&self, document: u32) -> Passage {
        let body = self.body(&[]);
        let text = encoder_text(Some(&self.title), &self.headings, &body);
        Passage {
            document,
            body_at: text.len() - body.len(),
            text,
        }
    }
}

/// Bytes of the lines at the beginning of `text` that are blank or among `lines`.
pub(super) fn skipped(text: &str, lines: &[String]) -> usize {
    let mut bytes = 0;
    for line in text.split_inclusive('\n') {
        let plain = line.trim();
        let is_blank = plain.is_empty();
        if !is_blank && !lines.iter().any(|skip| skip.trim() == plain) {
            break;
        }
        bytes += line.len();
    }
    bytes
}
