//! `GET /orders`.

use axum::response::Response;
use http::StatusCode;
use issuance::{
    Error,
    authn::Freshness,
    rest::{OrderRow, OrderStatus, RestAction},
    store::{Page, RestOrderFilter},
};
use utoipa::IntoParams;

use super::{
    super::{
        ask::Ask,
        auth::Caller,
        error::RestError,
        objects::{Timestamp, json},
        openapi::Problems,
        page::{Items, PageParameters, page, write_cursor},
    },
    object::{OrderObject, Status},
};

/// Rows in memory at once, which may hold hundreds of challenges each.
const BATCH: usize = 50;

/// Rows that are looked at for one page.
const MOST_READ: usize = 10_000;

/// A page ends with the order that makes it as long as this, as JSON.
const ENOUGH_OCTETS: usize = 1024 * 1024;

#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "only described: `list_orders` reads them")]
struct ListParameters {
    /// What they are now.
    status: Option<Status>,
    /// The product's name.
    product: Option<String>,
    /// At or after.
    created_after: Option<Timestamp>,
    /// Before.
    created_before: Option<Timestamp>,
}

/// List orders.
///
/// In the order they were made in, without their authorizations. A page may hold fewer than `limit`, or none, although there are
/// more: `next` says.
#[utoipa::path(
    get,
    path = "/orders",
    operation_id = "listOrders",
    tag = "orders",
    params(PageParameters, ListParameters),
    responses((status = 200, description = "A page of orders.", body = Items<OrderObject>), Problems)
)]
pub(super) async fn list_orders(ask: Ask) -> Result<Response, RestError> {
    let (caller, mut parameters) = ask.caller_with(RestAction::Read, Freshness::Fresh).await?;
    let now = caller.ask.now;
    let status = parameters.take_with("status", "a status of orders", read_status)?;
    let mut time = |name| parameters.take_with(name, "a time of RFC 3339", Timestamp::parse);
    let filter = RestOrderFilter {
        method: Some(caller.own_method()?.clone()),
        status: status.map(|status| (status, now)),
        created_from: time("createdAfter")?.map(|time| time.0),
        created_before: time("createdBefore")?.map(|time| time.0),
        ..RestOrderFilter::default()
    };
    let product = parameters.take("product");
    let page = page(&mut parameters)?;
    parameters.finish()?;
    json(StatusCode::OK, &read(&caller, filter, &page, product.as_deref()).await?)
}

/// One page: as many as are wanted, or fewer, where they are long or few are of the product.
async fn read(
    caller: &Caller,
    filter: RestOrderFilter,
    page: &Page,
    product: Option<&str>,
) -> Result<Items<OrderObject>, RestError> {
    let app = caller.app();
    let (mut items, mut octets) = (Vec::new(), 0);
    let mut batch = Page { after: page.after, limit: page.limit.min(BATCH) };
    for _ in 0..MOST_READ / batch.limit {
        let (store, filter) = (app.engine.store().clone(), filter.clone());
        let rows = app.rest.walks().read(async move { store.rest_orders(&filter, &batch).await }).await?;
        let last = rows.len() < batch.limit;
        for (cursor, row) in rows {
            batch.after = Some(cursor);
            if product.is_some_and(|product| row.product != product) {
                continue;
            }
            let object = OrderObject::of(caller, OrderRow { authorizations: Vec::new(), ..row });
            octets += length(&object)?;
            items.push(object);
            if items.len() >= page.limit || octets >= ENOUGH_OCTETS {
                return Ok(Items { items, next: Some(write_cursor(cursor)) });
            }
        }
        if last {
            return Ok(Items { items, next: None });
        }
    }
    Ok(Items { items, next: batch.after.map(write_cursor) })
}

fn length(object: &OrderObject) -> Result<usize, Error> {
    serde_json::to_vec(object).map(|text| text.len()).map_err(|error| Error::Internal(error.to_string()))
}

fn read_status(text: &str) -> Option<OrderStatus> {
    OrderStatus::ALL.into_iter().find(|status| status.as_str() == text)
}
