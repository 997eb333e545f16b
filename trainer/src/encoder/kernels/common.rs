//! What do several kernels compute alike?

use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// The sum of a vector's numbers.
#[cube]
pub(super) fn across<N: Size>(x: Vector<f32, N>) -> f32 {
    let mut sum = x.extract(0usize);
    #[unroll]
    for i in 1..N::value() {
        sum += x.extract(i);
    }
    sum
}

/// The sum of `value` over all units of the cube, the same bits in each. `shared` has a number for each unit.
#[cube]
pub(super) fn total(value: f32, shared: &mut Shared<[f32]>, #[comptime] units: usize) -> f32 {
    shared[UNIT_POS as usize] = value;
    sync_cube();
    let mut sum = 0.0f32;
    for i in 0..units {
        sum += shared[i];
    }
    sync_cube();
    sum
}

/// A number that looks random and depends on nothing but `seed` and `index` (MurmurHash3's finaliser, twice).
#[cube]
pub(super) fn chance(seed: u32, index: u32) -> u32 {
    let mut x = (index ^ seed) * 2654435769u32;
    x ^= x >> 16u32;
    x *= 2246822507u32;
    x ^= x >> 13u32;
    x = (x + seed) * 3266489909u32;
    x ^= x >> 16u32;
    x *= 2246822507u32;
    x ^ (x >> 15u32)
}

/// `x` with the numbers that chance drops set to 0 and the others times `keep`. `index` is that of the first number.
#[cube]
pub(super) fn dropped<N: Size>(
    x: Vector<f32, N>,
    index: u32,
    seed: u32,
    threshold: u32,
    keep: f32,
) -> Vector<f32, N> {
    let mut out = x;
    #[unroll]
    for i in 0..N::value() {
        let kept = chance(seed, index + i as u32) >= threshold;
        out.insert(i, select(kept, x.extract(i) * keep, 0.0f32));
    }
    out
}
