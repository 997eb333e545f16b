//! Which lists look best, and was this vector seen already?

use crate::kernels::Level;
use crate::kernels::lut;

/// The best lists that are probed first and best first, so that the bar rises early; the others follow in file order.
pub(super) const FIRST: usize = 16;

/// Lists after the first that are read in file order before it is asked whether reading on pays.
pub(super) const WAVE: usize = 32;

/// Numbers of the `nprobe` lists with the highest `routes` (ties by number): [`FIRST`] best first, then waves of [`WAVE`],
/// best wave first and ascending within. `nprobe` is 1 to the number of lists. `keys` is room to work in.
pub(super) fn pick(
    level: Level,
    routes: &[f32],
    nprobe: usize,
    keys: &mut Vec<u64>,
    picked: &mut Vec<u32>,
) {
    let bar = lowest_bar(level, routes, nprobe);
    picked.clear();
    lut::numbers_from(level, routes, bar, picked);
    let key = |&list: &u32| u64::from(descending(routes[list as usize])) << 32 | u64::from(list);
    keys.clear();
    keys.extend(picked.iter().map(key));
    if keys.len() > nprobe {
        keys.select_nth_unstable(nprobe - 1);
        keys.truncate(nprobe);
    }
    keys.sort_unstable();
    picked.clear();
    picked.extend(keys.iter().map(|&key| key as u32));
    let waves = picked.get_mut(FIRST..).unwrap_or_default();
    waves.chunks_mut(WAVE).for_each(<[u32]>::sort_unstable);
}

/// A number that is lower the higher the score, which is no NaN.
fn descending(score: f32) -> u32 {
    let bits = score.to_bits();
    // Negative floats order backwards by their bits, positive ones forwards.
    if bits >> 31 == 1 {
        bits
    } else {
        !bits & 0x7fff_ffff
    }
}

/// A score that at least `nprobe` routes reach, and few more: by halving the range of scores.
fn lowest_bar(level: Level, routes: &[f32], nprobe: usize) -> f32 {
    let (mut low, mut high) = lut::range(level, routes);
    let enough = nprobe + nprobe / 16;
    for _ in 0..16 {
        let middle = low.midpoint(high);
        let count = lut::count_from(level, routes, middle);
        if count >= nprobe {
            low = middle;
            if count <= enough {
                break;
            }
        } else {
            high = middle;
        }
    }
    low
}

/// A set of ids that is emptied often: open addressing in a table at most a quarter full.
#[derive(Debug, Default)]
pub(super) struct Seen {
    table: Vec<u64>,
}

impl Seen {
    const FREE: u64 = u64::MAX;

    /// Empties it and makes room for `count` ids.
    pub(super) fn clear(&mut self, count: usize) {
        self.table.clear();
        self.table
            .resize((4 * count + 4).next_power_of_two(), Self::FREE);
    }

    /// Adds `id`; was it new?
    pub(super) fn insert(&mut self, id: u32) -> bool {
        let mask = self.table.len() - 1;
        let mut at = (id.wrapping_mul(0x9e37_79b1) >> 7) as usize & mask;
        while self.table[at] != Self::FREE {
            if self.table[at] == u64::from(id) {
                return false;
            }
            at = (at + 1) & mask;
        }
        self.table[at] = id.into();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ivfpq::rng::Rng;

    #[test]
    fn the_best_lists_are_picked_wave_by_wave() {
        let mut rng = Rng::new(1, 50);
        for count in [1, 5, 16, 17, 100, 999] {
            let routes: Vec<f32> = (0..count)
                .map(|_| (rng.normal() * 8.0).round() / 8.0)
                .collect();
            let mut order: Vec<u32> = (0..count as u32).collect();
            order.sort_by(|&a, &b| {
                routes[b as usize]
                    .total_cmp(&routes[a as usize])
                    .then(a.cmp(&b))
            });
            for nprobe in [1, 3, 16, 40, 500, 999] {
                let nprobe = nprobe.min(count);
                let (mut keys, mut picked) = (Vec::new(), Vec::new());
                pick(Level::best(), &routes, nprobe, &mut keys, &mut picked);
                let (first, rest) = order[..nprobe].split_at(nprobe.min(FIRST));
                let mut expected = first.to_vec();
                for wave in rest.chunks(WAVE) {
                    let mut wave = wave.to_vec();
                    wave.sort_unstable();
                    expected.extend(wave);
                }
                // Minus nought and nought tie in one order and not in the other; rounding made neither negative.
                assert_eq!(picked, expected, "{count} {nprobe}");
            }
        }
    }
}
