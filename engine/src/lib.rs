//! Text in, hits out: files become passages, passages become hits.
//!
//! Pure over `storage`; knows no burn, no HTTP, and never prints.
//! The modules stand in the order the data flows.
//!
//! # Index a folder and search it
//!
//! ```
//! use engine::Engine;
//! use engine::request::{IndexRequest, ReadOptions, SearchRequest};
//! use storage::Task;
//! # let dir = tempfile::tempdir()?;
//! # let (collection, notes) = (dir.path().join("collection"), dir.path().join("notes"));
//! # std::fs::create_dir(&notes)?;
//! # std::fs::write(notes.join("boiler.md"), "# Boiler\n\nThe boiler is serviced in May.\n")?;
//!
//! let engine = Engine::open(&collection)?;
//! let request = IndexRequest { paths: vec![notes], options: ReadOptions::default(), encoder: None };
//! let report = engine.index(&request, Task::silent())?;
//! assert_eq!((report.added, report.failed.len()), (1, 0));
//!
//! let found = engine.search(&SearchRequest::new("when is the boiler serviced"))?;
//! let hit = &found.hits[0];
//! assert_eq!((hit.title.as_str(), hit.line), ("Boiler", 1));
//! assert!(hit.snippet.text.contains("serviced in May"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Indexing again reads only what changed; [`Engine::update`] looks only at the files it is told of. Long work takes a
//! [`storage::Task`]: a callback for progress and a flag that stops it at a safe point.
//!
//! # Filter, and read what was found
//!
//! ```
//! # use engine::Engine;
//! # use engine::request::{IndexRequest, ReadOptions};
//! # use storage::Task;
//! use engine::request::{Filter, Mode, SearchRequest};
//! # let dir = tempfile::tempdir()?;
//! # let notes = dir.path().join("notes");
//! # std::fs::create_dir(&notes)?;
//! # std::fs::write(notes.join("tide.md"), "# Tides\n\nSpring tides follow the new moon.\n")?;
//! # std::fs::write(notes.join("tide.txt"), "Neap tides are weak.\n")?;
//! # let engine = Engine::open(&dir.path().join("collection"))?;
//! # let request = IndexRequest { paths: vec![notes], options: ReadOptions::default(), encoder: None };
//! # engine.index(&request, Task::silent())?;
//!
//! let mut request = SearchRequest::new("tides -neap");
//! request.mode = Mode::Bm25;
//! request.filter = Filter { extensions: vec!["md".into()], paths: vec!["notes/**".into()], ..Filter::default() };
//! let found = engine.search(&request)?;
//! assert_eq!((found.hits.len(), found.eligible), (1, 1));
//!
//! let hit = &found.hits[0];
//! let whole = engine.document(&hit.path, 0..usize::MAX)?.expect("it was just found");
//! assert!(whole.text().ends_with("Spring tides follow the new moon."));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Search by meaning
//!
//! An encoder is a folder in Hugging Face layout. The collection remembers which one made its vectors and takes no other.
//!
//! ```
//! # use engine::Engine;
//! # use engine::request::{IndexRequest, ReadOptions};
//! # use storage::Task;
//! use engine::encoder::{LoadOptions, Role, load};
//! use engine::request::{Mode, SearchRequest};
//! # let model = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/encoder/static");
//! # let dir = tempfile::tempdir()?;
//! # let notes = dir.path().join("notes");
//! # std::fs::create_dir(&notes)?;
//! # std::fs::write(notes.join("desk.txt"), "Set the desk to elbow height.\n")?;
//!
//! let encoder = load(&model, &LoadOptions::default())?;
//! let vectors = encoder.encode(&["elbow height"], Role::Query, Task::silent())?;
//! assert_eq!(vectors.values.len(), encoder.identity().dimension);
//!
//! let engine = Engine::open(&dir.path().join("collection"))?;
//! engine.set_encoder(encoder.clone())?;
//! let request = IndexRequest { paths: vec![notes], options: ReadOptions::default(), encoder: Some(encoder) };
//! engine.index(&request, Task::silent())?;
//! let mut question = SearchRequest::new("elbow height");
//! question.mode = Mode::Dense;
//! let found = engine.search(&question)?;
//! assert_eq!((found.hits.len(), found.dense_search.as_deref()), (1, Some("exact")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Score a data set with known answers
//!
//! ```
//! use engine::eval::Metric;
//! use engine::eval::runner::{EvalRequest, evaluate};
//! use engine::request::{DEFAULT_TARGET_RECALL, Fusion, Mode, VectorSearch};
//! use storage::Task;
//! # let beir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/beir");
//! # let dir = tempfile::tempdir()?;
//!
//! let request = EvalRequest {
//!     beir,
//!     split: "test".into(),
//!     mode: Mode::Bm25,
//!     fusion: Fusion::Chosen,
//!     encoder: None,
//!     vectors: VectorSearch::Exact,
//!     target_recall: DEFAULT_TARGET_RECALL,
//!     scratch: dir.path().to_owned(),
//! };
//! let report = evaluate(&request, Task::silent())?;
//! assert!(report.mean(Metric::Ndcg(10)) > 0.5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// What is asked, what comes back, what goes wrong.
pub mod error;
pub mod report;
pub mod request;
pub mod settings;

// Files to passages.
pub mod ingest;

// Passages to postings and vectors.
pub mod bm25;
pub mod encoder;
mod index;

// Which encoders there are to choose from.
pub mod models;

// A query to hits, and what lies around them.
pub mod browse;
mod collection;
mod compact;
mod doctor;
pub mod fuse;
mod guard;
mod nearest;
pub mod reading;
mod search;
mod similar;
pub mod snippet;
mod threads;
mod update;

// Data sets and scores.
pub mod dataset;
pub mod eval;

pub use collection::Engine;
pub use error::EngineError;
pub use index::lists::INDEX_FROM;
