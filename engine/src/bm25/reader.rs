//! Which index is this, and what does it hold under a passage's name?

use std::path::{Path, PathBuf};

use roaring::RoaringBitmap;
use storage::{DocumentId, PassageId};
use tantivy::schema::Value;
use tantivy::{Index, SegmentReader, TantivyDocument};

use super::analysis::unmarked;
use super::language::Language;
use super::postings::{DELETED, LengthFactors, Segment};
use super::query::SearchField;
use super::schema::{self, Fields};
use super::score::Scoring;
use super::writer::check_schema;
use super::{Bm25Error, StoredPassage};

/// An index of up to this many bytes is compared with its checksums whenever it is opened: some milliseconds.
const CHECKED_BYTES: u64 = 16 << 20;

/// An index opened read-only: no lock, no watcher; the files have to stay as they are while it lives.
pub struct Bm25Index {
    pub(super) dir: PathBuf,
    pub(super) fields: Fields,
    pub(super) segments: Vec<Segment>,
    /// Where each live passage is, ascending by id.
    addresses: Vec<Address>,
    live: RoaringBitmap,
    /// Languages of the passages and their numbers, most first; never empty.
    pub(super) languages: Vec<(Language, u64)>,
    /// Passages, deleted ones of living segments included, as in the term statistics.
    pub(super) documents: u64,
    pub(super) scoring: Scoring,
    pub(super) factors: Vec<LengthFactors>,
}

/// Place of a passage.
#[derive(Debug, Clone, Copy)]
struct Address {
    passage: u32,
    segment: u32,
    doc: u32,
}

impl Bm25Index {
    /// Opens the committed state of the index in `dir`.
    ///
    /// # Errors
    /// Missing or damaged files, or another version's fields. An index of up to 16 MiB is compared with its checksums, a
    /// larger one is taken at its word; [`Bm25Index::damaged_files`] tells.
    pub fn open(dir: &Path) -> Result<Self, Bm25Error> {
        let failed = Bm25Error::index("open", dir);
        let mut index = Index::open_in_dir(dir).map_err(&failed)?;
        check_schema(&index, dir)?;
        check_small(&index, dir)?;
        schema::register_tokenizer(&mut index);
        let fields = schema::schema().1;
        let mut segments = Vec::new();
        for segment in index.searchable_segments().map_err(&failed)? {
            let reader = SegmentReader::open(&segment).map_err(&failed)?;
            segments.push(Segment::open(reader, &fields).map_err(&failed)?);
        }
        let addresses = addresses(&segments);
        let mut index = Self {
            dir: dir.to_path_buf(),
            fields,
            live: addresses.iter().map(|address| address.passage).collect(),
            addresses,
            languages: languages(&segments).map_err(failed)?,
            documents: segments
                .iter()
                .map(|segment| u64::from(segment.reader.max_doc()))
                .sum(),
            segments,
            scoring: Scoring::default(),
            factors: Vec::new(),
        };
        index.set_scoring(Scoring::default());
        Ok(index)
    }

    /// Names of the files in `dir` whose bytes do not fit the checksum tantivy wrote behind them. Reads all of them.
    ///
    /// # Errors
    /// Missing files, or a commit that cannot be read.
    pub fn damaged_files(dir: &Path) -> Result<Vec<PathBuf>, Bm25Error> {
        let failed = Bm25Error::index("check", dir);
        let index = Index::open_in_dir(dir).map_err(&failed)?;
        let mut damaged = Vec::from_iter(index.validate_checksum().map_err(failed)?);
        damaged.sort();
        Ok(damaged)
    }

    /// Replaces the constants of the ranking formula.
    pub fn set_scoring(&mut self, scoring: Scoring) {
        let factors = SearchField::ALL.map(|field| {
            let i = field as usize;
            LengthFactors::new(scoring.weight[i], scoring.b[i], self.average_length(field))
        });
        self.factors = factors.into();
        self.scoring = scoring;
    }

    /// Passages that can be found.
    pub fn live(&self) -> &RoaringBitmap {
        &self.live
    }

    /// Languages of the passages and how many are in each, most first.
    pub fn languages(&self) -> &[(Language, u64)] {
        &self.languages
    }

