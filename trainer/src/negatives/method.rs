//! Which named recipe of negatives is this?

use serde::{Deserialize, Serialize};

use super::{Draw, Mixture, Part, Source};

/// The recipes of the paper (Xiong et al. 2021, table 1) and two that came after it. Each can be preceded by steps on BM25
/// negatives alone ([`Mixture::after_bm25`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Random passages of the corpus.
    Random,
    /// The other queries' positives of the same batch, nothing mined (NCE).
    Inbatch,
    /// Uniform over the best by BM25.
    Bm25,
    /// Half BM25, half random (Karpukhin et al. 2020).
    Dpr,
    /// Uniform over the nearest of the index in force, each by itself against its positive: the paper's own loss, which
    /// collapses where judgements are incomplete.
    AncePairwise,
    /// Uniform over the nearest of the index in force, with the in-batch negatives (STAR; Zhan et al. 2021).
    Ance,
    /// Those of the index that are about as near as the positive (Zhou et al. 2022), and in-batch.
    Simans,
}

impl Method {
    /// All of them, in the order people should read them.
    pub const ALL: [Self; 7] = [
        Self::Random,
        Self::Inbatch,
        Self::Bm25,
        Self::Dpr,
        Self::AncePairwise,
        Self::Ance,
        Self::Simans,
    ];

    /// As it is typed and logged.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Inbatch => "inbatch",
            Self::Bm25 => "bm25",
            Self::Dpr => "dpr",
            Self::AncePairwise => "ance-pairwise",
            Self::Ance => "ance",
            Self::Simans => "simans",
        }
    }

    /// Whether the loss also takes the other positives of the batch as negatives.
    pub fn in_batch(self) -> bool {
        matches!(self, Self::Inbatch | Self::Ance | Self::Simans)
    }

    /// The mixture of mined negatives. `scale` turns a cosine into a logit (1 where the loss takes inner products).
    pub fn mixture(self, scale: f32) -> Mixture {
        match self {
            Self::Random => Mixture::only(Source::Random, Draw::Uniform),
            Self::Inbatch => Mixture::default(),
            Self::Bm25 => Mixture::only(Source::Bm25, Draw::Uniform),
            Self::Dpr => Mixture {
                parts: [Source::Bm25, Source::Random]
                    .map(|source| Part::constant(source, Draw::Uniform, 0.5))
                    .into(),
            },
            Self::AncePairwise | Self::Ance => Mixture::only(Source::Ance, Draw::Uniform),
            Self::Simans => Mixture::only(Source::Ance, Draw::sim_ans(scale)),
        }
    }
}
