//! Which instructions does this CPU offer, and what is computed with them?
//!
//! The level is found once per process. A [`Kernels`] value exists only for a level the CPU has,
//! which is what makes its methods safe to call. [`Level::Scalar`] is the specification: every
//! other level is tested against it.

#![allow(unsafe_code)]

use std::sync::OnceLock;

use half::f16;

mod dot;
pub mod lut;
pub mod scan;
#[cfg(target_arch = "x86_64")]
mod scan_avx2;
#[cfg(target_arch = "x86_64")]
mod scan_avx512;
#[cfg(target_arch = "aarch64")]
mod scan_neon;
pub mod topk;
pub mod turn;

/// A set of instructions some kernel is written for, slowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Plain Rust.
    Scalar,
    /// ARM Advanced SIMD, 128 bits.
    Neon,
    /// AVX2 with FMA and F16C, 256 bits.
    Avx2,
    /// AVX-512 F, BW and VL, 512 bits.
    Avx512,
}

impl Level {
    /// Does this CPU have the instructions?
    pub fn is_available(self) -> bool {
        match self {
            Level::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                Level::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
            }
            // Part of every 64-bit ARM.
            Level::Neon => cfg!(target_arch = "aarch64"),
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// The fastest level of this CPU, found once.
    pub fn best() -> Level {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| {
            available_levels()
                .into_iter()
                .max()
                .unwrap_or(Level::Scalar)
        })
    }
}

/// Every level this CPU has, [`Level::Scalar`] first. Tests run each.
pub fn available_levels() -> Vec<Level> {
    [Level::Scalar, Level::Neon, Level::Avx2, Level::Avx512]
        .into_iter()
        .filter(|level| level.is_available())
        .collect()
}

/// # Safety
/// To call one, the CPU must have the level it was written for and the slices equal lengths.
type Binary<T> = unsafe fn(&[f32], &[T]) -> f32;

/// The vector kernels of one level.
#[derive(Debug, Clone, Copy)]
pub struct Kernels {
    level: Level,
    dot: Binary<f32>,
    dot_half: Binary<f16>,
    squared_l2: Binary<f32>,
    squared_l2_half: Binary<f16>,
}

impl Kernels {
    /// The kernels of the fastest level.
    pub fn best() -> Self {
        static BEST: OnceLock<Kernels> = OnceLock::new();
        *BEST.get_or_init(|| Self::at(Level::best()).unwrap_or(dot::SCALAR))
    }

    /// The kernels of `level`, if this CPU has it.
    pub fn at(level: Level) -> Option<Self> {
        let kernels = match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => dot::avx2::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => dot::avx512::KERNELS,
            #[cfg(target_arch = "aarch64")]
            Level::Neon => dot::neon::KERNELS,
            _ => dot::SCALAR,
        };
        level.is_available().then_some(kernels)
    }

    /// The level these kernels are written for.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Σ aᵢ bᵢ.
    ///
    /// # Panics
    /// When the lengths differ.
    #[inline]
    pub fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len(), "vectors of one length");
        // SAFETY: `self` exists only for a level this CPU has; the lengths are equal.
        unsafe { (self.dot)(a, b) }
    }

    /// Σ aᵢ bᵢ with b widened to f32: bit for bit [`Kernels::dot`] of the widened row.
    ///
    /// # Panics
    /// When the lengths differ.
    #[inline]
    pub fn dot_half(&self, a: &[f32], b: &[f16]) -> f32 {
        assert_eq!(a.len(), b.len(), "vectors of one length");
        // SAFETY: as in `dot`.
        unsafe { (self.dot_half)(a, b) }
    }

    /// Σ (aᵢ - bᵢ)².
    ///
    /// # Panics
    /// When the lengths differ.
    #[inline]
    pub fn squared_l2(&self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len(), "vectors of one length");
        // SAFETY: as in `dot`.
        unsafe { (self.squared_l2)(a, b) }
    }

    /// Σ (aᵢ - bᵢ)² with b widened to f32: bit for bit [`Kernels::squared_l2`] of the widened row.
    ///
    /// # Panics
    /// When the lengths differ.
    #[inline]
    pub fn squared_l2_half(&self, a: &[f32], b: &[f16]) -> f32 {
        assert_eq!(a.len(), b.len(), "vectors of one length");
        // SAFETY: as in `dot`.
        unsafe { (self.squared_l2_half)(a, b) }
    }
}

#[cfg(test)]
mod scan_tests;
#[cfg(test)]
mod tests;
