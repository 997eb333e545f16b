//! How does attention run without its scores ever being stored?
//!
//! Rabe and Staats 2021, Dao et al. 2022: a running maximum and sum stand in for the softmax over all keys, and the way
//! back computes every score again. Texts lie one after the other, without padding: a cube takes one head and up to
//! `size` tokens of one text, one a unit; the other side of the product passes through shared memory in tiles.
//! Rows of `qkv` are queries, keys and values side by side, (T, 3 H). A tile is four numbers: the text's first token,
//! the tokens that have a row here, the tokens that they look at (0 for padding), and the first token of the tile.

use burn_cubecl::cubecl;
use cubecl::prelude::*;

use super::common::{across, chance};

/// Scores of one token are told apart up to this many keys when chance drops them.
const KEYS: u32 = 1024;

/// The product of two vectors of `depth` parts, the second in shared memory.
#[cube]
fn dot<N: Size>(
    a: &Array<Vector<f32, N>>,
    b: &Shared<[Vector<f32, N>]>,
    at: usize,
    #[comptime] depth: usize,
) -> f32 {
    let mut sum = a[0usize] * b[at];
    #[unroll]
    for d in 1..depth {
        sum += a[d] * b[at + d];
    }
    across::<N>(sum)
}

/// 1 / (1 − rate) if chance keeps this probability, else 0.
#[cube]
fn share(
    row: usize,
    head: usize,
    key: usize,
    seed: u32,
    threshold: u32,
    keep: f32,
    #[comptime] heads: usize,
) -> f32 {
    let index = (row * heads + head) as u32 * KEYS + key as u32;
    select(chance(seed, index) >= threshold, keep, 0.0f32)
}

/// Context (T, H) and for each token and head the logarithm of its softmax's denominator, (T, heads).
#[cube(launch)]
pub(super) fn attend<F: Float, N: Size>(
    qkv: &[Vector<F, N>],
    weights: &[Vector<f32, N>],
    tiles: &[u32],
    context: &mut [Vector<F, N>],
    log_sum: &mut [f32],
    query_at: u32,
    key_at: u32,
    value_at: u32,
    scale: f32,
    seed: u32,
    threshold: u32,
    keep: f32,
    #[comptime] heads: usize,
    #[comptime] depth: usize,
    #[comptime] size: usize,
    #[comptime] drops: bool,
) {
    let tile = CUBE_POS_X as usize * 4;
    let head = CUBE_POS_Y as usize;
    let first = tiles[tile] as usize;
    let rows = tiles[tile + 1] as usize;
    let keys = tiles[tile + 2] as usize;
    let unit = UNIT_POS as usize;
    let within = tiles[tile + 3] as usize + unit;
    let row = first + within;
    let width = comptime!(heads * depth);
    let column = head * depth;
    let mut query = Array::<Vector<f32, N>>::new(depth);
    let mut sum = Array::<Vector<f32, N>>::new(depth);
    #[unroll]
    for d in 0..depth {
        query[d] = Vector::new(0.0f32);
        sum[d] = Vector::new(0.0f32);
    }
    if within < rows {
        #[unroll]
        for d in 0..depth {
            let q = Vector::<f32, N>::cast_from(qkv[row * 3 * width + column + d]);
            query[d] = (q + weights[query_at as usize + column + d]) * Vector::new(scale);
        }
    }
    let mut shared_keys = Shared::<[Vector<f32, N>]>::new_slice(size * depth);
    let mut shared_values = Shared::<[Vector<f32, N>]>::new_slice(size * depth);
    let mut highest = f32::new(-1.0e30f32);
    let mut mass = 0.0f32;
    let mut from = 0usize;
    while from < keys {
        if from + unit < keys {
            let at = (first + from + unit) * 3 * width + column;
            #[unroll]
            for d in 0..depth {
                shared_keys[unit * depth + d] = Vector::<f32, N>::cast_from(qkv[at + width + d])
                    + weights[key_at as usize + column + d];
                shared_values[unit * depth + d] =
                    Vector::<f32, N>::cast_from(qkv[at + 2 * width + d])
                        + weights[value_at as usize + column + d];
            }
        }
        sync_cube();
        let mut count = keys - from;
        if count > size {
            count = size;
        }
        for j in 0..count {
            let score = dot::<N>(&query, &shared_keys, j * depth, depth);
            if score > highest {
                let shrink = (highest - score).exp();
                highest = score;
                mass *= shrink;
                #[unroll]
                for d in 0..depth {
                    sum[d] *= Vector::new(shrink);
                }
            }
            let p = (score - highest).exp();
            mass += p;
            let mut kept = p;
            if drops {
                kept *= share(row, head, from + j, seed, threshold, keep, heads);
            }
            #[unroll]
            for d in 0..depth {
                sum[d] += shared_values[j * depth + d] * Vector::new(kept);
            }
        }
        sync_cube();
        from += size;
    }
    if within < rows {
        let mut rate = 0.0f32;
        let mut log = 0.0f32;
        if mass > 0.0f32 {
            rate = 1.0f32 / mass;
            log = highest + mass.ln();
        }
        #[unroll]
        for d in 0..depth {
            context[row * width + column + d] = Vector::cast_from(sum[d] * Vector::new(rate));
        }
        log_sum[row * heads + head] = log;
    }
}

