//! Which passages answer this query?
//!
//! Filters first, then both legs side by side, then fusion over candidates cut at one fixed depth, then snippets for
//! the hits that are shown.

use std::sync::Arc;
use std::time::Instant;

use roaring::RoaringBitmap;
use storage::flat::FlatHits;
use storage::{PassageId, PassageSet, Task};

use crate::bm25::{Evaluation, LegHits, Matcher, ParsedQuery, StoredPassage};
use crate::collection::{Engine, Open};
use crate::encoder::{Encoder, Role};
use crate::error::EngineError;
use crate::fuse::weight::Evidence;
use crate::fuse::{self, Candidate, Fused, Moments};
use crate::guard::guarded;
use crate::nearest::Nearest;
use crate::reading::title_of;
use crate::report::{Explanation, Hit, LegScore, SearchResponse, Snippet};
use crate::request::{Fusion, Mode, SearchRequest};
use crate::snippet;

/// Characters of an excerpt.
const SNIPPET_CHARS: usize = 280;

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
    /// Inner product of each sentence's vector and the query's; nothing if the encoder fails, since an excerpt is not
    /// worth an answer.
    fn nearness(&self, sentences: &[&str]) -> Vec<f32> {
        let encoded = self
            .encoder
            .encode(sentences, Role::Passage, Task::silent());
        encoded.map_or_else(
            |_| Vec::new(),
            |rows| rows.rows().map(|row| product(row, &self.vector)).collect(),
        )
    }

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
    let (order, dense_weight) = fuse_legs(open, &bm25, &dense, request.fusion);
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

/// The order both legs give together, and the dense weight if they were weighted.
fn fuse_legs(
    open: &Open,
    bm25: &Option<Bm25Leg<'_>>,
    dense: &Option<DenseLeg>,
    fusion: Fusion,
) -> (Vec<Fused>, Option<f32>) {
    let alone = |hits: &[(PassageId, f32)]| {
        hits.iter()
            .map(|&(id, score)| Fused { id, score })
            .collect()
    };
    match (bm25, dense) {
        (None, None) => (Vec::new(), None),
        (Some(bm25), None) => (alone(&bm25.hits.hits), None),
        (None, Some(dense)) => (alone(&dense.hits.hits), None),
        (Some(bm25), Some(dense)) => fuse_both(open, bm25, dense, fusion),
    }
}

fn fuse_both(
    open: &Open,
    bm25: &Bm25Leg<'_>,
    dense: &DenseLeg,
    fusion: Fusion,
) -> (Vec<Fused>, Option<f32>) {
    let ids = |hits: &[(PassageId, f32)]| hits.iter().map(|hit| hit.0).collect::<Vec<_>>();
    let (words, meaning) = (ids(&bm25.hits.hits), ids(&dense.hits.hits));
    let weight = match fusion {
        Fusion::ReciprocalRank => return (fuse::reciprocal_rank(&words, &meaning), None),
        Fusion::Weighted(weight) => weight,
        Fusion::Chosen => choose_weight(bm25, dense),
    };
    let candidates = candidates(open, bm25, dense, &fuse::union(&words, &meaning));
    (
        fuse::weighted(&candidates, bm25.moments(), dense.moments(), weight),
        Some(weight),
    )
}

/// Both legs' scores of each passage that either found.
fn candidates(
    open: &Open,
    bm25: &Bm25Leg<'_>,
    dense: &DenseLeg,
    ids: &[PassageId],
) -> Vec<Candidate> {
    let words = bm25.evaluation.scores(ids);
    let score = |id| dot(open, &dense.vector, id).unwrap_or(dense.hits.mean as f32);
    ids.iter()
        .zip(words)
        .map(|(&id, bm25)| Candidate {
            id,
            bm25,
            dense: score(id),
        })
        .collect()
}

