//! How are the products of a few tokens with a panel of outputs summed up in registers?
//!
//! Three kinds of number, one way of summing. A *word* is 32 bits of neighbouring inputs of one token: one f32, two bf16,
//! four 8-bit integers or, where no instruction multiplies those, two of 16 bits that hold them. A panel holds [`NR`]
//! outputs; its step s is the s-th word of each output. A tile adds, for M tokens and all steps, `dot(word of the token,
//! word of the output)` into M × NR sums that stay in registers. Int8 leaves the registers once in a group of inputs,
//! because each group of a token's numbers has a grid of its own.
//!
//! One module an instruction set, all with the same functions: `f32`, `int8` and, on AVX-512, `bf16`.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;

use super::scalar::Grid;

/// Outputs of a panel.
pub(crate) const NR: usize = 32;

/// Most tokens of a tile of any instruction set.
pub(crate) const MOST_ROWS: usize = 14;

/// Where the sums of a tile go: row i begins at `i * stride`.
pub(crate) struct Rows<'a> {
    pub(crate) to: &'a mut [f32],
    pub(crate) stride: usize,
}

impl Rows<'_> {
    /// Panics unless M rows of NR numbers fit.
    fn assert_room<const M: usize>(&self) {
        const { assert!(0 < M && M <= MOST_ROWS) };
        assert!(self.to.len() >= (M - 1) * self.stride + NR);
    }
}

/// What an int8 tile knows of its tokens and its panel besides the words.
#[derive(Clone, Copy)]
pub(crate) struct Grids<'a> {
    /// Of each group of each token: (M, groups).
    pub(crate) tokens: &'a [Grid],
    /// Scale of the weights of each group of each output: (groups, NR).
    pub(crate) scales: &'a [f32],
    /// scale · Σ q of each group of each output: (groups, NR).
    pub(crate) totals: &'a [f32],
}

impl Grids<'_> {
    /// Panics unless there are grids for M tokens and scales for a panel in `groups` groups.
    fn assert_room<const M: usize>(&self, groups: usize) {
        assert!(self.tokens.len() >= M * groups);
        assert!(self.scales.len() >= groups * NR && self.totals.len() >= groups * NR);
    }
}

/// Panics unless M tokens of `stride` words hold what a panel of `steps` steps asks for.
fn assert_tokens<const M: usize>(tokens: &[u32], stride: usize, steps: usize) {
    assert!(steps <= stride && tokens.len() >= (M - 1) * stride + steps);
}

/// Runs `$tile` for a number of tokens known at run time.
macro_rules! by_rows {
    ($rows:expr, $tile:ident $arguments:tt, $($m:literal)*) => {
        match $rows {
            $($m => $tile::<$m> $arguments,)*
            other => unreachable!("no tile has {other} tokens"),
        }
    };
}
use by_rows;
