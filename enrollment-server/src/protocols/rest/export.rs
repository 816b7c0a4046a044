//! Answers of any length in bounded memory: rows are read a page at a time, and the next page when the client has taken the
//! one before. An error on the way cuts the connection: what ends quietly is whole.

use std::{future::Future, io, sync::Arc};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE},
};
use issuance::{
    Error,
    store::{Cursor, Page},
};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{accept::Offer, csv, error::RestError};

/// Rows in memory at once, of each export.
const PAGE: usize = 250;

/// Exports at one time, of all callers together: each holds a page.
const PLACES: usize = 16;

/// The places for exports of one process.
#[derive(Clone, Debug)]
pub struct Exports(Arc<Semaphore>);

impl Default for Exports {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PLACES)))
    }
}

impl Exports {
    /// A place, until it is dropped.
    ///
    /// # Errors
    /// [`RestError::Busy`].
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, RestError> {
        self.0.clone().try_acquire_owned().map_err(|_| RestError::Busy("all places for exports are taken"))
    }
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One array.
    Json,
    /// RFC 4180, with a header.
    Csv,
}

impl Form {
    pub(super) const OFFERS: [Offer<Form>; 2] = [
        Offer { name: "json", media_type: "application/json", form: Form::Json },
        Offer { name: "csv", media_type: csv::MEDIA_TYPE, form: Form::Csv },
    ];

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
}

/// A row that stands in a table too.
pub(super) trait Tabular: Serialize {
    const COLUMNS: &'static [&'static str];

    /// As many as there are columns; empty where there is nothing.
    fn cells(&self) -> Vec<String>;
}

/// Where rows come from.
pub(super) trait Rows: Send + 'static {
    type Row: Tabular + Send;

    /// The next page, which may be empty; none at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<Self::Row>>, Error>> + Send;
}

/// Where pieces of a body come from.
pub(super) trait Pieces: Send + 'static {
    /// The next piece, which may be empty; none at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, Error>> + Send;
}

/// All rows, under this name where they are saved.
///
/// # Errors
/// [`RestError::Busy`], and whatever the first page costs: nothing was sent by then.
pub(super) async fn answer(
    exports: &Exports,
    name: &str,
    form: Form,
    rows: impl Rows,
) -> Result<Response, RestError> {
    let extension = match form {
        Form::Json => "json",
        Form::Csv => "csv",
    };
    let pieces = Written { rows, form, place: Place::Begin };
    stream(exports, &format!("{name}.{extension}"), form.content_type(), pieces).await
}

/// All pieces, under this name where they are saved.
///
/// # Errors
/// As [`answer`].
pub(super) async fn stream(
    exports: &Exports,
    file: &str,
    content_type: &'static str,
    mut pieces: impl Pieces,
) -> Result<Response, RestError> {
    let place = exports.place()?;
    let first = pieces.next().await?;
    let state = Sending { first, pieces, _place: place };
    let body = Body::from_stream(stream::try_unfold(state, Sending::next));
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{file}\""));
    let disposition = disposition.map_err(|error| Error::Internal(error.to_string()))?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CONTENT_DISPOSITION, disposition),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, body).into_response())
}

/// Where the next page begins, and whether there is one.
#[derive(Debug)]
pub(super) struct Pages(Option<Page>);

impl Pages {
    pub(super) fn first() -> Self {
        Self(Some(Page::first(PAGE)))
    }

    /// What to ask the store for; none at the end.
    pub(super) fn next(&self) -> Option<Page> {
        self.0
    }

    /// What the store gave; what is short is the last.
    pub(super) fn read<R>(&mut self, rows: &[(Cursor, R)]) {
        let last = rows.last().filter(|_| rows.len() >= PAGE);
        self.0 = last.map(|(cursor, _)| Page { after: Some(*cursor), limit: PAGE });
    }
}

struct Sending<P> {
    /// Read before the answer began.
    first: Option<Vec<u8>>,
    pieces: P,
    _place: OwnedSemaphorePermit,
}

impl<P: Pieces> Sending<P> {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let mut piece = self.first.take();
        while piece.as_ref().is_none_or(Vec::is_empty) {
            piece = self.pieces.next().await.map_err(|error| {
                tracing::error!(%error, "an export failed on its way; its connection is cut");
                io::Error::other("the rows cannot be read")
            })?;
            if piece.is_none() {
                return Ok(None);
            }
        }
        Ok(piece.map(|piece| (Bytes::from(piece), self)))
    }
}

/// How far a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Begin,
    /// Rows were written.
    Within,
    End,
}

struct Written<R> {
    rows: R,
    form: Form,
    place: Place,
}

impl<R: Rows> Pieces for Written<R> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if self.place == Place::End {
            return Ok(None);
        }
        let rows = self.rows.next().await?;
        let piece = match self.form {
            Form::Json => self.json(rows.as_deref()),
            Form::Csv => self.csv(rows.as_deref()),
        };
        piece.map(Some).map_err(|error| Error::Internal(error.to_string()))
    }
}

