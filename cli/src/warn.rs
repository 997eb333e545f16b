//! What should a person know although nothing failed?

use std::fmt;
use std::path::PathBuf;

use engine::report::FileFailure;

/// Files named before the rest is left to `askance status`.
const NAMED: usize = 3;

/// Something to know, with what to do about it. Printed to stderr, and part of `--json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// No encoder was ever added.
    NoEncoder,
    /// Encoders are there, but this collection has no vectors.
    NoVectors {
        /// An encoder that could make them.
        model: String,
    },
    /// The encoder that made the collection's vectors is not on this computer.
    EncoderMissing {
        /// Its name.
        name: String,
    },
    /// Files could not be read in this run.
    Unreadable {
        /// All of them.
        failed: Vec<FileFailure>,
    },
    /// Files that failed before and did not change since.
    StillFailing {
        /// How many.
        files: u64,
    },
    /// The collection holds nothing.
    EmptyCollection {
        /// Its folder.
        collection: PathBuf,
    },
    /// Folders of the collection that are not there.
    RootsGone {
        /// The folders.
        roots: Vec<PathBuf>,
    },
    /// The settings name another encoder than the one the vectors were made with.
    OtherEncoder {
        /// Encoder of the settings.
        wanted: String,
        /// Encoder of the vectors, if there are any.
        found: Option<String>,
    },
    /// A path that was to be removed is not in the collection.
    NotInCollection {
        /// The path.
        path: PathBuf,
    },
    /// Queries of a run file that nobody judged.
    Unjudged {
        /// The run file.
        run: PathBuf,
        /// How many.
        queries: usize,
    },
    /// Said by the engine.
    Engine(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEncoder => f.write_str(
                "searching by words only, as there is no encoder yet; to search by meaning too, get one in Hugging Face \
                 layout (such as all-MiniLM-L6-v2), then run `askance model add FOLDER` and `askance model use NAME`",
            ),
            Self::NoVectors { model } => write!(
                f,
                "searching by words only, as this collection has no vectors; make them with `askance model use {model}`"
            ),
            Self::EncoderMissing { name } => write!(
                f,
                "searching by words only: this collection's vectors were made by {name}, which is not on this computer; \
                 add it with `askance model add`, or choose another with `askance model use`"
            ),
            Self::Unreadable { failed } => unreadable(f, failed),
            Self::StillFailing { files } => write!(
                f,
                "{files} {} failed before and did not change; `askance status` names the reasons",
                if *files == 1 { "file" } else { "files" }
            ),
            Self::EmptyCollection { collection } => write!(
                f,
                "the collection {} is empty; fill it with `askance index PATH`, or search a folder with `--in PATH`",
                collection.display()
            ),
            Self::RootsGone { roots } => write!(
                f,
                "not there, or empty: {}; what was indexed of it stays until it returns or `askance remove` forgets it",
                list(roots)
            ),
            Self::OtherEncoder { wanted, found } => write!(
                f,
                "the settings ask for the encoder {wanted}, and the collection {}; run `askance model use {wanted}`",
                found.as_ref().map_or_else(|| "has no vectors".to_owned(), |name| format!("was encoded by {name}"))
            ),
            Self::NotInCollection { path } => {
                write!(f, "{} is not in the collection; `askance status` names its folders", path.display())
            }
            Self::Unjudged { run, queries } => write!(
                f,
                "{}: {queries} queries without judgements were left out; check that `--qrels` belongs to this run",
                run.display()
            ),
            Self::Engine(text) => f.write_str(text),
        }
    }
}

/// Paths in one line.
pub fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}

fn unreadable(f: &mut fmt::Formatter<'_>, failed: &[FileFailure]) -> fmt::Result {
    let one = if failed.len() == 1 { "file" } else { "files" };
    write!(f, "{} {one} could not be read", failed.len())?;
    for (i, failure) in failed.iter().take(NAMED).enumerate() {
        let mark = if i == 0 { ": " } else { "; " };
        write!(f, "{mark}{} ({})", failure.path.display(), failure.reason)?;
    }
    match failed.len() > NAMED {
        true => write!(
            f,
            "; and {} more, see `askance status`",
            failed.len() - NAMED
        ),
        false => Ok(()),
    }
}

/// Each warning's text, for `--json`.
pub fn texts(warnings: &[Warning]) -> Vec<String> {
    warnings.iter().map(Warning::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(n: usize) -> Warning {
        let failure = |i| FileFailure {
            path: format!("f{i}.pdf").into(),
            reason: "not a PDF".into(),
        };
        Warning::Unreadable {
            failed: (0..n).map(failure).collect(),
        }
    }

    #[test]
    fn the_first_few_files_are_named() {
        assert_eq!(
            failures(1).to_string(),
            "1 file could not be read: f0.pdf (not a PDF)"
        );
        assert_eq!(
            failures(5).to_string(),
            "5 files could not be read: f0.pdf (not a PDF); f1.pdf (not a PDF); f2.pdf (not a PDF); and 2 more, see \
             `askance status`"
        );
    }

    #[test]
    fn every_lack_names_a_command() {
        let lacks = [
            Warning::NoEncoder,
            Warning::NoVectors { model: "m".into() },
            Warning::EncoderMissing { name: "m".into() },
            Warning::StillFailing { files: 2 },
            Warning::EmptyCollection {
                collection: "/c".into(),
            },
            Warning::NotInCollection { path: "/p".into() },
            Warning::RootsGone {
                roots: vec!["/r".into()],
            },
            Warning::OtherEncoder {
                wanted: "m".into(),
                found: None,
            },
        ];
        for lack in lacks {
            assert!(lack.to_string().contains("`askance "), "{lack}");
        }
    }
}
