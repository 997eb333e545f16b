//! How does a document's text grow, so that blocks and text always agree and stay within bounds?

use super::super::{Block, BlockKind, Extracted, FileKind, Source, Tracking};

/// Most blocks of one file: each costs about 60 bytes beside its text.
const MAX_BLOCKS: usize = 1_000_000;
/// Longer "headings" are body text set in large type.
const MAX_HEADING_BYTES: usize = 400;
/// Most warnings of one file kept word for word.
const MAX_WARNINGS: usize = 20;
/// Most bytes of a title.
const MAX_TITLE_BYTES: usize = 400;

/// Collects blocks into an [`Extracted`] and keeps its invariants.
pub(super) struct Builder {
    doc: Extracted,
    max_text: usize,
    full: bool,
    more_warnings: usize,
}

impl Builder {
    pub fn new(kind: FileKind, max_text: usize) -> Self {
        let doc = Extracted {
            kind,
            title: None,
            text: String::new(),
            blocks: Vec::new(),
            warnings: Vec::new(),
        };
        Self {
            doc,
            max_text,
            full: false,
            more_warnings: 0,
        }
    }

    /// Whether the limit is reached, so that further blocks would be dropped.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Notes what a person should know; of more than [`MAX_WARNINGS`] only the number is kept.
    pub fn warn(&mut self, warning: impl Into<String>) {
        if self.doc.warnings.len() < MAX_WARNINGS {
            self.doc.warnings.push(warning.into());
        } else {
            self.more_warnings += 1;
        }
    }

    /// Keeps the first title that is not empty, white space collapsed.
    pub fn title(&mut self, title: &str) {
        if self.doc.title.is_none() {
            let mut title = title.split_whitespace().collect::<Vec<_>>().join(" ");
            title.truncate(title.floor_char_boundary(MAX_TITLE_BYTES));
            self.doc.title = Some(title).filter(|title| !title.is_empty());
        }
    }

    /// Appends a block that starts at `source`. White space around it is dropped and `source` moved along;
    /// control characters and `\r` vanish. Nothing is added for a text without anything visible.
    pub fn push(
        &mut self,
        kind: BlockKind,
        text: &str,
        mut source: Source,
        mut tracking: Tracking,
    ) {
        let kind = match kind {
            BlockKind::Heading(_) if text.len() > MAX_HEADING_BYTES => BlockKind::Paragraph,
            kind => kind,
        };
        let (before, text) = trim(kind, text);
        if text.is_empty() || self.full {
            return;
        }
        if tracking >= Tracking::Lines && source.line > 0 {
            source.line += u32::try_from(before.matches('\n').count()).unwrap_or(0);
        }
        source.byte = source
            .byte
            .filter(|_| before.is_empty() || tracking == Tracking::Bytes);
        source.byte = source.byte.map(|byte| byte + before.len() as u64);
        let separator = if self.doc.text.is_empty() { "" } else { "\n\n" };
        let room = self
            .max_text
            .saturating_sub(self.doc.text.len() + separator.len());
        let kept = &text[..text.floor_char_boundary(room)];
        self.full = kept.len() < text.len() || self.doc.blocks.len() >= MAX_BLOCKS;
        if kept.trim().is_empty() {
            return;
        }
        self.doc.text.push_str(separator);
        let start = self.doc.text.len();
        if append_clean(&mut self.doc.text, kept) {
            tracking = tracking.min(Tracking::Lines);
        }
        self.doc.blocks.push(Block {
            range: start..self.doc.text.len(),
            kind,
            source,
            tracking,
        });
    }

    pub fn finish(mut self) -> Extracted {
        if self.more_warnings > 0 {
            self.doc
                .warnings
                .push(format!("{} more of these", self.more_warnings));
        }
        if self.full {
            let kept = self.doc.text.len();
            self.doc.warnings.push(format!(
                "only the first {kept} bytes of text were kept, the rest was left out"
            ));
        }
        self.doc
    }
}

/// What is cut off in front, and the text without white space around it. Code keeps its first indentation.
fn trim(kind: BlockKind, text: &str) -> (&str, &str) {
    let visible = text.len()
        - text
            .trim_start_matches(|c: char| c.is_whitespace() || is_dropped(c))
            .len();
    let start = match kind {
        BlockKind::Code => text[..visible].rfind('\n').map_or(0, |newline| newline + 1),
        _ => visible,
    };
    let (before, rest) = text.split_at(start);
    (
        before,
        rest.trim_end_matches(|c: char| c.is_whitespace() || is_dropped(c)),
    )
}

/// Control characters that are no white space anyone wants in a snippet.
fn is_dropped(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}

/// Appends without control characters; tells whether there were any.
fn append_clean(out: &mut String, text: &str) -> bool {
    let clean = !text.contains(is_dropped);
    if clean {
        out.push_str(text);
    } else {
        out.extend(text.chars().filter(|&c| !is_dropped(c)));
    }
    !clean
}
