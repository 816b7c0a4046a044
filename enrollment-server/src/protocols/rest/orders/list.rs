//! `GET /orders`.

use axum::response::Response;
use http::StatusCode;
use issuance::{
    authn::Freshness,
    rest::{OrderRow, OrderStatus, RestAction},
    store::{Cursor, Page, RestOrderFilter},
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

/// Pages of the store that one answer may take where few orders are of the product: the answer is short then.
const MOST_PAGES: usize = 20;

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
/// In the order they were made in.
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
        method: Some(caller.method().clone()),
        status: status.map(|status| (status, now)),
        created_from: time("createdAfter")?.map(|time| time.0),
        created_before: time("createdBefore")?.map(|time| time.0),
        ..RestOrderFilter::default()
    };
    let product = parameters.take("product");
    let page = page(&mut parameters)?;
    parameters.finish()?;
    let (rows, next) = match product {
        None => {
            let rows = caller.app().engine.store().rest_orders(&filter, &page).await?;
            let next = (rows.len() >= page.limit).then(|| rows.last().map(|(cursor, _)| *cursor)).flatten();
            (rows.into_iter().map(|(_, row)| row).collect(), next)
        }
        Some(product) => of_product(&caller, &filter, &page, &product).await?,
    };
    let items = rows.into_iter().map(|row| OrderObject::of(row, now)).collect();
    json(StatusCode::OK, &Items { items, next: next.map(write_cursor) })
}

/// The store knows nothing of products: as many pages of it as give a page of them, within limits.
async fn of_product(
    caller: &Caller,
    filter: &RestOrderFilter,
    page: &Page,
    product: &str,
) -> Result<(Vec<OrderRow>, Option<Cursor>), RestError> {
    let (mut found, mut page) = (Vec::new(), *page);
    let wanted = page.limit;
    for _ in 0..MOST_PAGES {
        let rows = caller.app().engine.store().rest_orders(filter, &page).await?;
        let last = rows.len() < page.limit;
        for (cursor, row) in rows {
            page.after = Some(cursor);
            if row.product == product {
                found.push(row);
                if found.len() == wanted {
                    return Ok((found, page.after));
                }
            }
        }
        if last {
            return Ok((found, None));
        }
    }
    Ok((found, page.after))
}

fn read_status(text: &str) -> Option<OrderStatus> {
    OrderStatus::ALL.into_iter().find(|status| status.as_str() == text)
}
