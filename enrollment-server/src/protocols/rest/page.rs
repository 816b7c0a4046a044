//! Lists, a page at a time.

use issuance::store::{Cursor, Page};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{error::RestError, parameters::Parameters};

const DEFAULT_LIMIT: usize = 100;
const MOST: usize = 1000;

/// What every list takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described: `page` reads them")]
pub(super) struct PageParameters {
    /// How many at most, from 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Items<T> {
    pub(super) items: Vec<T>,
    /// The cursor of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) next: Option<String>,
}

/// `?limit=` and `?cursor=`.
///
/// # Errors
/// [`RestError::Malformed`].
pub(super) fn page(parameters: &mut Parameters) -> Result<Page, RestError> {
    let limit = limit(parameters)?;
    let after = parameters.take_with("cursor", "what \"next\" of a page was", read_cursor)?;
    Ok(Page { after, limit })
}

/// `?limit=` alone.
///
/// # Errors
/// [`RestError::Malformed`].
pub(super) fn limit(parameters: &mut Parameters) -> Result<usize, RestError> {
    let limit = parameters.take_with("limit", "a number from 1 to 1000", |text| {
        text.parse().ok().filter(|limit| (1..=MOST).contains(limit))
    })?;
    Ok(limit.unwrap_or(DEFAULT_LIMIT))
}

/// A page as it is shown. A full one has a next, which may be empty.
pub(super) fn items<R, T>(rows: Vec<(Cursor, R)>, page: &Page, show: impl Fn(R) -> T) -> Items<T> {
    let full = rows.len() >= page.limit;
    let next = rows.last().filter(|_| full).map(|(cursor, _)| write_cursor(*cursor));
    Items { items: rows.into_iter().map(|(_, row)| show(row)).collect(), next }
}

/// Opaque: what it is made of may change.
pub(super) fn write_cursor(cursor: Cursor) -> String {
    format!("c{:x}", cursor.0)
}

pub(super) fn read_cursor(text: &str) -> Option<Cursor> {
    let cursor = i64::from_str_radix(text.strip_prefix('c')?, 16).ok().map(Cursor)?;
    // One spelling each.
    (write_cursor(cursor) == text).then_some(cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_and_others_are_refused() {
        for number in [0, 1, 255, i64::MAX] {
            assert_eq!(read_cursor(&write_cursor(Cursor(number))), Some(Cursor(number)));
        }
        for text in ["", "c", "1", "c-1", "c+1", "cFF", "c00", "c10000000000000000", "cx"] {
            assert_eq!(read_cursor(text), None, "{text}");
        }
    }

    #[test]
    fn a_full_page_says_where_the_next_begins() {
        let rows = |count| (0..count).map(|n| (Cursor(n), n)).collect::<Vec<_>>();
        let page = Page::first(2);
        assert_eq!(items(rows(1), &page, |row| row).next, None);
        let full = items(rows(2), &page, |row| row);
        assert_eq!((full.items, full.next), (vec![0, 1], Some("c1".into())));
    }

    #[test]
    fn a_limit_lies_from_1_to_1000() {
        let read = |query| page(&mut Parameters::of(Some(query)).unwrap());
        assert_eq!(read("").unwrap().limit, 100);
        assert_eq!(read("limit=1000&cursor=cff").unwrap().after, Some(Cursor(255)));
        for query in ["limit=0", "limit=1001", "limit=-1", "limit=", "limit=ten", "cursor=", "cursor=12"] {
            assert!(matches!(read(query), Err(RestError::Malformed(_))), "{query}");
        }
    }
}
