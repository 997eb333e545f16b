//! Which passages answer this query?
//!
//! Filters first, then both legs side by side, then fusion over candidates cut at one fixed depth (`join`), then the hits
//! that are shown (`answer`) with their excerpts (`excerpts`).

use std::sync::Arc;
use std::time::Instant;

use roaring::RoaringBitmap;
use storage::flat::FlatHits;
use storage::{PassageId, PassageSet, Task};

use crate::bm25::{Evaluation, LegHits, ParsedQuery};
use crate::collection::{Engine, Open};
use crate::encoder::{Encoder, Role};
use crate::error::EngineError;
use crate::fuse::{self, Fused, Moments};
use crate::guard::guarded;
use crate::nearest::Nearest;
use crate::report::SearchResponse;
use crate::request::{Mode, SearchRequest};

mod answer;
mod excerpts;
mod join;

/// One query's candidates in order, with what each leg said.
pub(crate) struct Ranking<'o> {
    pub(crate) order: Vec<Fused>,
    mode: Mode,
    query: ParsedQuery,
    bm25: Option<Bm25Leg<'o>>,
    dense: Option<DenseLeg>,
    dense_weight: Option<f32>,
    eligible: u64,
    timings: Vec<(&'static str, f64)>,
    warnings: Vec<String>,
}

struct Bm25Leg<'o> {
    evaluation: Evaluation<'o>,
    hits: LegHits,
}

struct DenseLeg {
    encoder: Arc<dyn Encoder>,
    vector: Vec<f32>,
    hits: FlatHits,
    /// "exact", or which part of the index was read.
    how: String,
    warning: Option<String>,
}

impl Bm25Leg<'_> {
    fn moments(&self) -> Moments {
        Moments {
            mean: self.hits.mean,
            deviation: self.hits.deviation,
        }
    }
}

impl DenseLeg {
    fn moments(&self) -> Moments {
        Moments {
            mean: self.hits.mean as f32,
            deviation: self.hits.deviation as f32,
        }
    }
}

impl Engine {
    /// Answers one search over the generation that is open; [`Engine::refresh`] moves on to a newer one.
    ///
    /// # Errors
    /// A bad filter, a request beyond its limits, dense mode without vectors, or damaged files. An empty query finds
    /// nothing.
    pub fn search(&self, request: &SearchRequest) -> Result<SearchResponse, EngineError> {
        request.check()?;
        let snapshot = self.snapshot();
        let Some(open) = &snapshot.open else {
            return self.search_nothing(request);
        };
        guarded(self.dir(), || {
            rank(open, self.encoder(), request)?.respond(open, request.limit)
        })
    }

    /// An empty collection answers every query with nothing, and still says so in the mode that was asked for.
    fn search_nothing(&self, request: &SearchRequest) -> Result<SearchResponse, EngineError> {
        if request.mode == Mode::Dense {
            return Err(EngineError::NoVectors);
        }
        let warnings =
            vec!["the collection is empty; add files with `askance index PATH`".to_owned()];
        Ok(SearchResponse {
            mode: Mode::Bm25,
            warnings,
            ..SearchResponse::default()
        })
    }
}

/// What a search starts from beside its words: a passage to find more like.
#[derive(Default)]
pub(crate) struct Like {
    /// The passage's row, in place of the query's vector.
    pub(crate) vector: Option<Vec<f32>>,
    /// Passages that are no answer.
    pub(crate) without: Vec<PassageId>,
}

/// Ranks the passages of `open` for `request`; each leg's list is cut at [`fuse::DEPTH`].
pub(crate) fn rank<'o>(
    open: &'o Open,
    encoder: Option<Arc<dyn Encoder>>,
    request: &SearchRequest,
) -> Result<Ranking<'o>, EngineError> {
    rank_like(open, encoder, request, Like::default())
}

/// The same, starting from a passage.
pub(crate) fn rank_like<'o>(
    open: &'o Open,
    encoder: Option<Arc<dyn Encoder>>,
    request: &SearchRequest,
    like: Like,
) -> Result<Ranking<'o>, EngineError> {
    let mut warnings = Vec::new();
    let query = parse(request);
    request.check_clauses(query.clauses.len())?;
    let (mode, encoder) = resolve_mode(open, encoder, request.mode, &mut warnings)?;
    let started = Instant::now();
    let mut allowed = allowed(open, &query, request)?;
    if !like.without.is_empty() {
        let mut rest = allowed.unwrap_or_else(|| open.index.live().clone());
        like.without.iter().for_each(|id| {
            rest.remove(id.0);
        });
        allowed = Some(rest);
    }
    let filtered = milliseconds(started);
    let kept: Option<PassageSet> = allowed
        .as_ref()
        .map(|allowed| allowed.iter().map(PassageId).collect());
    let keep = kept.as_ref().unwrap_or(&open.live);
    let (bm25, dense) = rayon::join(
        || {
            (mode != Mode::Dense)
                .then(|| timed(|| bm25_leg(open, &query, allowed.as_ref())))
                .transpose()
        },
        || {
            encoder
                .map(|encoder| {
                    timed(|| dense_leg(open, encoder, &query, like.vector, keep, request))
                })
                .transpose()
        },
    );
    let ((bm25, bm25_ms), (dense, dense_ms)) = (untimed(bm25?), untimed(dense?));
    let started = Instant::now();
    let (order, dense_weight) = join::legs(open, &bm25, &dense, request.fusion);
    let timings = vec![
        ("filter", filtered),
        ("bm25", bm25_ms),
        ("dense", dense_ms),
        ("fuse", milliseconds(started)),
    ];
    warnings.extend(dense.as_ref().and_then(|leg| leg.warning.clone()));
    let eligible = keep.len() as u64;
    Ok(Ranking {
        order,
        mode,
        query,
        bm25,
        dense,
        dense_weight,
        eligible,
        timings,
        warnings,
    })
}