/// Backward to the queries, which lie in the first third of `d_qkv`'s rows. `inner` (T, heads) becomes the product of
/// each context with its gradient, which the keys' side needs.
#[cube(launch)]
pub(super) fn attend_backward_queries<F: Float, N: Size>(
    qkv: &[Vector<F, N>],
    weights: &[Vector<f32, N>],
    tiles: &[u32],
    context: &[Vector<F, N>],
    d_context: &[Vector<F, N>],
    log_sum: &[f32],
    d_qkv: &mut [Vector<F, N>],
    inner: &mut [f32],
    query_at: u32,
    key_at: u32,
    value_at: u32,
    scale: f32,
    seed: u32,
    threshold: u32,
    keep: f32,
    #[comptime] heads: usize,
    #[comptime] depth: usize,
    #[comptime] size: usize,
    #[comptime] drops: bool,
) {
    let tile = CUBE_POS_X as usize * 4;
    let head = CUBE_POS_Y as usize;
    let first = tiles[tile] as usize;
    let rows = tiles[tile + 1] as usize;
    let keys = tiles[tile + 2] as usize;
    let unit = UNIT_POS as usize;
    let within = tiles[tile + 3] as usize + unit;
    let row = first + within;
    let width = comptime!(heads * depth);
    let column = head * depth;
    let mut query = Array::<Vector<f32, N>>::new(depth);
    let mut arriving = Array::<Vector<f32, N>>::new(depth);
    let mut sum = Array::<Vector<f32, N>>::new(depth);
    #[unroll]
    for d in 0..depth {
        query[d] = Vector::new(0.0f32);
        arriving[d] = Vector::new(0.0f32);
        sum[d] = Vector::new(0.0f32);
    }
    let mut own_log = 0.0f32;
    let mut own_inner = 0.0f32;
    if within < rows {
        let mut product = Vector::<f32, N>::new(0.0f32);
        #[unroll]
        for d in 0..depth {
            let q = Vector::<f32, N>::cast_from(qkv[row * 3 * width + column + d]);
            query[d] = (q + weights[query_at as usize + column + d]) * Vector::new(scale);
            arriving[d] = Vector::cast_from(d_context[row * width + column + d]);
            product += arriving[d] * Vector::cast_from(context[row * width + column + d]);
        }
        own_inner = across::<N>(product);
        own_log = log_sum[row * heads + head];
        inner[row * heads + head] = own_inner;
    }
    let mut shared_keys = Shared::<[Vector<f32, N>]>::new_slice(size * depth);
    let mut shared_values = Shared::<[Vector<f32, N>]>::new_slice(size * depth);
    let mut from = 0usize;
    while from < keys {
        if from + unit < keys {
            let at = (first + from + unit) * 3 * width + column;
            #[unroll]
            for d in 0..depth {
                shared_keys[unit * depth + d] = Vector::<f32, N>::cast_from(qkv[at + width + d])
                    + weights[key_at as usize + column + d];
                shared_values[unit * depth + d] =
                    Vector::<f32, N>::cast_from(qkv[at + 2 * width + d])
                        + weights[value_at as usize + column + d];
            }
        }
        sync_cube();
        let mut count = keys - from;
        if count > size {
            count = size;
        }
        for j in 0..count {
            let p = (dot::<N>(&query, &shared_keys, j * depth, depth) - own_log).exp();
            let mut d_p = dot::<N>(&arriving, &shared_values, j * depth, depth);
            if drops {
                d_p *= share(row, head, from + j, seed, threshold, keep, heads);
            }
            let d_score = p * (d_p - own_inner);
            #[unroll]
            for d in 0..depth {
                sum[d] += shared_keys[j * depth + d] * Vector::new(d_score);
            }
        }
        sync_cube();
        from += size;
    }
    if within < rows {
        #[unroll]
        for d in 0..depth {
            d_qkv[row * 3 * width + column + d] = Vector::cast_from(sum[d] * Vector::new(scale));
        }
    }
}