impl<R: Rows> Written<R> {
    fn json(&mut self, rows: Option<&[R::Row]>) -> io::Result<Vec<u8>> {
        let mut piece = Vec::new();
        for row in rows.unwrap_or_default() {
            piece.extend_from_slice(if self.place == Place::Begin { b"[\n" } else { b",\n" });
            serde_json::to_writer(&mut piece, row)?;
            self.place = Place::Within;
        }
        if rows.is_none() {
            piece.extend_from_slice(if self.place == Place::Begin { b"[]\n" } else { b"\n]\n" });
            self.place = Place::End;
        }
        Ok(piece)
    }

    fn csv(&mut self, rows: Option<&[R::Row]>) -> io::Result<Vec<u8>> {
        let mut table = csv::Table::default();
        if self.place == Place::Begin {
            table.row(R::Row::COLUMNS)?;
            self.place = Place::Within;
        }
        match rows {
            Some(rows) => rows.iter().try_for_each(|row| table.row(row.cells()))?,
            None => self.place = Place::End,
        }
        table.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use http::StatusCode;
    use http_body_util::BodyExt as _;

    use super::*;

    #[derive(Serialize)]
    struct Row(&'static str, u8);

    impl Tabular for Row {
        const COLUMNS: &'static [&'static str] = &["name", "number"];

        fn cells(&self) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_string()]
        }
    }

    /// Pages in order, or the end of the database's patience.
    struct Script(VecDeque<Result<Vec<Row>, Error>>);

    impl Rows for Script {
        type Row = Row;

        async fn next(&mut self) -> Result<Option<Vec<Row>>, Error> {
            self.0.pop_front().transpose()
        }
    }

    async fn answered(form: Form, pages: impl IntoIterator<Item = Result<Vec<Row>, Error>>) -> Response {
        let rows = Script(pages.into_iter().collect());
        answer(&Exports::default(), "rows", form, rows).await.unwrap()
    }

    async fn text(response: Response) -> String {
        assert_eq!(response.status(), StatusCode::OK);
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    fn gone() -> Error {
        Error::Unavailable("the database is gone".into())
    }

    #[tokio::test]
    async fn a_table_is_whole_whatever_its_pages() {
        let pages = || [Ok(vec![]), Ok(vec![Row("a", 1), Row("b", 2)]), Ok(vec![]), Ok(vec![Row("c", 3)])];
        let csv = answered(Form::Csv, pages()).await;
        assert_eq!(csv.headers()[CONTENT_DISPOSITION], "attachment; filename=\"rows.csv\"");
        assert_eq!(text(csv).await, "name,number\r\na,1\r\nb,2\r\nc,3\r\n");
        let json = text(answered(Form::Json, pages()).await).await;
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed, serde_json::json!([["a", 1], ["b", 2], ["c", 3]]));
    }

    #[tokio::test]
    async fn an_empty_table_is_an_empty_array_or_a_header_alone() {
        assert_eq!(text(answered(Form::Json, []).await).await, "[]\n");
        assert_eq!(text(answered(Form::Csv, []).await).await, "name,number\r\n");
    }

    #[tokio::test]
    async fn an_error_on_the_way_cuts_the_answer_and_one_before_it_is_told() {
        for form in [Form::Json, Form::Csv] {
            let response = answered(form, [Ok(vec![Row("a", 1)]), Err(gone()), Ok(vec![Row("b", 2)])]).await;
            let mut body = response.into_body();
            assert!(body.frame().await.unwrap().is_ok());
            body.frame().await.unwrap().unwrap_err();
            let rows = Script([Err(gone())].into());
            let outcome = answer(&Exports::default(), "rows", form, rows).await;
            assert!(matches!(outcome, Err(RestError::Core(Error::Unavailable(_)))));
        }
    }

    /// Endless, and counted.
    struct Counted(Arc<AtomicUsize>);

    impl Rows for Counted {
        type Row = Row;

        async fn next(&mut self) -> Result<Option<Vec<Row>>, Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Some(vec![Row("a", 1)]))
        }
    }

    #[tokio::test]
    async fn a_page_is_read_when_the_client_has_taken_the_one_before() {
        let read = Arc::new(AtomicUsize::new(0));
        let rows = Counted(read.clone());
        let response = answer(&Exports::default(), "rows", Form::Json, rows).await.unwrap();
        let mut body = response.into_body();
        for taken in 1..=5 {
            assert_eq!(read.load(Ordering::Relaxed), taken.max(2) - 1);
            body.frame().await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn only_so_many_export_at_one_time_and_whoever_ends_makes_room() {
        let exports = Exports::default();
        let begin =
            async || answer(&exports, "rows", Form::Json, Script([Ok(vec![Row("a", 1)])].into())).await;
        let mut begun = Vec::new();
        for _ in 0..PLACES {
            begun.push(begin().await.unwrap());
        }
        assert!(matches!(begin().await, Err(RestError::Busy(_))));
        text(begun.pop().unwrap()).await;
        drop(begin().await.unwrap());
        begin().await.unwrap();
    }

    #[test]
    fn a_short_page_is_the_last() {
        let rows = |count: usize| (0..count).map(|n| (Cursor(n as i64), ())).collect::<Vec<_>>();
        let mut pages = Pages::first();
        assert!(pages.next().is_some_and(|page| page.after.is_none() && page.limit == PAGE));
        pages.read(&rows(PAGE));
        assert_eq!(pages.next().and_then(|page| page.after), Some(Cursor(PAGE as i64 - 1)));
        pages.read(&rows(PAGE - 1));
        assert!(pages.next().is_none());
    }
}
