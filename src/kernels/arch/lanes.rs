//! One vector type per instruction set, and the one place that picks among them.
//!
//! An algorithm is written once, generic over [`Lanes`], as a [`Kernel`]; [`dispatch`] runs it with the widest vectors
//! that the processor has. In WebAssembly the choice is made when the module is built, there is one module a variant.

use std::ops::Range;

/// A register of `N` floats.
///
/// The methods compile to single instructions, so they may run only where the processor has the instruction set. That
/// holds inside [`dispatch`], which is the only place that names an implementor.
pub trait Lanes: Copy {
    /// Floats in a register.
    const N: usize;

    /// A narrower register for what is left at the end of a row; one lane is its own half.
    type Half: Lanes;

    fn splat(value: f32) -> Self;

    /// # Safety
    /// `N` floats can be read at `from`; no alignment is asked for.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// `N` floats can be written at `to`; no alignment is asked for.
    unsafe fn store(self, to: *mut f32);

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn sqrt(self) -> Self;
    /// The larger of each pair; which of two zeros is not said, nor what a NaN does.
    fn max(self, other: Self) -> Self;
    /// The smaller of each pair; as for [`max`](Self::max).
    fn min(self, other: Self) -> Self;
    /// `self * factor + sum`, rounded once or twice.
    fn mul_add(self, factor: Self, sum: Self) -> Self;
    /// `self > other ? yes : no`, lane by lane.
    fn if_greater(self, other: Self, yes: Self, no: Self) -> Self;

    /// The first `count` lanes, at most `N`.
    ///
    /// # Safety
    /// `count` floats can be written at `to`.
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        let mut lanes = [0.0; 16];
        // SAFETY: no register has more than 16 lanes; the caller vouches for `to`.
        unsafe {
            self.store(lanes.as_mut_ptr());
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
        }
    }
}

/// The lanes of a tile of registers, in memory.
///
/// A tile that is indexed by a loop which the compiler does not unroll lives in memory as a whole, and then every addition
/// to it is stored: that halved the rate of a matrix product. What comes after the sums is done with this copy.
#[inline(always)]
pub fn spilled<L: Lanes, const R: usize, const V: usize>(tile: [[L; V]; R]) -> [[[f32; 16]; V]; R] {
    let mut lanes = [[[0.0; 16]; V]; R];
    for r in 0..R {
        for v in 0..V {
            // SAFETY: no register has more than 16 lanes.
            unsafe { tile[r][v].store(lanes[r][v].as_mut_ptr()) }
        }
    }
    lanes
}

/// An algorithm, written for any width.
pub trait Kernel {
    type Output;

    /// Must be `#[inline(always)]`, as must be all that it calls with `L`: only so does it get the instruction set.
    fn run<L: Lanes>(self) -> Self::Output;
}

/// Something done to a register of channels at a time.
pub trait Channels {
    /// Does it to channels `at .. at + L::N`.
    ///
    /// # Safety
    /// Those channels exist.
    unsafe fn at<L: Lanes>(&mut self, at: usize);
}

/// Runs `body` over a range of channels, in registers as wide as what is left allows.
///
/// # Safety
/// `body` may be run for any of the channels.
#[inline(always)]
pub unsafe fn over_channels<L: Lanes>(channels: Range<usize>, body: &mut impl Channels) {
    let Range { start: mut at, end } = channels;
    // SAFETY: every register ends at or before `end`.
    unsafe {
        while at + L::N <= end {
            body.at::<L>(at);
            at += L::N;
        }
        while <L::Half as Lanes>::N > 1 && at + <L::Half as Lanes>::N <= end {
            body.at::<L::Half>(at);
            at += <L::Half as Lanes>::N;
        }
        while <<L::Half as Lanes>::Half as Lanes>::N > 1 && at + <<L::Half as Lanes>::Half as Lanes>::N <= end {
            body.at::<<L::Half as Lanes>::Half>(at);
            at += <<L::Half as Lanes>::Half as Lanes>::N;
        }
        while at < end {
            body.at::<f32>(at);
            at += 1;
        }
    }
}

/// Runs `body` over all of `channels` channels with the widest vectors there are.
///
/// # Safety
/// `body` may be run for any of the channels.
pub unsafe fn each_channel(channels: usize, body: impl Channels) {
    struct Each<C> {
        channels: usize,
        body: C,
    }
    impl<C: Channels> Kernel for Each<C> {
        type Output = ();
        #[inline(always)]
        fn run<L: Lanes>(mut self) {
            // SAFETY: the caller of `each_channel` vouches for all channels.
            unsafe { over_channels::<L>(0..self.channels, &mut self.body) }
        }
    }
    dispatch(Each { channels, body });
}

/// One float: what is left over, and processors without a leaf of their own.
impl Lanes for f32 {
    const N: usize = 1;
    type Half = f32;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        value
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for it.
        unsafe { from.read() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for it.
        unsafe { to.write(self) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self + other
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self - other
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self * other
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self / other
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if self < other { self } else { other }
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, sum: Self) -> Self {
        // Not `f32::mul_add`, which without an instruction for it is a slow call.
        self * factor + sum
    }
    #[inline(always)]
    fn if_greater(self, other: Self, yes: Self, no: Self) -> Self {
        if self > other { yes } else { no }
    }
}

/// The instruction sets with a leaf of their own, best last.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Isa {
    Scalar,
    Avx2,
    Avx512,
}

#[cfg(target_arch = "x86_64")]
impl Isa {
    /// The best that this processor has; `ROENTGEN_ISA` (`scalar`, `avx2`) asks for less, for tests and comparisons.
    pub fn best() -> Self {
        static BEST: std::sync::OnceLock<Isa> = std::sync::OnceLock::new();
        *BEST.get_or_init(|| {
            let has = if is_x86_feature_detected!("avx512f") {
                Self::Avx512
            } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                Self::Avx2
            } else {
                Self::Scalar
            };
            let wanted = match std::env::var("ROENTGEN_ISA").as_deref() {
                Ok("scalar") => Self::Scalar,
                Ok("avx2") => Self::Avx2,
                _ => Self::Avx512,
            };
            if wanted < has { wanted } else { has }
        })
    }
}

/// Runs `kernel` with the widest vectors there are.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    use super::x86::{F32x8, F32x16};

    #[target_feature(enable = "avx2,fma")]
    fn avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<F32x8>()
    }
    #[target_feature(enable = "avx512f,avx2,fma")]
    fn avx512<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<F32x16>()
    }
    match Isa::best() {
        Isa::Scalar => kernel.run::<f32>(),
        // SAFETY: `Isa::best` has seen that the processor can.
        Isa::Avx2 => unsafe { avx2(kernel) },
        // SAFETY: as above; every processor with AVX-512 has AVX2 and FMA.
        Isa::Avx512 => unsafe { avx512(kernel) },
    }
}

/// Runs `kernel` with the vectors this module was built for.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<super::wasm32::F32x4>()
}

/// Runs `kernel` a float at a time.
#[cfg(not(any(target_arch = "x86_64", all(target_arch = "wasm32", target_feature = "simd128"))))]
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<f32>()
}

/// Floats in the vectors that [`dispatch`] uses: what panels of packed weights are cut for.
pub fn width() -> usize {
    struct Width;
    impl Kernel for Width {
        type Output = usize;
        #[inline(always)]
        fn run<L: Lanes>(self) -> usize {
            L::N
        }
    }
    dispatch(Width)
}
