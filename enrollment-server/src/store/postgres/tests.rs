//! The suite on PostgreSQL, and what only a server can do.

mod suite;

use std::sync::Arc;

use chancery_postgres::Postgres;

use super::{PostgresOptions, PostgresStore};

/// An empty database on the server of all tests.
struct Database {
    server: Arc<Postgres>,
    url: String,
}

impl Database {
    fn new() -> Self {
        let server = Postgres::shared().unwrap();
        let url = server.create_database().unwrap();
        Self { server, url }
    }

    fn options(&self) -> PostgresOptions {
        PostgresOptions::new(self.url.parse().unwrap(), "main")
    }

    async fn open(&self) -> PostgresStore {
        PostgresStore::open(self.options()).await.unwrap()
    }

    fn execute(&self, sql: &str) -> String {
        self.server.execute(&self.url, sql).unwrap()
    }
}
