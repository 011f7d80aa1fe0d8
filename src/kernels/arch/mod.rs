//! The only `unsafe` code of the kernels: thin, checked shells over what cannot be said safely.

pub(super) mod gemm;
