//! The enrollment protocols, each a face of the one pipeline. Every folder has the same files: `wire` (bytes and types),
//! `auth` (evidence), `handlers` (a few lines each), `error` (one exhaustive map to the protocol's own words), `tests`.

pub mod est;
mod http_basic;
