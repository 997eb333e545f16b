//! What if the caller knows which files changed?

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use storage::Task;

use crate::collection::{Engine, absolute};
use crate::error::EngineError;
use crate::guard::guarded;
use crate::index::{self, Scope};
use crate::ingest::walk::{Within, walk_within};
use crate::report::IndexReport;
use crate::request::IndexRequest;

impl Engine {
    /// As [`Engine::index`], looking only at the files and folders in `changed` that lie below the request's paths: what
    /// is new there is added, what changed renewed, what is gone removed. No path becomes a root. For callers that are
    /// told of changes; `changed` holds absolute paths without symbolic links.
    ///
    /// # Errors
    /// As [`Engine::index`].
    pub fn update(
        &self,
        request: &IndexRequest,
        changed: &[PathBuf],
        task: Task<'_>,
    ) -> Result<IndexReport, EngineError> {
        let roots = absolute(&request.paths)?;
        let within = below(changed, &roots);
        let encoder = request.encoder.clone().or_else(|| self.encoder());
        let mut report = IndexReport::default();
        self.write(encoder, &mut report, |session, report| {
            let scope = Scope {
                roots: &roots,
                within: Some(&within),
                anew: false,
            };
            index::run(session, &scope, &request.options, report, task)
        })?;
        Ok(report)
    }

    /// Whether [`Engine::update`] could find anything to do: whether one of `changed` is indexed, or is a file that would
    /// be looked into. Takes no lock, so that a build in an ignored folder costs next to nothing.
    ///
    /// # Errors
    /// A root that is missing, or damaged files.
    pub fn concerns(
        &self,
        request: &IndexRequest,
        changed: &[PathBuf],
    ) -> Result<bool, EngineError> {
        let roots = absolute(&request.paths)?;
        let within = below(changed, &roots);
        let mut found = false;
        walk_within(
            &roots,
            Some(&within),
            &request.options,
            &[self.dir().to_owned()],
            |_| {
                found = true;
                ControlFlow::Break(())
            },
        )?;
        Ok(found || self.holds_any(|path| within.contains(path))?)
    }

    /// Whether a document at or below `path` is indexed, whatever is on the disk.
    ///
    /// # Errors
    /// Damaged files.
    pub fn holds(&self, path: &Path) -> Result<bool, EngineError> {
        self.holds_any(|document| document.starts_with(path))
    }

    fn holds_any(&self, wanted: impl Fn(&Path) -> bool) -> Result<bool, EngineError> {
        let snapshot = self.snapshot();
        let Some(open) = &snapshot.open else {
            return Ok(false);
        };
        guarded(self.dir(), || {
            let found = open.index.paths(1, |path| wanted(Path::new(path)))?;
            Ok(!found.is_empty())
        })
    }
}

fn below(changed: &[PathBuf], roots: &[PathBuf]) -> Within {
    let inside = |path: &&PathBuf| roots.iter().any(|root| path.starts_with(root));
    changed.iter().filter(inside).collect()
}
