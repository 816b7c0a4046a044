//! A PostgreSQL server for the time of a test, of the programs that are installed.
//!
//! A crate of its own, because the tests of the store, inside the server's crate, and the tests of the whole server,
//! outside it, both need it. Whoever holds a [`Postgres`] has a server; the last to let go stops it and removes its files.

mod programs;
mod server;

pub use programs::find;
pub use server::{Postgres, Settings, Tls};
