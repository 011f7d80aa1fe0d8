//! One type of sums of byte products per instruction set, and the one place that picks among them.
//!
//! Activations have seven bits, `0 ..= 127`, and weights eight, signed. With the eighth bit of the activations unused
//! every instruction there is for such sums gives the same: `vpmaddubsw` cannot saturate (`2 · 127 · 128 < 2¹⁵`). So all
//! leaves agree to the bit.

/// Products that one sum may take: `2¹⁷ · 127 · 128 < 2³¹`.
pub const MOST_PRODUCTS: usize = 1 << 17;

/// Weights that are multiplied and summed in one step, and lie side by side for it.
pub const GROUP: usize = 4;

/// A register of `N` sums of products of bytes.
///
/// As for [`Lanes`], the methods may run only inside [`dispatch`].
pub trait Dots: Copy {
    /// Sums in a register; it takes `4 · N` products at once.
    const N: usize;

    /// `4 · N` activations, ready to be multiplied.
    type Activations: Copy;
    /// `4 · N` weights, ready to be multiplied.
    type Weights: Copy;

    fn zero() -> Self;

    /// # Safety
    /// `4 · N` bytes can be read at `from`; no alignment is asked for.
    unsafe fn activations(from: *const u8) -> Self::Activations;

    /// # Safety
    /// `4 · N` bytes can be read at `from`; no alignment is asked for.
    unsafe fn weights(from: *const i8) -> Self::Weights;

    /// To each sum its four products.
    fn add_products(self, activations: Self::Activations, weights: Self::Weights) -> Self;

    /// All sums together.
    fn total(self) -> i32;
}

/// An algorithm, written for any instruction set.
pub trait ByteKernel {
    type Output;

    /// Must be `#[inline(always)]`, as must be all that it calls with `D`: only so does it get the instruction set.
    fn run<D: Dots>(self) -> Self::Output;
}

/// One sum: processors without a leaf of their own.
impl Dots for i32 {
    const N: usize = 1;
    type Activations = [u8; 4];
    type Weights = [i8; 4];

    #[inline(always)]
    fn zero() -> Self {
        0
    }
    #[inline(always)]
    unsafe fn activations(from: *const u8) -> [u8; 4] {
        // SAFETY: the caller vouches for it.
        unsafe { from.cast::<[u8; 4]>().read() }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> [i8; 4] {
        // SAFETY: the caller vouches for it.
        unsafe { from.cast::<[i8; 4]>().read() }
    }
    #[inline(always)]
    fn add_products(self, activations: [u8; 4], weights: [i8; 4]) -> Self {
        activations.iter().zip(weights).fold(self, |sum, (a, w)| sum + i32::from(*a) * i32::from(w))
    }
    #[inline(always)]
    fn total(self) -> i32 {
        self
    }
}

/// The instruction sets with a leaf of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf {
    #[cfg(any(test, not(all(target_arch = "wasm32", target_feature = "simd128"))))]
    Scalar,
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Wasm,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 256 bits, encoded as AVX: client processors, and Zen from the fifth on.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Leaf {
    /// The best that this processor has, within what `ROENTGEN_ISA` asks for.
    #[cfg(target_arch = "x86_64")]
    pub fn best() -> Self {
        use super::lanes::Isa;
        match Isa::best() {
            Isa::Scalar => Self::Scalar,
            Isa::Avx512 if is_x86_feature_detected!("avx512vnni") => Self::Avx512Vnni,
            _ if is_x86_feature_detected!("avxvnni") => Self::AvxVnni,
            _ => Self::Avx2,
        }
    }

    /// The one that this module was built for.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    pub fn best() -> Self {
        Self::Wasm
    }

    /// The only one.
    #[cfg(not(any(target_arch = "x86_64", all(target_arch = "wasm32", target_feature = "simd128"))))]
    pub fn best() -> Self {
        Self::Scalar
    }

    /// All that this processor has, for tests.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            all.extend(avx2.then_some(Self::Avx2));
            all.extend(is_x86_feature_detected!("avxvnni").then_some(Self::AvxVnni));
            all.extend(is_x86_feature_detected!("avx512vnni").then_some(Self::Avx512Vnni));
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        all.push(Self::Wasm);
        all
    }
}

/// Runs `kernel` with the instructions of `leaf`, which must be one that this processor has.
#[inline]
pub fn dispatch<K: ByteKernel>(leaf: Leaf, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    use super::x86::{I32x8, I32x8Vnni, I32x16Vnni};

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2<K: ByteKernel>(kernel: K) -> K::Output {
        kernel.run::<I32x8>()
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avxvnni,avx2,fma")]
    fn avx_vnni<K: ByteKernel>(kernel: K) -> K::Output {
        kernel.run::<I32x8Vnni>()
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512vnni,avx512f,avx2,fma")]
    fn avx512_vnni<K: ByteKernel>(kernel: K) -> K::Output {
        kernel.run::<I32x16Vnni>()
    }
    match leaf {
        #[cfg(any(test, not(all(target_arch = "wasm32", target_feature = "simd128"))))]
        Leaf::Scalar => kernel.run::<i32>(),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Leaf::Wasm => kernel.run::<super::wasm32::I32x4>(),
        // SAFETY of all: `Leaf::best` and `Leaf::all` have seen that the processor can, and nothing else makes a leaf.
        #[cfg(target_arch = "x86_64")]
        Leaf::Avx2 => unsafe { avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        Leaf::AvxVnni => unsafe { avx_vnni(kernel) },
        #[cfg(target_arch = "x86_64")]
        Leaf::Avx512Vnni => unsafe { avx512_vnni(kernel) },
    }
}
