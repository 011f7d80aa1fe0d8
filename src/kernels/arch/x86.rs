//! x86-64: eight lanes with AVX2 and FMA, sixteen with AVX-512.

use std::arch::x86_64::*;

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
