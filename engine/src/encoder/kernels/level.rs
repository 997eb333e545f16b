//! Which instruction set runs the loops of `lanes` on this CPU?
#![allow(unsafe_code)]

use super::lanes;
use super::scalar::Grid;

/// Instruction sets, narrowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// What every CPU of the architecture has: SSE2 on x86-64, NEON on aarch64.
    Base,
    /// AVX2 with FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// Fused multiply-add belongs to aarch64's base set; on x86-64 it would be a library call.
#[cfg(target_arch = "aarch64")]
type BaseArithmetic = lanes::Fused;
#[cfg(not(target_arch = "aarch64"))]
type BaseArithmetic = lanes::Separate;

impl Level {
    /// All of this architecture, narrowest first.
    pub(crate) const ALL: &[Self] = &[
        Self::Base,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
    ];

    /// Whether this CPU has it.
    pub(crate) fn is_available(self) -> bool {
        match self {
            Self::Base => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
        }
    }

    /// The levels this CPU has, narrowest first.
    #[cfg(test)]
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(|level| level.is_available())
    }

    /// The widest level this CPU has.
    pub(crate) fn best() -> Self {
        let widest = Self::ALL.iter().rev().copied().find(|l| l.is_available());
        widest.unwrap_or(Self::Base)
    }
}

/// Stamps out one dispatching function for each loop of `lanes`.
macro_rules! by_level {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name(level: Level, $($arg: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) $(-> $result)? {
                lanes::$name::<lanes::Fused>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
            fn avx512($($arg: $type),*) $(-> $result)? {
                lanes::$name::<lanes::Fused>($($arg),*)
            }
            match level {
                Level::Base => lanes::$name::<BaseArithmetic>($($arg),*),
                // SAFETY: `available` gives this level only on CPUs that have its instructions.
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    )*};
}

by_level! {
    /// [`super::scalar::gelu`] of every number.
    fn gelu(row: &mut [f32]);
    /// [`super::scalar::gelu_tanh`] of every number.
    fn gelu_tanh(row: &mut [f32]);
    /// [`super::scalar::layer_norm`] of each row of `hidden` + `update`.
    fn add_norm(hidden: &mut [f32], update: &[f32], gain: &[f32], bias: &[f32], eps: f32);
    /// [`super::scalar::softmax`].
    fn softmax(row: &mut [f32], scale: f32);
    /// [`super::scalar::quantize`] of the products.
    fn places(row: &[f32], factors: &[f32], out: &mut [u8]) -> Grid;
    /// `out` += Σ factor · row: the terms name rows of `table`, which are as long as `out`.
    fn add_rows_f32(table: &[f32], terms: &[(u32, f32)], out: &mut [f32]);
    /// As [`add_rows_f32`], of the bits of finite f16.
    fn add_rows_f16(table: &[u16], terms: &[(u32, f32)], out: &mut [f32]);
    /// As [`add_rows_f32`], of the bits of bf16.
    fn add_rows_bf16(table: &[u16], terms: &[(u32, f32)], out: &mut [f32]);
    /// As [`add_rows_f32`], of whole numbers.
    fn add_rows_i8(table: &[i8], terms: &[(u32, f32)], out: &mut [f32]);
    /// Divides by the Euclidean length, or by `least` if that is larger.
    fn normalize(row: &mut [f32], least: f32);
    /// Rounds to bf16, nearest even.
    fn to_bf16(row: &[f32], out: &mut [u16]);
}