    /// Reads a passage: its text, its document and its place in the file. Tens of microseconds; for hits and for
    /// walks over everything in order of id, not for scoring.
    ///
    /// # Errors
    /// A passage that is not live, or damaged files.
    pub fn passage(&self, id: PassageId) -> Result<StoredPassage, Bm25Error> {
        let failed = Bm25Error::index("read", &self.dir);
        let address = self.address(id).ok_or_else(|| Bm25Error::UnknownPassage {
            path: self.dir.clone(),
            passage: id,
        })?;
        let segment = &self.segments[address.segment as usize];
        let doc: TantivyDocument = segment.store.get(address.doc).map_err(&failed)?;
        let text = |field| {
            doc.get_first(field)
                .and_then(|value| value.as_str())
                .unwrap_or("")
        };
        let (language, body) = unmarked(text(self.fields.body));
        let anchors = doc
            .get_first(self.fields.anchors)
            .and_then(|value| value.as_bytes());
        let (start, end) = schema::read_anchors(anchors.unwrap_or(&[]));
        let columns = segment.columns(address.doc).map_err(failed)?;
        Ok(StoredPassage {
            id,
            document: columns.document,
            path: columns.path,
            title: unmarked(text(self.fields.title)).1.to_owned(),
            heading: unmarked(text(self.fields.heading)).1.to_owned(),
            text: body.to_owned(),
            start,
            end,
            modified: columns.modified,
            language,
        })
    }

    /// Path of a live passage's document; cheaper than reading the passage.
    ///
    /// # Errors
    /// A passage that is not live, or damaged files.
    pub fn path(&self, id: PassageId) -> Result<String, Bm25Error> {
        let unknown = || Bm25Error::UnknownPassage {
            path: self.dir.clone(),
            passage: id,
        };
        let address = self.address(id).ok_or_else(unknown)?;
        let segment = &self.segments[address.segment as usize];
        let failed = Bm25Error::index("read", &self.dir);
        Ok(segment.columns(address.doc).map_err(failed)?.path)
    }

