//! x86-64: eight lanes with AVX2 and FMA, sixteen with AVX-512; products of bytes with VNNI where there is one.

use std::arch::x86_64::*;

use super::bytes::Dots;
use super::lanes::Lanes;

/// Implements [`Lanes`]; every method is the one intrinsic named.
macro_rules! lanes {
    ($name:ident, $inner:ty, $n:literal, half $half:ty, $splat:ident $load:ident $store:ident $add:ident $sub:ident
     $mul:ident $div:ident $sqrt:ident $max:ident $min:ident $fma:ident $greater:ident) => {
        #[derive(Clone, Copy)]
        pub struct $name($inner);

        // SAFETY of every block below: see `Lanes`, the processor has the instruction set.
        impl Lanes for $name {
            const N: usize = $n;
            type Half = $half;

            #[inline(always)]
            fn splat(value: f32) -> Self {
                Self(unsafe { $splat(value) })
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                Self(unsafe { $load(from) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                Self(unsafe { $add(self.0, other.0) })
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                Self(unsafe { $sub(self.0, other.0) })
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                Self(unsafe { $mul(self.0, other.0) })
            }
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                Self(unsafe { $div(self.0, other.0) })
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                Self(unsafe { $sqrt(self.0) })
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                Self(unsafe { $max(self.0, other.0) })
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                Self(unsafe { $min(self.0, other.0) })
            }
            #[inline(always)]
            fn mul_add(self, factor: Self, sum: Self) -> Self {
                Self(unsafe { $fma(self.0, factor.0, sum.0) })
            }
            #[inline(always)]
            fn if_greater(self, other: Self, yes: Self, no: Self) -> Self {
                Self(unsafe { $greater(self.0, other.0, yes.0, no.0) })
            }
        }
    };
}

#[inline(always)]
unsafe fn greater4(a: __m128, b: __m128, yes: __m128, no: __m128) -> __m128 {
    unsafe { _mm_blendv_ps(no, yes, _mm_cmp_ps::<_CMP_GT_OQ>(a, b)) }
}

#[inline(always)]
unsafe fn greater8(a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
    unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) }
}

#[inline(always)]
unsafe fn greater16(a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
    unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), no, yes) }
}

lanes!(F32x4, __m128, 4, half f32, _mm_set1_ps _mm_loadu_ps _mm_storeu_ps _mm_add_ps _mm_sub_ps _mm_mul_ps _mm_div_ps
    _mm_sqrt_ps _mm_max_ps _mm_min_ps _mm_fmadd_ps greater4);
lanes!(F32x8, __m256, 8, half F32x4, _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_add_ps _mm256_sub_ps
    _mm256_mul_ps _mm256_div_ps _mm256_sqrt_ps _mm256_max_ps _mm256_min_ps _mm256_fmadd_ps greater8);
lanes!(F32x16, __m512, 16, half F32x8, _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_add_ps _mm512_sub_ps
    _mm512_mul_ps _mm512_div_ps _mm512_sqrt_ps _mm512_max_ps _mm512_min_ps _mm512_fmadd_ps greater16);

/// Implements [`Dots`]; `$products` is `sums + Σ activations · weights`.
macro_rules! dots {
    ($name:ident, $inner:ty, $n:literal, $zero:ident $load:ident $products:ident $total:ident) => {
        #[derive(Clone, Copy)]
        pub struct $name($inner);

        // SAFETY of every block below: see `Dots`, the processor has the instruction set.
        impl Dots for $name {
            const N: usize = $n;
            type Activations = $inner;
            type Weights = $inner;

            #[inline(always)]
            fn zero() -> Self {
                Self(unsafe { $zero() })
            }
            #[inline(always)]
            unsafe fn activations(from: *const u8) -> $inner {
                unsafe { $load(from.cast()) }
            }
            #[inline(always)]
            unsafe fn weights(from: *const i8) -> $inner {
                unsafe { $load(from.cast()) }
            }
            #[inline(always)]
            fn add_products(self, activations: $inner, weights: $inner) -> Self {
                Self(unsafe { $products(self.0, activations, weights) })
            }
            #[inline(always)]
            fn total(self) -> i32 {
                unsafe { $total(self.0) }
            }
        }
    };
}

/// Sums of two products in sixteen bits, then of two of those.
#[inline(always)]
unsafe fn products8(sums: __m256i, activations: __m256i, weights: __m256i) -> __m256i {
    unsafe {
        let pairs = _mm256_maddubs_epi16(activations, weights);
        _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    }
}

#[inline(always)]
unsafe fn total8(sums: __m256i) -> i32 {
    unsafe {
        let four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
        _mm_cvtsi128_si32(two) + _mm_extract_epi32::<1>(two)
    }
}

dots!(I32x8, __m256i, 8, _mm256_setzero_si256 _mm256_loadu_si256 products8 total8);
dots!(I32x8Vnni, __m256i, 8, _mm256_setzero_si256 _mm256_loadu_si256 _mm256_dpbusd_avx_epi32 total8);
dots!(I32x16Vnni, __m512i, 16, _mm512_setzero_si512 _mm512_loadu_si512 _mm512_dpbusd_epi32 _mm512_reduce_add_epi32);
