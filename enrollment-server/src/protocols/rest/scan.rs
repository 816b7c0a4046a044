//! Lists whose filter the store does not know: rows are read and looked at here, a bounded number for each page.

use std::future::Future;

use issuance::store::{Cursor, Page, StoreResult};

use super::page::{Items, write_cursor};

/// Rows that are looked at for one page.
const MAX_SCANNED: usize = 10_000;

/// Rows read at a time.
const BATCH: usize = 500;

/// The next rows that are wanted, as they are shown. There may be fewer than were asked for, or none, although there are more:
/// `next` says.
///
/// # Errors
/// Those of the store.
pub(super) async fn scan<R, T, F>(
    page: &Page,
    read: impl Fn(Page) -> F,
    show: impl Fn(&R) -> Option<T>,
) -> StoreResult<Items<T>>
where
    F: Future<Output = StoreResult<Vec<(Cursor, R)>>>,
{
    let mut items = Vec::new();
    let mut batch = Page { after: page.after, limit: BATCH };
    for _ in 0..MAX_SCANNED / BATCH {
        let rows = read(batch).await?;
        for (cursor, row) in &rows {
            batch.after = Some(*cursor);
            items.extend(show(row));
            if items.len() >= page.limit {
                return Ok(Items { items, next: Some(write_cursor(*cursor)) });
            }
        }
        if rows.len() < BATCH {
            return Ok(Items { items, next: None });
        }
    }
    Ok(Items { items, next: batch.after.map(write_cursor) })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{super::page::read_cursor, *};

    /// Numbers from 1 to this.
    async fn numbers(count: i64, page: Page) -> StoreResult<Vec<(Cursor, i64)>> {
        let first = page.after.map_or(1, |cursor| cursor.0 + 1);
        Ok((first..=count).take(page.limit).map(|number| (Cursor(number), number)).collect())
    }

    /// All that are wanted, and how many pages that took.
    async fn all(count: i64, limit: usize, wanted: impl Fn(i64) -> bool) -> (Vec<i64>, usize) {
        let (mut page, mut found, mut pages) = (Page::first(limit), Vec::new(), 0);
        loop {
            let show = |number: &i64| wanted(*number).then_some(*number);
            let Items { items, next } = scan(&page, |page| numbers(count, page), show).await.unwrap();
            assert!(items.len() <= limit);
            found.extend(items);
            pages += 1;
            match next {
                Some(next) => page.after = Some(read_cursor(&next).unwrap()),
                None => return (found, pages),
            }
        }
    }

    #[tokio::test]
    async fn every_row_that_is_wanted_is_found_once_whatever_the_pages() {
        for limit in [1, 7, 499, 500, 501, 1000] {
            let (found, _) = all(1234, limit, |number| number % 3 == 0).await;
            assert_eq!(found, (1..=1234).filter(|number| number % 3 == 0).collect::<Vec<_>>(), "{limit}");
        }
        assert_eq!(all(0, 5, |_| true).await, (vec![], 1));
        assert_eq!(all(3, 5, |_| true).await, (vec![1, 2, 3], 1));
    }

    #[tokio::test]
    async fn a_page_looks_at_a_bounded_number_of_rows() {
        let read = AtomicUsize::new(0);
        let count = 3 * MAX_SCANNED as i64;
        let Items { items, next } = scan(
            &Page::first(10),
            |page| {
                read.fetch_add(page.limit, Ordering::Relaxed);
                numbers(count, page)
            },
            |number: &i64| (*number == count).then_some(*number),
        )
        .await
        .unwrap();
        assert!(items.is_empty() && next.is_some());
        assert_eq!(read.load(Ordering::Relaxed), MAX_SCANNED);
        assert_eq!(all(count, 10, |number| number == count).await, (vec![count], 4));
    }
}
