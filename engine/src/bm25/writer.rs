//! How do passages get into the index, and which files does a commit consist of?

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use storage::DocumentId;
use tantivy::directory::MmapDirectory;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::{Index, IndexWriter, TantivyDocument};

use super::schema::{self, Fields};
use super::{Bm25Error, PassageDocument};

/// tantivy's bounds: the least memory an indexing thread works with, and the most threads it takes.
const MIN_THREAD_BYTES: usize = 16 << 20;
const MAX_THREAD_BYTES: usize = 2 << 30;
const MAX_THREADS: usize = 8;

/// Share of deleted passages at which a segment is rewritten.
const DELETED_SHARE: f32 = 0.2;
/// Segments of about one size that are merged, and the ratio of sizes (log2) that counts as one size.
const MERGED_SEGMENTS: usize = 5;
const LEVEL_LOG_SIZE: f64 = 2.0;

/// The one writer of an index folder. Dropped without a commit, it leaves the last commit as it was.
pub struct Bm25Writer {
    dir: PathBuf,
    index: Index,
    fields: Fields,
    options: IndexWriterOptions,
    /// Absent only after a failed commit; see [`Bm25Writer::rollback`].
    writer: Option<IndexWriter<TantivyDocument>>,
}

impl Bm25Writer {
    /// Opens the index in `dir`, or creates it there. Indexing takes up to `memory_bytes` (at least 16 MiB) beside the
    /// texts in flight, and `threads` (1 to 8; fewer if the memory does not suffice for all).
    ///
    /// # Errors
    /// Another writer, another version's fields, or the file system.
    pub fn open(dir: &Path, memory_bytes: usize, threads: usize) -> Result<Self, Bm25Error> {
        fs::create_dir_all(dir).map_err(Bm25Error::index("create", dir))?;
        let index = open_or_create(dir)?;
        let threads = threads.clamp(1, MAX_THREADS.min((memory_bytes / MIN_THREAD_BYTES).max(1)));
        let options = IndexWriterOptions::builder()
            .num_worker_threads(threads)
            .memory_budget_per_thread(
                (memory_bytes / threads).clamp(MIN_THREAD_BYTES, MAX_THREAD_BYTES),
            )
            .build();
        let mut writer = Self {
            dir: dir.to_path_buf(),
            index,
            fields: schema::schema().1,
            options,
            writer: None,
        };
        writer.rollback()?;
        Ok(writer)
    }

    /// Adds a passage. Seen by nobody before [`Bm25Writer::commit`].
    ///
    /// # Errors
    /// An indexing thread failed earlier (disk full); roll back.
    pub fn add(&self, passage: &PassageDocument<'_>) -> Result<(), Bm25Error> {
        self.writer()?
            .add_document(self.fields.document(passage))
            .map_err(Bm25Error::index("write", &self.dir))?;
        Ok(())
    }

    /// Deletes the passages of `document` added so far; passages added afterwards stay.
    ///
    /// # Errors
    /// As [`Bm25Writer::add`].
    pub fn delete_document(&self, document: DocumentId) -> Result<(), Bm25Error> {
        self.writer()?
            .delete_term(schema::document_term(&self.fields, document));
        Ok(())
    }

    /// Makes everything so far durable, with `payload` as its name, and returns when merging is done: the files of
    /// [`Bm25Writer::files`] stay until the next commit.
    ///
    /// # Errors
    /// The file system. The last commit then still stands; roll back to go on.
    pub fn commit(&mut self, payload: &str) -> Result<(), Bm25Error> {
        let failed = Bm25Error::index("commit to", &self.dir);
        self.writer()?;
        let Some(mut writer) = self.writer.take() else {
            return Err(failed(closed()));
        };
        let mut prepared = writer.prepare_commit().map_err(&failed)?;
        prepared.set_payload(payload);
        prepared.commit().map_err(&failed)?;
        writer.wait_merging_threads().map_err(&failed)?;
        self.rollback()?;
        let collected = self.writer()?.garbage_collect_files().wait();
        collected.map_err(failed)?;
        Ok(())
    }

