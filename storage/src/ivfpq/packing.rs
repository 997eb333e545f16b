//! Where in a block of codes does which vector's number lie?
//!
//! `kernels::scan` has the layout; this is its slow side, used when codes are written and checked.

use crate::kernels::scan::{BLOCK, GROUP_CODE_BYTES, Width};

/// Bytes that a block has for codes of `m` numbers, whole groups.
pub(super) fn block_bytes(width: Width, m: usize) -> usize {
    m / width.group() * GROUP_CODE_BYTES
}

/// Puts the code of vector `at` of a list into its `blocks`; `codes` is one number a byte (m).
pub(super) fn put_code(width: Width, blocks: &mut [u8], at: usize, codes: &[u8]) {
    let start = at / BLOCK * block_bytes(width, codes.len());
    for (place, &code) in places(width, at % BLOCK).zip(codes) {
        blocks[start + place.byte] |= code << place.shift;
    }
}

/// The code of vector `at` of a list: [`put_code`] undone.
pub(super) fn get_code(width: Width, blocks: &[u8], at: usize, codes: &mut [u8]) {
    let start = at / BLOCK * block_bytes(width, codes.len());
    for (place, code) in places(width, at % BLOCK).zip(codes) {
        *code = blocks[start + place.byte] >> place.shift & (width.entries() - 1) as u8;
    }
}

/// Where in a block a number lies.
struct Place {
    byte: usize,
    shift: u32,
}

/// The places of the numbers of the vector in `lane`, without end.
fn places(width: Width, lane: usize) -> impl Iterator<Item = Place> {
    (0..).map(move |s| {
        let (group, within) = (s / width.group(), s % width.group());
        let (at, shift) = match width {
            Width::Four => (4 * lane + within % 4, if within < 4 { 0 } else { 4 }),
            Width::Eight => (BLOCK * within + lane, 0),
        };
        Place {
            byte: group * GROUP_CODE_BYTES + at,
            shift,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back_and_fill_their_blocks() {
        for (width, m) in [(Width::Four, 24), (Width::Eight, 12)] {
            let most = (width.entries() - 1) as u8;
            let code =
                |at: usize| -> Vec<u8> { (0..m).map(|s| (31 * at + 7 * s) as u8 & most).collect() };
            let mut blocks = vec![0; 3 * block_bytes(width, m)];
            (0..3 * BLOCK).for_each(|at| put_code(width, &mut blocks, at, &code(at)));
            let mut found = vec![0; m];
            for at in 0..3 * BLOCK {
                get_code(width, &blocks, at, &mut found);
                assert_eq!(found, code(at), "{width:?} {at}");
            }
            let full = vec![most; m];
            (0..3 * BLOCK).for_each(|at| put_code(width, &mut blocks, at, &full));
            assert!(blocks.iter().all(|&byte| byte == 255));
        }
    }
}
