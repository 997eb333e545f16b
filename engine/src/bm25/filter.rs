//! Which passages does a filter let through?

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use roaring::RoaringBitmap;
use tantivy::columnar::StrColumn;

use super::postings::{DELETED, Segment};
use super::reader::Bm25Index;
use super::{Bm25Error, schema};
use crate::request::Filter;

/// A filter cannot be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// A path pattern is not a glob.
    #[error("{glob:?} is not a path pattern: {detail}; write patterns like *.md or docs/**")]
    Glob {
        /// The pattern as given.
        glob: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The index failed.
    #[error(transparent)]
    Index(#[from] Bm25Error),
}

impl Bm25Index {
    /// Passages of documents that pass `filter`; `None` if it lets everything through.
    ///
    /// A glob that does not start with `/` matches anywhere below: `*.md`, `docs/**`. One that names a folder lets
    /// everything in it through. Paths are compared by case, extensions are not.
    ///
    /// # Errors
    /// A malformed glob, or damaged files.
    pub fn eligible(&self, filter: &Filter) -> Result<Option<RoaringBitmap>, FilterError> {
        if *filter == Filter::default() {
            return Ok(None);
        }
        let paths = PathTest::new(filter)?;
        let failed = Bm25Error::index("read", &self.dir);
        let mut passing: Vec<u32> = Vec::new();
        for segment in &self.segments {
            segment
                .pass(filter, &paths, &mut passing)
                .map_err(&failed)?;
        }
        passing.sort_unstable();
        Ok(Some(passing.into_iter().collect()))
    }
}

impl Segment {
    fn pass(
        &self,
        filter: &Filter,
        paths: &PathTest,
        passing: &mut Vec<u32>,
    ) -> tantivy::Result<()> {
        let columns = self.reader.fast_fields();
        let modified = columns.i64(schema::MODIFIED)?;
        let path = columns.str(schema::PATH)?;
        // One verdict a distinct path.
        let verdicts = match (&path, paths.all) {
            (Some(column), false) => Some(paths.verdicts(column)?),
            _ => None,
        };
        for (&passage, doc) in self.passages.iter().zip(0u32..) {
            let path_passes = || match (&verdicts, &path) {
                (Some(verdicts), Some(column)) => column
                    .term_ords(doc)
                    .any(|ord| verdicts.get(ord as usize).copied().unwrap_or(false)),
                _ => paths.all,
            };
            let time = modified.first(doc).unwrap_or(0);
            let time_passes = filter.after.is_none_or(|after| time >= after)
                && filter.before.is_none_or(|before| time < before);
            if passage != DELETED && time_passes && path_passes() {
                passing.push(passage);
            }
        }
        Ok(())
    }
}

/// The part of a filter that looks at paths.
struct PathTest {
    globs: GlobSet,
    any_glob: bool,
    /// Lower case, without the dot.
    extensions: Vec<String>,
    /// No condition on paths at all.
    all: bool,
}

impl PathTest {
    fn new(filter: &Filter) -> Result<Self, FilterError> {
        let mut globs = GlobSetBuilder::new();
        for glob in &filter.paths {
            add_glob(&mut globs, glob)?;
        }
        let globs = globs.build().map_err(|source| FilterError::Glob {
            glob: filter.paths.join(", "),
            detail: source.to_string(),
        })?;
        let extension = |given: &String| given.trim_start_matches('.').to_lowercase();
        Ok(Self {
            globs,
            any_glob: !filter.paths.is_empty(),
            extensions: filter.extensions.iter().map(extension).collect(),
            all: filter.paths.is_empty() && filter.extensions.is_empty(),
        })
    }

    /// For each path of the dictionary, in its order, whether it passes.
    fn verdicts(&self, column: &StrColumn) -> std::io::Result<Vec<bool>> {
        let mut verdicts = Vec::with_capacity(column.dictionary().num_terms());
        let mut paths = column.dictionary().stream()?;
        while paths.advance() {
            verdicts.push(self.passes(&String::from_utf8_lossy(paths.key())));
        }
        Ok(verdicts)
    }

    fn passes(&self, path: &str) -> bool {
        let extension = || {
            let extension = Path::new(path).extension().unwrap_or_default();
            extension.to_string_lossy().to_lowercase()
        };
        (!self.any_glob || self.globs.is_match(path))
            && (self.extensions.is_empty() || self.extensions.contains(&extension()))
    }
}

/// Adds `glob`, and everything below what it names.
fn add_glob(globs: &mut GlobSetBuilder, glob: &str) -> Result<(), FilterError> {
    let given = glob
        .strip_prefix("./")
        .unwrap_or(glob)
        .trim_end_matches('/');
    let anchored = if given.starts_with('/') {
        given.to_owned()
    } else {
        format!("**/{given}")
    };
    for pattern in [anchored.clone(), format!("{anchored}/**")] {
        let built = GlobBuilder::new(&pattern).literal_separator(true).build();
        globs.add(built.map_err(|source| FilterError::Glob {
            glob: glob.to_owned(),
            detail: source.kind().to_string(),
        })?);
    }
    Ok(())
}