    /// Rewrites the last commit as one segment without deleted passages: no text, term or number of them is left in the
    /// files of the commit. The commit keeps its name.
    ///
    /// # Errors
    /// As [`Bm25Writer::commit`].
    pub fn merge_all(&mut self) -> Result<(), Bm25Error> {
        let failed = Bm25Error::index("compact", &self.dir);
        let segments = self.index.searchable_segment_ids().map_err(&failed)?;
        let writer = self.writer.as_mut().ok_or_else(|| failed(closed()))?;
        if !segments.is_empty() {
            writer.merge(&segments).wait().map_err(&failed)?;
        }
        writer.garbage_collect_files().wait().map_err(failed)?;
        Ok(())
    }

    /// Forgets everything since the last commit.
    ///
    /// # Errors
    /// The file system.
    pub fn rollback(&mut self) -> Result<(), Bm25Error> {
        let failed = Bm25Error::index("write", &self.dir);
        if let Some(writer) = &mut self.writer {
            writer.rollback().map_err(failed)?;
            return Ok(());
        }
        let writer = self
            .index
            .writer_with_options(self.options.clone())
            .map_err(failed)?;
        writer.set_merge_policy(Box::new(merge_policy()));
        self.writer = Some(writer);
        Ok(())
    }

    /// The name the last commit was given; `None` before the first.
    ///
    /// # Errors
    /// The file system.
    pub fn payload(&self) -> Result<Option<String>, Bm25Error> {
        let meta = self
            .index
            .load_metas()
            .map_err(Bm25Error::index("read", &self.dir))?;
        Ok(meta.payload)
    }

    /// Names of the files of the last commit within the folder: what a reader needs, and nothing else.
    ///
    /// # Errors
    /// The file system.
    pub fn files(&self) -> Result<Vec<OsString>, Bm25Error> {
        let meta = self
            .index
            .load_metas()
            .map_err(Bm25Error::index("read", &self.dir))?;
        let own = ["meta.json", ".managed.json"].map(PathBuf::from);
        let mut names: Vec<OsString> = meta
            .list_segment_files()
            .into_iter()
            .chain(own)
            .filter(|name| self.dir.join(name).is_file())
            .map(PathBuf::into_os_string)
            .collect();
        names.sort();
        Ok(names)
    }

    fn writer(&self) -> Result<&IndexWriter<TantivyDocument>, Bm25Error> {
        let failed = Bm25Error::index("write", &self.dir);
        self.writer.as_ref().ok_or_else(|| failed(closed()))
    }
}

fn closed() -> tantivy::TantivyError {
    tantivy::TantivyError::SystemError(
        "an earlier commit failed and was not rolled back".to_owned(),
    )
}

fn open_or_create(dir: &Path) -> Result<Index, Bm25Error> {
    let failed = Bm25Error::index("open", dir);
    let directory = MmapDirectory::open(dir).map_err(|source| failed(source.into()))?;
    let mut index = if Index::exists(&directory).map_err(|source| failed(source.into()))? {
        Index::open(directory).map_err(failed)?
    } else {
        Index::create(directory, schema::schema().0, schema::settings()).map_err(failed)?
    };
    check_schema(&index, dir)?;
    schema::register_tokenizer(&mut index);
    Ok(index)
}

/// Refuses an index whose fields are not the ones this version writes and reads.
pub(super) fn check_schema(index: &Index, dir: &Path) -> Result<(), Bm25Error> {
    if index.schema() == schema::schema().0 {
        Ok(())
    } else {
        Err(Bm25Error::Schema {
            path: dir.to_path_buf(),
        })
    }
}

fn merge_policy() -> LogMergePolicy {
    let mut policy = LogMergePolicy::default();
    policy.set_min_num_segments(MERGED_SEGMENTS);
    policy.set_level_log_size(LEVEL_LOG_SIZE);
    policy.set_del_docs_ratio_before_merge(DELETED_SHARE);
    policy
}
