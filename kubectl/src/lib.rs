//! `kubectl chancery`: the desk for operators, on the command line. It works without a cluster too.
//!
//! ```text
//! cli ─► commands ─► connection ─► client::rest ─► the server
//!            │            └─► kubernetes: URL, authority and access key from resources
//!            └─► output: tables, JSON, YAML, names; secrets once, for the owner's eyes
//!        inspect: what a file holds, asking nobody
//! ```

mod cli;
mod commands;
mod connection;
mod inspect;
mod kubernetes;
mod output;
mod times;

pub use cli::Cli;
