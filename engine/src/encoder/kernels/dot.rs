//! Which numbers can the tiles of this CPU multiply, and by which instructions?

use super::level::Level;
use super::{quantize, tile};

/// The numbers a layer multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dot {
    /// f32 × f32.
    F32,
    /// bf16 × bf16, summed in f32 (AVX512-BF16).
    Bf16,
    /// u8 × i8, summed in i32 (AVX512-VNNI, AVX2 in 16 bits, FEAT_DotProd).
    Int8,
}

impl Dot {
    /// The widest instructions of this CPU that there is a tile for.
    pub(crate) fn widest(self) -> Option<Level> {
        let mut narrow_to_wide = self.levels();
        narrow_to_wide.next_back()
    }

    /// All of this CPU's that there is a tile for, narrowest first.
    pub(crate) fn levels(self) -> impl DoubleEndedIterator<Item = Level> {
        let runs_on = move |level: &Level| level.is_available() && self.has_tile(*level);
        Level::ALL.iter().copied().filter(runs_on)
    }

    #[cfg(target_arch = "x86_64")]
    fn has_tile(self, level: Level) -> bool {
        match (self, level) {
            (_, Level::Base) | (Self::Bf16, Level::Avx2) => false,
            (Self::F32, _) | (Self::Int8, Level::Avx2) => true,
            (Self::Bf16, Level::Avx512) => is_x86_feature_detected!("avx512bf16"),
            (Self::Int8, Level::Avx512) => is_x86_feature_detected!("avx512vnni"),
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn has_tile(self, _: Level) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => false,
            Self::Int8 => std::arch::is_aarch64_feature_detected!("dotprod"),
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn has_tile(self, _: Level) -> bool {
        false
    }

    /// Numbers in a word of 32 bits, as the tiles of `level` take them.
    pub(crate) fn per_word(self, level: Level) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
            Self::Int8 => quantize::per_word(level),
        }
    }
}

/// Most tokens of a tile of `level`.
pub(crate) fn most_rows(level: Level) -> usize {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => tile::avx512::MR,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => tile::avx2::MR,
        #[cfg(target_arch = "aarch64")]
        Level::Base => tile::neon::MR,
        #[cfg(not(target_arch = "aarch64"))]
        Level::Base => 1,
    }
}

/// Tokens of a tile, so that all tiles are about equally full: with tiles of 14, 20 tokens are 10 and 10, not 14 and 6.
pub(crate) fn even_share(tokens: usize, most: usize) -> usize {
    tokens.div_ceil(tokens.div_ceil(most).max(1)).max(1)
}
