//! What arithmetic does a layer consist of, and how does each CPU do it?
//!
//! `scalar` is the specification. `lanes` holds the loops that the compiler vectorises, `level` compiles them for each
//! instruction set and picks one. `tile` holds hand-written instructions, for AVX-512, AVX2 and NEON: sums of products in
//! registers; `packed` (linear layers) and `attention` are built on it, and `dot` says what this CPU has.

pub(crate) mod attention;
pub(crate) mod dot;
mod grid;
mod lanes;
pub(crate) mod level;
pub(crate) mod lines;
pub(crate) mod packed;
#[cfg(target_arch = "x86_64")]
pub(crate) mod peak;
mod quantize;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "a specification is run by tests alone")
)]
pub(crate) mod scalar;
mod tile;
#[cfg(target_arch = "x86_64")]
mod weigh;

#[cfg(test)]
pub(crate) mod allocations;
#[cfg(test)]
mod tests;
