//! Which fields does a passage have in the index, and how are its anchors laid out?

use storage::{DocumentId, PassageId};
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::store::{Compressor, ZstdCompressor};
use tantivy::tokenizer::TokenizerManager;
use tantivy::{Index, IndexSettings, TantivyDocument};

use super::analysis::{MarkedTokenizer, marked};
use super::{PassageDocument, SearchField};
use crate::ingest::Source;

/// Name of the tokenizer in the schema; changes whenever the terms of a text change.
const TOKENIZER: &str = "askance1";

pub(super) const PASSAGE: &str = "passage";
pub(super) const DOCUMENT: &str = "document";
pub(super) const MODIFIED: &str = "modified";
pub(super) const LANGUAGE: &str = "language";
pub(super) const PATH: &str = "path";

/// The fields, by name.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    pub(super) passage: Field,
    pub(super) document: Field,
    pub(super) modified: Field,
    pub(super) language: Field,
    pub(super) path: Field,
    pub(super) title: Field,
    pub(super) heading: Field,
    pub(super) body: Field,
    pub(super) name_words: Field,
    pub(super) folder_words: Field,
    pub(super) anchors: Field,
    pub(super) record: Field,
}

impl Fields {
    /// The tantivy field behind a field people search in.
    pub(super) fn search(&self, field: SearchField) -> Field {
        match field {
            SearchField::Body => self.body,
            SearchField::Title => self.title,
            SearchField::Heading => self.heading,
            SearchField::Name => self.name_words,
            SearchField::Path => self.folder_words,
        }
    }

    /// The document tantivy indexes. Texts carry the mark of their language, which is stored with them.
    pub(super) fn document(&self, passage: &PassageDocument<'_>) -> TantivyDocument {
        let mut doc = TantivyDocument::default();
        doc.add_u64(self.passage, u64::from(passage.id.0));
        doc.add_u64(self.document, passage.document.0);
        doc.add_i64(self.modified, passage.modified);
        doc.add_u64(self.language, passage.language as u64);
        doc.add_text(self.path, passage.path);
        let (folder, name) = passage.path.rsplit_once('/').unwrap_or(("", passage.path));
        let texts = [
            (self.body, passage.text),
            (self.title, passage.title),
            (self.heading, passage.heading),
            (self.name_words, name),
            (self.folder_words, folder),
        ];
        for (field, text) in texts {
            if !text.is_empty() {
                doc.add_text(field, marked(passage.language, text));
            }
        }
        doc.add_bytes(self.anchors, &anchor_bytes(passage.start, passage.end));
        if let Some(record) = passage.record {
            doc.add_bytes(self.record, record);
        }
        doc
    }
}

/// The schema and its fields.
pub(super) fn schema() -> (Schema, Fields) {
    let words = |option, norms| {
        TextFieldIndexing::default()
            .set_tokenizer(TOKENIZER)
            .set_index_option(option)
            .set_fieldnorms(norms)
    };
    let text = || {
        TextOptions::default()
            .set_stored()
            .set_indexing_options(words(IndexRecordOption::WithFreqsAndPositions, true))
    };
    let names =
        || TextOptions::default().set_indexing_options(words(IndexRecordOption::Basic, false));
    let mut builder = Schema::builder();
    let fields = Fields {
        passage: builder.add_u64_field(PASSAGE, FAST),
        // Indexed, so that a document's passages can be deleted.
        document: builder.add_u64_field(DOCUMENT, FAST | INDEXED),
        modified: builder.add_i64_field(MODIFIED, FAST),
        language: builder.add_u64_field(LANGUAGE, FAST),
        path: builder.add_text_field(PATH, TextOptions::default().set_fast("raw")),
        title: builder.add_text_field("title", text()),
        heading: builder.add_text_field("heading", text()),
        body: builder.add_text_field("body", text()),
        name_words: builder.add_text_field("name_words", names()),
        folder_words: builder.add_text_field("folder_words", names()),
        anchors: builder.add_bytes_field("anchors", STORED),
        record: builder.add_bytes_field("record", STORED),
    };
    (builder.build(), fields)
}

/// Bytes of text compressed together, and the effort. Larger blocks and higher levels shrink the store a little
/// further; reading ten passages from ten blocks has to stay well under a millisecond.
const STORE_BLOCK_BYTES: usize = 32 << 10;
const STORE_ZSTD_LEVEL: i32 = 3;

pub(super) fn settings() -> IndexSettings {
    IndexSettings {
        docstore_compression: Compressor::Zstd(ZstdCompressor {
            compression_level: Some(STORE_ZSTD_LEVEL),
        }),
        docstore_blocksize: STORE_BLOCK_BYTES,
        ..IndexSettings::default()
    }
}

/// Gives `index` the tokenizer its schema names.
pub(super) fn register_tokenizer(index: &mut Index) {
    // Fields of other types ask for tantivy's default tokenizer by name without using it.
    let tokenizers = TokenizerManager::default();
    tokenizers.register(TOKENIZER, MarkedTokenizer::default());
    index.set_tokenizers(tokenizers);
}

pub(super) fn document_term(fields: &Fields, document: DocumentId) -> tantivy::Term {
    tantivy::Term::from_field_u64(fields.document, document.0)
}

/// A passage id as its fast field holds it. Ids are `u32` by type; anything else in a column is damage.
pub(super) fn passage_id(value: u64) -> PassageId {
    PassageId(u32::try_from(value).unwrap_or(u32::MAX))
}

/// Start and end as LEB128 numbers: byte + 1 (0: none), line, page, each.
fn anchor_bytes(start: Source, end: Source) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    for place in [start, end] {
        push_number(
            &mut out,
            place.byte.map_or(0, |byte| byte.saturating_add(1)),
        );
        push_number(&mut out, u64::from(place.line));
        push_number(&mut out, u64::from(place.page));
    }
    out
}

/// Inverse of [`anchor_bytes`]; missing numbers read as 0.
pub(super) fn read_anchors(mut bytes: &[u8]) -> (Source, Source) {
    let mut place = || {
        let byte = take_number(&mut bytes).checked_sub(1);
        let line = take_number(&mut bytes) as u32;
        let page = take_number(&mut bytes) as u32;
        Source { byte, line, page }
    };
    (place(), place())
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> u64 {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let Some((&byte, rest)) = bytes.split_first() else {
            return 0;
        };
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}