/// Backward to the keys and values, the other two thirds of `d_qkv`'s rows.
#[cube(launch)]
pub(super) fn attend_backward_keys<F: Float, N: Size>(
    qkv: &[Vector<F, N>],
    weights: &[Vector<f32, N>],
    tiles: &[u32],
    d_context: &[Vector<F, N>],
    log_sum: &[f32],
    inner: &[f32],
    d_qkv: &mut [Vector<F, N>],
    query_at: u32,
    key_at: u32,
    value_at: u32,
    scale: f32,
    seed: u32,
    threshold: u32,
    keep: f32,
    #[comptime] heads: usize,
    #[comptime] depth: usize,
    #[comptime] size: usize,
    #[comptime] drops: bool,
) {
    let tile = CUBE_POS_X as usize * 4;
    let head = CUBE_POS_Y as usize;
    let first = tiles[tile] as usize;
    let rows = tiles[tile + 1] as usize;
    let queries = tiles[tile + 2] as usize;
    let unit = UNIT_POS as usize;
    let within = tiles[tile + 3] as usize + unit;
    let row = first + within;
    let width = comptime!(heads * depth);
    let column = head * depth;
    let mut key = Array::<Vector<f32, N>>::new(depth);
    let mut value = Array::<Vector<f32, N>>::new(depth);
    let mut key_sum = Array::<Vector<f32, N>>::new(depth);
    let mut value_sum = Array::<Vector<f32, N>>::new(depth);
    #[unroll]
    for d in 0..depth {
        key[d] = Vector::new(0.0f32);
        value[d] = Vector::new(0.0f32);
        key_sum[d] = Vector::new(0.0f32);
        value_sum[d] = Vector::new(0.0f32);
    }
    if within < rows {
        let at = row * 3 * width + column;
        #[unroll]
        for d in 0..depth {
            key[d] = Vector::<f32, N>::cast_from(qkv[at + width + d])
                + weights[key_at as usize + column + d];
            value[d] = Vector::<f32, N>::cast_from(qkv[at + 2 * width + d])
                + weights[value_at as usize + column + d];
        }
    }
    let mut shared_queries = Shared::<[Vector<f32, N>]>::new_slice(size * depth);
    let mut shared_arriving = Shared::<[Vector<f32, N>]>::new_slice(size * depth);
    let mut shared_log = Shared::<[f32]>::new_slice(size);
    let mut shared_inner = Shared::<[f32]>::new_slice(size);
    let mut from = 0usize;
    while from < queries {
        if from + unit < queries {
            let other = first + from + unit;
            #[unroll]
            for d in 0..depth {
                let q = Vector::<f32, N>::cast_from(qkv[other * 3 * width + column + d]);
                shared_queries[unit * depth + d] =
                    (q + weights[query_at as usize + column + d]) * Vector::new(scale);
                shared_arriving[unit * depth + d] =
                    Vector::cast_from(d_context[other * width + column + d]);
            }
            shared_log[unit] = log_sum[other * heads + head];
            shared_inner[unit] = inner[other * heads + head];
        }
        sync_cube();
        let mut count = queries - from;
        if count > size {
            count = size;
        }
        for j in 0..count {
            let p = (dot::<N>(&key, &shared_queries, j * depth, depth) - shared_log[j]).exp();
            let mut d_p = dot::<N>(&value, &shared_arriving, j * depth, depth);
            let mut kept = p;
            if drops {
                let rate = share(first + from + j, head, within, seed, threshold, keep, heads);
                kept *= rate;
                d_p *= rate;
            }
            let d_score = p * (d_p - shared_inner[j]);
            #[unroll]
            for d in 0..depth {
                value_sum[d] += shared_arriving[j * depth + d] * Vector::new(kept);
                key_sum[d] += shared_queries[j * depth + d] * Vector::new(d_score);
            }
        }
        sync_cube();
        from += size;
    }
    if within < rows {
        let at = row * 3 * width + column;
        #[unroll]
        for d in 0..depth {
            d_qkv[at + width + d] = Vector::cast_from(key_sum[d]);
            d_qkv[at + 2 * width + d] = Vector::cast_from(value_sum[d]);
        }
    }
}
