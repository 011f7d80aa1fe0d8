//! WebAssembly: four lanes; with `relaxed-simd` multiplication and addition are one instruction.

use std::arch::wasm32::*;

use super::bytes::Dots;
use super::lanes::Lanes;

#[derive(Clone, Copy)]
pub struct F32x4(v128);

impl Lanes for F32x4 {
    const N: usize = 4;
    type Half = f32;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(f32x4_splat(value))
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for it; `v128.load` takes any alignment.
        Self(unsafe { v128_load(from.cast()) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { v128_store(to.cast(), self.0) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(f32x4_add(self.0, other.0))
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(f32x4_sub(self.0, other.0))
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(f32x4_mul(self.0, other.0))
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(f32x4_div(self.0, other.0))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(f32x4_sqrt(self.0))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // One instruction on x86, where `f32x4.max` with its rules for NaN and zeros is seven.
        Self(f32x4_pmax(self.0, other.0))
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(f32x4_pmin(self.0, other.0))
    }
    #[cfg(target_feature = "relaxed-simd")]
    #[inline(always)]
    fn mul_add(self, factor: Self, sum: Self) -> Self {
        Self(f32x4_relaxed_madd(self.0, factor.0, sum.0))
    }
    #[cfg(not(target_feature = "relaxed-simd"))]
    #[inline(always)]
    fn mul_add(self, factor: Self, sum: Self) -> Self {
        Self(f32x4_add(f32x4_mul(self.0, factor.0), sum.0))
    }
    #[inline(always)]
    fn if_greater(self, other: Self, yes: Self, no: Self) -> Self {
        Self(v128_bitselect(yes.0, no.0, f32x4_gt(self.0, other.0)))
    }
}

/// Four sums, each in two parts, which are added when all products are in: products of sixteen bits come in pairs.
///
/// `relaxed-simd` has one instruction for all sixteen products, which takes a fifth less time. V8's baseline compiler gets
/// it wrong in some versions (11.3, that of Node 20: sums begin anew at every step until the optimising compiler takes
/// over), and no answer at all is better than a wrong one.
#[derive(Clone, Copy)]
pub struct I32x4([v128; 2]);

// SAFETY of the loads: the caller vouches for them, and they take any alignment.
impl Dots for I32x4 {
    const N: usize = 4;
    type Activations = [v128; 2];
    type Weights = [v128; 2];

    #[inline(always)]
    fn zero() -> Self {
        Self([i32x4_splat(0); 2])
    }
    #[inline(always)]
    unsafe fn activations(from: *const u8) -> [v128; 2] {
        unsafe { [u16x8_load_extend_u8x8(from), u16x8_load_extend_u8x8(from.add(8))] }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> [v128; 2] {
        unsafe { [i16x8_load_extend_i8x8(from), i16x8_load_extend_i8x8(from.add(8))] }
    }
    #[inline(always)]
    fn add_products(self, activations: [v128; 2], weights: [v128; 2]) -> Self {
        Self(std::array::from_fn(|i| i32x4_add(self.0[i], i32x4_dot_i16x8(activations[i], weights[i]))))
    }
    #[inline(always)]
    fn total(self) -> i32 {
        let sums = i32x4_add(self.0[0], self.0[1]);
        let pairs = i32x4_add(sums, i32x4_shuffle::<2, 3, 0, 1>(sums, sums));
        i32x4_extract_lane::<0>(pairs) + i32x4_extract_lane::<1>(pairs)
    }
}