pub(crate) fn parse(request: &SearchRequest) -> ParsedQuery {
    if request.literal {
        ParsedQuery::words(&request.query, request.fuzzy)
    } else {
        ParsedQuery::parse(&request.query, request.fuzzy)
    }
}

/// The mode that can run, and the encoder if it has a dense leg.
fn resolve_mode(
    open: &Open,
    encoder: Option<Arc<dyn Encoder>>,
    asked: Mode,
    warnings: &mut Vec<String>,
) -> Result<(Mode, Option<Arc<dyn Encoder>>), EngineError> {
    let stamp = open
        .generation
        .manifest
        .encoder
        .as_ref()
        .filter(|_| open.vectors.is_some());
    // A collection that stays open may be given another encoder by another process.
    let encoder =
        encoder.filter(|encoder| stamp.is_none_or(|stamp| stamp.hash == encoder.identity().hash));
    match (asked, stamp, encoder) {
        (Mode::Bm25, _, _) => Ok((Mode::Bm25, None)),
        (mode, Some(_), Some(encoder)) => Ok((mode, Some(encoder))),
        (Mode::Dense, None, _) => Err(EngineError::NoVectors),
        (Mode::Dense, Some(stamp), None) => Err(EngineError::EncoderNeeded {
            name: stamp.name.clone(),
        }),
        (Mode::Hybrid, Some(stamp), None) => {
            let name = &stamp.name;
            warnings.push(format!(
                "searched by words only: the encoder {name} of this collection is not loaded"
            ));
            Ok((Mode::Bm25, None))
        }
        (Mode::Hybrid, None, _) => {
            let advice = "add an encoder with `askance model add DIR` to search by meaning too";
            warnings.push(format!("searched by words only: {advice}"));
            Ok((Mode::Bm25, None))
        }
    }
}

/// Passages that may be hits; `None` is all that are live.
fn allowed(
    open: &Open,
    query: &ParsedQuery,
    request: &SearchRequest,
) -> Result<Option<RoaringBitmap>, EngineError> {
    let filter = open
        .index
        .eligible(&request.filter)
        .map_err(|error| EngineError::Filter(error.to_string()))?;
    let constraint = open.index.constraint(query)?;
    let both = match (filter, constraint) {
        (Some(a), Some(b)) => a & b,
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => return Ok(None),
    };
    Ok(Some(both & open.index.live()))
}

fn bm25_leg<'o>(
    open: &'o Open,
    query: &ParsedQuery,
    allowed: Option<&RoaringBitmap>,
) -> Result<Bm25Leg<'o>, EngineError> {
    let evaluation = open.index.evaluate(query)?;
    let hits = evaluation.hits(allowed, fuse::DEPTH);
    Ok(Bm25Leg { evaluation, hits })
}

fn dense_leg(
    open: &Open,
    encoder: Arc<dyn Encoder>,
    query: &ParsedQuery,
    vector: Option<Vec<f32>>,
    keep: &PassageSet,
    request: &SearchRequest,
) -> Result<DenseLeg, EngineError> {
    let text = query.positive_text();
    let Some(vectors) = open.vectors.as_ref().filter(|_| !text.is_empty()) else {
        let hits = FlatHits {
            hits: Vec::new(),
            mean: 0.0,
            deviation: 0.0,
            scanned: 0,
        };
        return Ok(DenseLeg {
            encoder,
            vector: Vec::new(),
            hits,
            how: "exact".to_owned(),
            warning: None,
        });
    };
    let vector = match vector {
        Some(vector) => vector,
        None => {
            encoder
                .encode(&[&text], Role::Query, Task::silent())?
                .values
        }
    };
    let Nearest { hits, how, warning } = vectors.nearest(&vector, keep, request)?;
    Ok(DenseLeg {
        encoder,
        vector,
        hits,
        how,
        warning,
    })
}

fn milliseconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}

/// What `work` gives, with the milliseconds it took.
fn timed<T>(work: impl FnOnce() -> Result<T, EngineError>) -> Result<(T, f64), EngineError> {
    let started = Instant::now();
    Ok((work()?, milliseconds(started)))
}

fn untimed<T>(timed: Option<(T, f64)>) -> (Option<T>, f64) {
    timed.map_or((None, 0.0), |(value, ms)| (Some(value), ms))
}
