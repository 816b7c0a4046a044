//! Where rows live. The port, and what every store must do, are in [`issuance::store`].
//!
//! | folder | what |
//! | --- | --- |
//! | `sqlite/` | one file, one server: standalone, and a cluster with one replica |
//! | `postgres/` | one database, many servers |
//! | `open.rs` | which of the two, and whichever it is |

mod open;
pub mod postgres;
pub mod sqlite;

pub use open::{OpenStore, OpenStoreError, StoreLocation};
pub use postgres::{DatabaseUrl, PostgresOptions, PostgresStore};
pub use sqlite::{CommitObserver, OpenError, SqliteStore, StoreOptions};
