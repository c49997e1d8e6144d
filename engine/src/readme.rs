//! The README's example, compiled and run as a documentation test.

#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
struct Readme;
