//! Which numbers does a seed stand for, on every machine and with any number of threads?

/// SplitMix64 (Steele, Lea, Flood 2014): each output is a hash of a counter.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    /// A stream of its own for each (seed, purpose).
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        let mut rng = Self(seed ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93));
        rng.next();
        rng
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0..n; n must not be 0. The bias, n / 2^64, does not matter here.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Uniform in 0..1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, from twelve uniforms: its tails end at 6, which suits noise.
    pub(super) fn normal(&mut self) -> f32 {
        ((0..12).map(|_| self.unit()).sum::<f64>() - 6.0) as f32
    }

    /// `count` of 0..n without repetition, ascending (all when `count` is n or more).
    pub(super) fn sample(&mut self, n: usize, count: usize) -> Vec<usize> {
        let mut taken = Vec::with_capacity(count.min(n));
        // Knuth's selection sampling (algorithm S): one pass, already sorted.
        for at in 0..n {
            let wanted = count.min(n) - taken.len();
            if wanted == 0 {
                break;
            }
            if self.below(n - at) < wanted {
                taken.push(at);
            }
        }
        taken
    }
}
