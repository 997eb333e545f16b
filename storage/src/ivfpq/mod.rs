//! Which vectors are nearest, without looking at all of them?
//!
//! An inverted file over product codes. Vectors are gathered in many small lists; a query reads only
//! the lists that look best, scores their codes, 4 bits a number, with byte permutations, and scores the few
//! best again from the embedding matrix on disk. The exact search it stands in for, and its oracle, is
//! [`crate::flat`].
//!
//! How it works, in the order of a search:
//!
//! 1. The query is turned by a learned matrix R into fewer coordinates (`model`): principal
//!    components, then an OPQ rotation that suits the codes.
//! 2. Every list is a centroid, itself kept as a code of 4-bit numbers and read with the same kernel as the
//!    vectors; `gain` and `bias` correct its score for the centroid's length and the list's spread.
//! 3. A vector stands in two lists: the nearest, and one whose residual points elsewhere (SOAR; Sun
//!    et al. 2023), so that a query which misses the one finds the other.
//! 4. Its code is that of its residual from the *decoded* centroid: the routing score of a list is the
//!    exact start of its vectors' scores, and no centroid is kept as numbers.
//! 5. Only candidates above the running bar leave the scan, which ends with the first wave of lists that holds none; the
//!    best are scored exactly.
//!
//! The file is never edited. Rows added since are a tail that is searched exactly, dead rows are those
//! not in the `keep` set of a search, and [`fold`] writes a new file with the tail folded in and the dead
//! gone. The index measures its own recall ([`recall`]) and so can be asked for a recall instead of a
//! number of lists.
//!
//! Not for a few thousand vectors: there the exact search is as fast, and exact.

mod ask;
mod assign;
mod audit;
mod batch;
mod build;
mod codebook;
mod encode;
mod fold;
mod gather;
mod kmeans;
pub(crate) mod layout;
mod linear;
mod model;
mod near;
mod packing;
mod pick;
mod place;
mod probe;
pub mod recall;
mod rng;
mod score_aware;
mod search;
mod settle;
mod source;
mod stream;
mod train;
mod view;
mod writer;

pub use audit::Audit;
pub use build::{BuildParams, build};
pub use fold::fold;
pub use recall::Point;
pub use search::{Answer, Index, Mode, SearchParams};

pub use crate::kernels::scan::Width;

#[cfg(test)]
mod tests;
