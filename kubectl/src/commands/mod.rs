//! The commands, one file for each.

pub(crate) mod audit;
pub(crate) mod certificates;
pub(crate) mod credentials;
pub(crate) mod orders;
pub(crate) mod reports;
pub(crate) mod requests;
pub(crate) mod status;
