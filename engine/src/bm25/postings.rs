//! Which passages of one segment hold this term or phrase, and how strongly?

use std::io;
use std::sync::Arc;

use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::{Postings, SegmentPostings, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::store::StoreReader;
use tantivy::{DocId, DocSet, InvertedIndexReader, SegmentReader, TERMINATED};

use super::query::SearchField;
use super::schema::{self, Fields};

/// Value in [`Segment::passages`] of a deleted passage.
pub(super) const DELETED: u32 = u32::MAX;

/// Blocks of the store kept decompressed per segment: hits of one search often share them.
const STORE_CACHE_BLOCKS: usize = 16;

/// One segment, with what scoring reads for every posting unpacked into memory.
pub(super) struct Segment {
    pub(super) reader: SegmentReader,
    pub(super) store: StoreReader,
    /// Passage id of each document of the segment, [`DELETED`] for deleted ones.
    pub(super) passages: Vec<u32>,
    fields: [SegmentField; SearchField::ALL.len()],
}

/// One searched field of a segment.
pub(super) struct SegmentField {
    pub(super) inverted: Arc<InvertedIndexReader>,
    /// Length of the field in each document, as tantivy's one-byte code; absent where lengths do not count.
    lengths: Option<Vec<u8>>,
}

impl Segment {
    pub(super) fn open(reader: SegmentReader, fields: &Fields) -> tantivy::Result<Self> {
        let ids = reader.fast_fields().u64(schema::PASSAGE)?;
        let passages = (0..reader.max_doc())
            .map(|doc| match ids.first(doc) {
                Some(id) if !reader.is_deleted(doc) => schema::passage_id(id).0,
                _ => DELETED,
            })
            .collect();
        let open_field = |field| SegmentField::open(&reader, fields.search(field));
        let [body, title, heading, name, path] = SearchField::ALL;
        let fields = [
            open_field(body)?,
            open_field(title)?,
            open_field(heading)?,
            open_field(name)?,
            open_field(path)?,
        ];
        Ok(Self {
            store: reader.get_store_reader(STORE_CACHE_BLOCKS)?,
            passages,
            fields,
            reader,
        })
    }

    pub(super) fn field(&self, field: SearchField) -> &SegmentField {
        &self.fields[field as usize]
    }
}

impl SegmentField {
    fn open(reader: &SegmentReader, field: tantivy::schema::Field) -> tantivy::Result<Self> {
        let with_lengths = reader.schema().get_field_entry(field).has_fieldnorms();
        let lengths = with_lengths
            .then(|| reader.get_fieldnorms_reader(field))
            .transpose()?
            .map(|norms| {
                (0..reader.max_doc())
                    .map(|doc| norms.fieldnorm_id(doc))
                    .collect()
            });
        Ok(Self {
            inverted: reader.inverted_index(field)?,
            lengths,
        })
    }

    pub(super) fn term_info(&self, term: &str) -> io::Result<Option<TermInfo>> {
        self.inverted.terms().get(term)
    }

    /// Calls `visit(document, frequency × length factor)` for each document of a term, ascending.
    pub(super) fn visit_term(
        &self,
        info: &TermInfo,
        factors: &LengthFactors,
        mut visit: impl FnMut(DocId, f32),
    ) -> io::Result<()> {
        let mut blocks = self
            .inverted
            .read_block_postings_from_terminfo(info, IndexRecordOption::WithFreqs)?;
        loop {
            let (docs, counts) = (blocks.docs(), blocks.freqs());
            if docs.is_empty() {
                return Ok(());
            }
            match &self.lengths {
                Some(lengths) => {
                    for (&doc, &count) in docs.iter().zip(counts) {
                        visit(
                            doc,
                            count as f32 * factors.0[usize::from(lengths[doc as usize])],
                        );
                    }
                }
                // A field without lengths has no frequencies either.
                None => docs.iter().for_each(|&doc| visit(doc, factors.flat())),
            }
            blocks.advance();
        }
    }

    /// Calls `visit(document, occurrences × length factor)` for each document in which all `terms` stand at their
    /// offsets from one another. In a field without positions it is enough that all are there.
    pub(super) fn visit_phrase(
        &self,
        terms: &[(u32, TermInfo)],
        factors: &LengthFactors,
        mut visit: impl FnMut(DocId, f32),
    ) -> io::Result<()> {
        let last = terms.iter().map(|(offset, _)| *offset).max().unwrap_or(0);
        let mut cursors = Vec::with_capacity(terms.len());
        for (offset, info) in terms {
            let postings = self
                .inverted
                .read_postings_from_terminfo(info, IndexRecordOption::WithFreqsAndPositions)?;
            cursors.push((last - offset, postings));
        }
        cursors.sort_by_key(|(_, postings)| postings.doc_freq());
        let mut places = Places::default();
        while let Some(doc) = next_common(&mut cursors) {
            match &self.lengths {
                Some(lengths) => {
                    let count = places.count(&mut cursors);
                    if count > 0 {
                        visit(
                            doc,
                            count as f32 * factors.0[usize::from(lengths[doc as usize])],
                        );
                    }
                }
                None => visit(doc, factors.flat()),
            }
            if let Some((_, rarest)) = cursors.first_mut() {
                rarest.advance();
            }
        }
        Ok(())
    }
}

/// Weight of a field times 1 / (1 - b + b · length / average length), for each length code.
#[derive(Clone)]
pub(super) struct LengthFactors([f32; 256]);

impl LengthFactors {
    pub(super) fn new(weight: f32, b: f32, average: f32) -> Self {
        let mut factors = [weight; 256];
        for (code, factor) in (0..=u8::MAX).zip(&mut factors) {
            let length = FieldNormReader::id_to_fieldnorm(code) as f32;
            *factor = weight
                / (1.0 - b + b * length / average.max(f32::MIN_POSITIVE)).max(f32::MIN_POSITIVE);
        }
        Self(factors)
    }

    /// The factor of a field whose lengths do not count (made with b = 0).
    fn flat(&self) -> f32 {
        self.0[0]
    }
}

/// Moves all cursors to the next document they share.
fn next_common(cursors: &mut [(u32, SegmentPostings)]) -> Option<DocId> {
    let (first, others) = cursors.split_first_mut()?;
    let mut doc = first.1.doc();
    'candidate: while doc != TERMINATED {
        for (_, other) in others.iter_mut() {
            let found = if other.doc() < doc {
                other.seek(doc)
            } else {
                other.doc()
            };
            if found != doc {
                doc = first.1.seek(found);
                continue 'candidate;
            }
        }
        return Some(doc);
    }
    None
}

/// Buffers for counting a phrase in one document.
#[derive(Default)]
struct Places {
    shared: Vec<u32>,
    next: Vec<u32>,
}

impl Places {
    /// Number of places where all terms meet, every cursor being on the same document.
    fn count(&mut self, cursors: &mut [(u32, SegmentPostings)]) -> usize {
        let Some(((shift, first), others)) = cursors.split_first_mut() else {
            return 0;
        };
        first.positions_with_offset(*shift, &mut self.shared);
        for (shift, other) in others {
            other.positions_with_offset(*shift, &mut self.next);
            self.shared
                .retain(|place| self.next.binary_search(place).is_ok());
            if self.shared.is_empty() {
                break;
            }
        }
        self.shared.len()
    }
}