    /// The live passages of the document at `path`, in the order of the file. Looks the path up once a segment, then
    /// passes over the segment's column of paths.
    ///
    /// # Errors
    /// Damaged files.
    pub fn passages_of(&self, path: &str) -> Result<Vec<PassageId>, Bm25Error> {
        let failed = Bm25Error::index("read", &self.dir);
        let mut found = Vec::new();
        for segment in &self.segments {
            segment.passages_of(path, &mut found).map_err(&failed)?;
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Paths of at most `limit` documents that `wanted` accepts, in order. Reads the dictionary of paths.
    ///
    /// # Errors
    /// Damaged files.
    pub fn paths(
        &self,
        limit: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, Bm25Error> {
        let failed = Bm25Error::index("read", &self.dir);
        let mut found = Vec::new();
        for segment in &self.segments {
            segment.paths(&wanted, &mut found).map_err(&failed)?;
        }
        found.sort_unstable();
        found.dedup();
        // The dictionary of a segment still has the paths of what was deleted from it.
        let mut live = Vec::new();
        for path in found {
            if live.len() == limit {
                break;
            }
            if !self.passages_of(&path)?.is_empty() {
                live.push(path);
            }
        }
        Ok(live)
    }

    /// Hands every record given to [`super::PassageDocument::record`] to `visit`, with its document: what is needed to
    /// rebuild the document store. Reads the whole store.
    ///
    /// # Errors
    /// Damaged files.
    pub fn records(&self, mut visit: impl FnMut(DocumentId, &[u8])) -> Result<(), Bm25Error> {
        let failed = Bm25Error::index("read", &self.dir);
        for segment in &self.segments {
            let documents = segment
                .reader
                .fast_fields()
                .u64(schema::DOCUMENT)
                .map_err(&failed)?;
            let live = segment
                .passages
                .iter()
                .zip(0u32..)
                .filter(|(id, _)| **id != DELETED);
            for (_, doc) in live {
                let stored: TantivyDocument = segment.store.get(doc).map_err(&failed)?;
                if let Some(record) = stored
                    .get_first(self.fields.record)
                    .and_then(|value| value.as_bytes())
                {
                    visit(DocumentId(documents.first(doc).unwrap_or(0)), record);
                }
            }
        }
        Ok(())
    }

    /// Segment and document number of a live passage.
    pub(super) fn place(&self, id: PassageId) -> Option<(usize, usize)> {
        self.address(id)
            .map(|address| (address.segment as usize, address.doc as usize))
    }

    fn address(&self, id: PassageId) -> Option<Address> {
        let found = self
            .addresses
            .binary_search_by_key(&id.0, |address| address.passage);
        found.ok().and_then(|at| self.addresses.get(at)).copied()
    }

    fn average_length(&self, field: SearchField) -> f32 {
        let tokens: u64 = self
            .segments
            .iter()
            .map(|segment| segment.field(field).inverted.total_num_tokens())
            .sum();
        tokens as f32 / self.documents.max(1) as f32
    }
}

/// Compares an index that is small enough to be read whole at each opening with its checksums.
fn check_small(index: &Index, dir: &Path) -> Result<(), Bm25Error> {
    let failed = Bm25Error::index("check", dir);
    let metas = index.load_metas().map_err(&failed)?;
    let size = |name: &PathBuf| dir.join(name).metadata().map_or(0, |meta| meta.len());
    if metas.list_segment_files().iter().map(size).sum::<u64>() > CHECKED_BYTES {
        return Ok(());
    }
    match index.validate_checksum().map_err(failed)?.into_iter().min() {
        None => Ok(()),
        Some(file) => Err(Bm25Error::Damaged {
            path: dir.join(file),
        }),
    }
}

/// What the columns say about one document of a segment.
struct Columns {
    document: DocumentId,
    path: String,
    modified: i64,
}

impl Segment {
    fn passages_of(&self, path: &str, found: &mut Vec<PassageId>) -> tantivy::Result<()> {
        let Some(column) = self.reader.fast_fields().str(schema::PATH)? else {
            return Ok(());
        };
        let Some(wanted) = column.dictionary().term_ord(path.as_bytes())? else {
            return Ok(());
        };
        let here =
            self.passages.iter().zip(0u32..).filter(|&(&id, doc)| {
                id != DELETED && column.term_ords(doc).next() == Some(wanted)
            });
        found.extend(here.map(|(&id, _)| PassageId(id)));
        Ok(())
    }

    fn paths(
        &self,
        wanted: &impl Fn(&str) -> bool,
        found: &mut Vec<String>,
    ) -> tantivy::Result<()> {
        let Some(column) = self.reader.fast_fields().str(schema::PATH)? else {
            return Ok(());
        };
        let mut paths = column.dictionary().stream()?;
        while paths.advance() {
            let path = String::from_utf8_lossy(paths.key());
            if wanted(&path) {
                found.push(path.into_owned());
            }
        }
        Ok(())
    }

    fn columns(&self, doc: u32) -> tantivy::Result<Columns> {
        let fast = self.reader.fast_fields();
        let mut path = String::new();
        if let Some(column) = fast.str(schema::PATH)?
            && let Some(ord) = column.term_ords(doc).next()
        {
            column.ord_to_str(ord, &mut path)?;
        }
        Ok(Columns {
            document: DocumentId(fast.u64(schema::DOCUMENT)?.first(doc).unwrap_or(0)),
            path,
            modified: fast.i64(schema::MODIFIED)?.first(doc).unwrap_or(0),
        })
    }
}

fn addresses(segments: &[Segment]) -> Vec<Address> {
    let mut addresses = Vec::new();
    for (segment, number) in segments.iter().zip(0u32..) {
        let live = segment
            .passages
            .iter()
            .zip(0u32..)
            .filter(|(id, _)| **id != DELETED);
        addresses.extend(live.map(|(&passage, doc)| Address {
            passage,
            segment: number,
            doc,
        }));
    }
    addresses.sort_unstable_by_key(|address| address.passage);
    addresses
}

fn languages(segments: &[Segment]) -> tantivy::Result<Vec<(Language, u64)>> {
    let mut counts = [0u64; Language::COUNT];
    for segment in segments {
        let column = segment.reader.fast_fields().u64(schema::LANGUAGE)?;
        for doc in 0..segment.reader.max_doc() {
            counts[Language::from_index(column.first(doc).unwrap_or(0)) as usize] += 1;
        }
    }
    let mut languages: Vec<(Language, u64)> = (0u64..)
        .zip(counts)
        .filter(|(_, count)| *count > 0)
        .map(|(index, count)| (Language::from_index(index), count))
        .collect();
    languages.sort_by_key(|&(language, count)| (std::cmp::Reverse(count), language));
    if languages.is_empty() {
        languages.push((Language::Unknown, 0));
    }
    Ok(languages)
}
