//! What arithmetic does a layer consist of, and how does each CPU do it?
//!
//! `scalar` is the specification. `lanes` holds the loops that the compiler vectorises, `level` compiles them for each
//! instruction set and picks one. `tile` holds the only hand-written instructions: sums of products in registers;
//! `packed` (linear layers) and `attention` are built on it and exist where AVX-512 does.

mod lanes;
pub(crate) mod level;
pub(crate) mod lines;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "a specification is run by tests alone")
)]
pub(crate) mod scalar;

#[cfg(target_arch = "x86_64")]
pub(crate) mod attention;
#[cfg(target_arch = "x86_64")]
pub(crate) mod packed;
#[cfg(target_arch = "x86_64")]
pub(crate) mod peak;
#[cfg(target_arch = "x86_64")]
mod quantize;
#[cfg(target_arch = "x86_64")]
mod tile;

#[cfg(test)]
pub(crate) mod allocations;
#[cfg(test)]
mod tests;
