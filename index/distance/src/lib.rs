//! SIMD distance kernels with run-time dispatch.
