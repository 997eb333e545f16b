//! How do the inputs of a layer become 8-bit numbers, in the words that the tiles of this CPU multiply?

#[cfg(target_arch = "x86_64")]
mod avx512;

use super::level::{self, Level};
use super::scalar::Grid;

/// Numbers that share a grid.
pub(crate) const GROUP_INPUTS: usize = 128;

/// Numbers of 8 bits in a word of 32, as the tiles of `level` take them.
pub(crate) fn per_word(level: Level) -> usize {
    match level {
        Level::Base => 4,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => 2,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => 4,
    }
}

/// Writes `row` times `factors` as places on grids, each [`GROUP_INPUTS`] of them on a grid from their smallest to their
/// largest number (see [`super::scalar::quantize`]). The grids go to `grids`, one a group. `words` holds the row's
/// [`per_word`] numbers a word; what lies past the row's end keeps its bits.
pub(crate) fn quantize(
    level: Level,
    row: &[f32],
    factors: &[f32],
    words: &mut [u32],
    grids: &mut [Grid],
) {
    assert!(factors.len() == row.len() && words.len() * per_word(level) >= row.len());
    let groups = row.chunks(GROUP_INPUTS).zip(factors.chunks(GROUP_INPUTS));
    let words = words.chunks_mut(GROUP_INPUTS / per_word(level));
    for ((grid, words), (row, factors)) in grids.iter_mut().zip(words).zip(groups) {
        *grid = group(level, row, factors, words);
    }
}

/// One group: places as u8 with VNNI, in 16 bits each with AVX2, less 128 as i8 elsewhere.
fn group(level: Level, row: &[f32], factors: &[f32], words: &mut [u32]) -> Grid {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => {
            #[expect(unsafe_code, reason = "callers have the CPU of this level")]
            // SAFETY: levels are handed out on CPUs that have them.
            unsafe {
                avx512::places(row, factors, bytemuck::cast_slice_mut(words))
            }
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => {
            let mut bytes = [0; GROUP_INPUTS];
            let grid = level::places(level, row, factors, &mut bytes[..row.len()]);
            let pairs: &mut [u16] = bytemuck::cast_slice_mut(words);
            let places = pairs.iter_mut().zip(&bytes[..row.len()]);
            places.for_each(|(pair, byte)| *pair = u16::from(*byte));
            grid
        }
        Level::Base => {
            let bytes = &mut bytemuck::cast_slice_mut(words)[..row.len()];
            let Grid { low, step } = level::places(level, row, factors, bytes);
            bytes.iter_mut().for_each(|byte| *byte ^= 128);
            let low = low + 128.0 * step;
            Grid { low, step }
        }
    }
}
