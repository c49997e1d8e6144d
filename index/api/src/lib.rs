//! The index plugin contract.
