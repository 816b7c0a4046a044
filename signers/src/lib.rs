//! Keys that sign, one file per kind of home. Today: [`software`], keys in this process's memory.

pub mod software;

pub use software::{KeyError, SoftwareSigner};