/// Inner product of the query and the passage's row.
fn dot(open: &Open, query: &[f32], id: PassageId) -> Option<f32> {
    Some(product(&open.vectors.as_ref()?.matrix.get(id)?, query))
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The dense weight for this query, by what both legs show of it.
fn choose_weight(bm25: &Bm25Leg<'_>, dense: &DenseLeg) -> f32 {
    let scores = |hits: &[(PassageId, f32)]| hits.iter().map(|hit| hit.1).collect::<Vec<f32>>();
    let (words, meaning) = (scores(&bm25.hits.hits), scores(&dense.hits.hits));
    let evidence = Evidence::of(
        dense.hits.scanned,
        (&words, bm25.moments()),
        (&meaning, dense.moments()),
    );
    match dense.encoder.identity().family.as_str() {
        "static" => evidence.dense_weight_of_static(),
        _ => evidence.dense_weight(),
    }
}

impl Ranking<'_> {
    /// How vectors were compared, if they were.
    pub(crate) fn dense_search(&self) -> Option<&str> {
        self.dense.as_ref().map(|leg| leg.how.as_str())
    }

    /// The first `limit` hits with snippets.
    pub(crate) fn respond(
        mut self,
        open: &Open,
        limit: usize,
    ) -> Result<SearchResponse, EngineError> {
        let started = Instant::now();
        let shown: Vec<Fused> = self.order.iter().take(limit).copied().collect();
        let matcher = open.index.matcher(&self.query)?;
        let hits = shown
            .iter()
            .enumerate()
            .map(|(index, fused)| self.hit(open, &matcher, index + 1, *fused));
        let hits = hits.collect::<Result<Vec<_>, _>>()?;
        self.timings.push(("snippets", milliseconds(started)));
        Ok(SearchResponse {
            hits,
            mode: self.mode,
            dense_search: self.dense_search().map(str::to_owned),
            encoder: self
                .dense
                .as_ref()
                .map(|leg| leg.encoder.identity().clone()),
            device: self
                .dense
                .as_ref()
                .map(|leg| leg.encoder.device().to_owned()),
            precision: self.dense.as_ref().and_then(|leg| leg.encoder.precision()),
            generation: open.generation.id.0,
            eligible: self.eligible,
            timings_ms: self.timings,
            warnings: self.warnings,
        })
    }

    fn hit(
        &self,
        open: &Open,
        matcher: &Matcher,
        rank: usize,
        fused: Fused,
    ) -> Result<Hit, EngineError> {
        let stored = open.index.passage(fused.id)?;
        let snippet = self.snippet(matcher, &stored);
        Ok(Hit {
            rank,
            score: fused.score,
            title: title_of(&stored),
            heading: stored.heading,
            line: stored.start.line,
            end_line: stored.end.line,
            page: stored.start.page,
            byte: stored.start.byte,
            passage: fused.id.0,
            snippet,
            explain: self.explain(open, fused.id),
            path: stored.path.into(),
        })
    }

    /// The words that matched, or, where none did, the sentence nearest to the query.
    fn snippet(&self, matcher: &Matcher, stored: &StoredPassage) -> Snippet {
        let by_words = |leg: &Bm25Leg<'_>| leg.evaluation.scores(&[stored.id])[0] > 0.0;
        match &self.dense {
            Some(dense) if !self.bm25.as_ref().is_some_and(by_words) => {
                let score = |sentences: &[&str]| dense.nearness(sentences);
                snippet::best_sentence(&stored.text, stored.language, matcher, SNIPPET_CHARS, score)
            }
            _ => snippet::snippet(&stored.text, stored.language, matcher, SNIPPET_CHARS),
        }
    }

    fn explain(&self, open: &Open, id: PassageId) -> Explanation {
        let rank = |hits: &[(PassageId, f32)]| {
            hits.iter()
                .position(|hit| hit.0 == id)
                .map(|index| index + 1)
        };
        let bm25 = self.bm25.as_ref().and_then(|leg| {
            let score = leg.evaluation.scores(&[id])[0];
            let standardised = leg.moments().standardise(score);
            (score > 0.0).then(|| LegScore {
                score,
                standardised,
                rank: rank(&leg.hits.hits),
            })
        });
        let dense = self.dense.as_ref().and_then(|leg| {
            let score = dot(open, &leg.vector, id)?;
            Some(LegScore {
                score,
                standardised: leg.moments().standardise(score),
                rank: rank(&leg.hits.hits),
            })
        });
        Explanation {
            bm25,
            dense,
            dense_weight: self.dense_weight,
        }
    }
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
