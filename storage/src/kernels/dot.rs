//! How alike are two vectors?
//!
//! Sums of products and of squared differences. The loop is written once, over [`Lanes`]; each
//! level only says how to load, multiply and add. Four independent accumulators hide the latency of
//! the multiply-add; the tail is padded with zeros, which add nothing to either sum. The order of
//! additions depends on length and level alone, so that a level always gives the same bits.

use half::f16;

use super::{Kernels, Level};

/// The specification.
pub(super) const SCALAR: Kernels = Kernels {
    level: Level::Scalar,
    dot: |a, b| a.iter().zip(b).map(|(a, b)| a * b).sum(),
    dot_half: |a, b| a.iter().zip(b).map(|(a, b)| a * b.to_f32()).sum(),
    squared_l2: |a, b| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum(),
    squared_l2_half: |a, b| {
        a.iter()
            .zip(b)
            .map(|(a, b)| (a - b.to_f32()) * (a - b.to_f32()))
            .sum()
    },
};

/// One register of f32 numbers.
///
/// # Safety
/// Every method needs the CPU level of the implementing type; loads need `COUNT` readable numbers.
trait Lanes: Copy {
    /// Numbers a register holds.
    const COUNT: usize;
    unsafe fn zero() -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn load_half(from: *const f16) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    /// self · factor + addend.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
    unsafe fn sum(self) -> f32;
}

/// A number a row may be stored in.
trait Element: Copy + Default {
    /// # Safety
    /// As [`Lanes`].
    unsafe fn load<V: Lanes>(from: *const Self) -> V;
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const Self) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load(from) }
    }
}

impl Element for f16 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const Self) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_half(from) }
    }
}

/// What is summed over the coordinates.
trait Term {
    /// `sum` plus the terms of `a` and `b`.
    ///
    /// # Safety
    /// As [`Lanes`].
    unsafe fn add<V: Lanes>(sum: V, a: V, b: V) -> V;
}

struct Product;

impl Term for Product {
    #[inline(always)]
    unsafe fn add<V: Lanes>(sum: V, a: V, b: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { a.mul_add(b, sum) }
    }
}

struct SquaredDifference;

impl Term for SquaredDifference {
    #[inline(always)]
    unsafe fn add<V: Lanes>(sum: V, a: V, b: V) -> V {
        // SAFETY: the caller's promise.
        unsafe {
            let difference = a.sub(b);
            difference.mul_add(difference, sum)
        }
    }
}

/// Σ term(aᵢ, bᵢ).
///
/// # Safety
/// - the CPU has the level of `V`,
/// - `a` and `b` have equal lengths.
#[inline(always)]
unsafe fn reduce<V: Lanes, E: Element, T: Term>(a: &[f32], b: &[E]) -> f32 {
    const WIDEST: usize = 16;
    debug_assert!(a.len() == b.len() && V::COUNT <= WIDEST);
    let (n, a_start, b_start) = (a.len(), a.as_ptr(), b.as_ptr());
    let mut at = 0;
    // SAFETY: each load reads COUNT numbers from `at` (plus a multiple of COUNT) and the loop
    // conditions keep its end within n, the length of both slices; the tail is read from arrays
    // of WIDEST numbers.
    unsafe {
        let mut sums = [V::zero(); 4];
        while at + 4 * V::COUNT <= n {
            for (lane, sum) in sums.iter_mut().enumerate() {
                let at = at + lane * V::COUNT;
                *sum = T::add(*sum, V::load(a_start.add(at)), E::load(b_start.add(at)));
            }
            at += 4 * V::COUNT;
        }
        let mut sum = (sums[0].add(sums[1])).add(sums[2].add(sums[3]));
        while at + V::COUNT <= n {
            sum = T::add(sum, V::load(a_start.add(at)), E::load(b_start.add(at)));
            at += V::COUNT;
        }
        if at < n {
            let (mut a_tail, mut b_tail) = ([0.0; WIDEST], [E::default(); WIDEST]);
            a_tail[..n - at].copy_from_slice(&a[at..]);
            b_tail[..n - at].copy_from_slice(&b[at..]);
            sum = T::add(sum, V::load(a_tail.as_ptr()), E::load(b_tail.as_ptr()));
        }
        sum.sum()
    }
}

