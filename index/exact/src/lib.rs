//! The exact index: a scan at memory bandwidth.
