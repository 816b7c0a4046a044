//! What every store must do.

use std::sync::Arc;

use issuance::store::Store;

use super::Database;

async fn make() -> (Database, Arc<dyn Store>) {
    let database = Database::new();
    let store = database.open().await;
    (database, Arc::new(store))
}

issuance::store_suite!(make);