/// The four kernels of one level, compiled with its instructions.
macro_rules! kernels {
    ($level:expr, $lanes:ty, $features:literal) => {
        kernels!(@one dot, $features, $lanes, f32, super::Product);
        kernels!(@one dot_half, $features, $lanes, half::f16, super::Product);
        kernels!(@one squared_l2, $features, $lanes, f32, super::SquaredDifference);
        kernels!(@one squared_l2_half, $features, $lanes, half::f16, super::SquaredDifference);

        pub(in crate::kernels) const KERNELS: crate::kernels::Kernels = crate::kernels::Kernels {
            level: $level,
            dot,
            dot_half,
            squared_l2,
            squared_l2_half,
        };
    };
    (@one $name:ident, $features:literal, $lanes:ty, $element:ty, $term:ty) => {
        /// # Safety
        /// As [`super::reduce`].
        #[target_feature(enable = $features)]
        unsafe fn $name(a: &[f32], b: &[$element]) -> f32 {
            // SAFETY: the caller's promise.
            unsafe { super::reduce::<$lanes, $element, $term>(a, b) }
        }
    };
}

/// Implements [`Lanes`] for a register type from one expression per operation.
macro_rules! lanes {
    ($lanes:ty, $count:literal, $zero:expr, $load:expr, $load_half:expr, $add:expr, $sub:expr, $mul_add:expr, $sum:expr) => {
        // SAFETY (each block): the trait's contract is the intrinsics' contract.
        impl super::Lanes for $lanes {
            const COUNT: usize = $count;
            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the CPU has the level.
                unsafe { $zero() }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the CPU has the level and `from` has COUNT readable numbers.
                unsafe { $load(from) }
            }
            #[inline(always)]
            unsafe fn load_half(from: *const half::f16) -> Self {
                // SAFETY: the CPU has the level and `from` has COUNT readable numbers.
                unsafe { $load_half(from.cast()) }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the CPU has the level.
                unsafe { $add(self, other) }
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: the CPU has the level.
                unsafe { $sub(self, other) }
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
                // SAFETY: the CPU has the level.
                unsafe { $mul_add(self, factor, addend) }
            }
            #[inline(always)]
            unsafe fn sum(self) -> f32 {
                // SAFETY: the CPU has the level.
                unsafe { $sum(self) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2 {
    use std::arch::x86_64::*;

    lanes!(
        __m256,
        8,
        _mm256_setzero_ps,
        _mm256_loadu_ps,
        load_half,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_fmadd_ps,
        sum
    );
    kernels!(crate::kernels::Level::Avx2, __m256, "avx2,fma,f16c");

    /// # Safety
    /// F16C, and 16 readable bytes.
    #[inline(always)]
    unsafe fn load_half(from: *const __m128i) -> __m256 {
        // SAFETY: the caller's promise; the load needs no alignment.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from)) }
    }

    /// # Safety
    /// AVX.
    #[inline(always)]
    unsafe fn sum(x: __m256) -> f32 {
        // SAFETY: the caller's promise.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod avx512 {
    use std::arch::x86_64::*;

    lanes!(
        __m512,
        16,
        _mm512_setzero_ps,
        _mm512_loadu_ps,
        load_half,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_fmadd_ps,
        _mm512_reduce_add_ps
    );
    kernels!(
        crate::kernels::Level::Avx512,
        __m512,
        "avx512f,avx512bw,avx512vl"
    );

    /// # Safety
    /// AVX-512 F, and 32 readable bytes.
    #[inline(always)]
    unsafe fn load_half(from: *const __m256i) -> __m512 {
        // SAFETY: the caller's promise; the load needs no alignment.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from)) }
    }
}

#[cfg(target_arch = "aarch64")]
pub(super) mod neon {
    use std::arch::aarch64::*;

    lanes!(
        float32x4_t,
        4,
        zero,
        vld1q_f32,
        load_half,
        vaddq_f32,
        vsubq_f32,
        mul_add,
        vaddvq_f32
    );
    kernels!(crate::kernels::Level::Neon, float32x4_t, "neon");

    /// # Safety
    /// NEON.
    #[inline(always)]
    unsafe fn zero() -> float32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vdupq_n_f32(0.0) }
    }

    /// # Safety
    /// NEON.
    #[inline(always)]
    unsafe fn mul_add(a: float32x4_t, b: float32x4_t, addend: float32x4_t) -> float32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vfmaq_f32(addend, a, b) }
    }

    /// Widens by moving the 15 low bits up 13 places and multiplying by 2^112, the difference of the
    /// exponent biases: exact for every finite number, subnormal ones too.
    ///
    /// # Safety
    /// NEON, and 8 readable bytes holding finite numbers.
    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> float32x4_t {
        const TWO_TO_112: f32 = f32::from_bits((127 + 112) << 23);
        // SAFETY: the caller's promise.
        unsafe {
            let bits = vmovl_u16(vld1_u16(from));
            let sign = vshlq_n_u32::<16>(vandq_u32(bits, vdupq_n_u32(0x8000)));
            let rest = vshlq_n_u32::<13>(vandq_u32(bits, vdupq_n_u32(0x7fff)));
            let size = vmulq_n_f32(vreinterpretq_f32_u32(rest), TWO_TO_112);
            vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(size), sign))
        }
    }
}
