//! Where rows live. The port, and what every store must do, are in [`issuance::store`].
//!
//! | folder | what |
//! | --- | --- |
//! | `sqlite/` | one file, one server: standalone, and a cluster with one replica |

pub mod sqlite;

pub use sqlite::{CommitObserver, OpenError, SqliteStore, StoreOptions};
