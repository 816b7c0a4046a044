//! Answers of any length in bounded memory: rows are read a page at a time, and the next page when the client has taken the
//! one before. An error on the way cuts the connection: what ends quietly is whole.

use std::{
    collections::HashMap,
    future::Future,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

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
    identity::ResourceName,
    store::{Cursor, Page},
};
use serde::Serialize;
use tokio::time::Instant;

use super::{accept::Offer, error::RestError};
use crate::comma_separated;

/// Rows in memory at once, of each export.
const PAGE: usize = 250;

/// Exports at one time, of all callers together: each holds a page.
const PLACES: usize = 16;

/// Those of one method, so that one leaves room for others.
const PLACES_OF_METHOD: usize = 4;

/// Those of one method whose connections are still there, with such as have lost their place: each holds a page too.
const CONNECTIONS_OF_METHOD: usize = 16;

/// For how long a client may take one piece. A connection on which something moves is not idle, however little that is.
const PATIENCE: Duration = Duration::from_secs(60);

/// The places for exports of one process.
#[derive(Clone, Debug, Default)]
pub struct Exports(Arc<Mutex<Held>>);

/// Who has them.
#[derive(Debug, Default)]
struct Held {
    next: u64,
    exports: HashMap<u64, Export>,
}

#[derive(Debug)]
struct Export {
    method: ResourceName,
    /// Since when the client has been taking a piece; none while rows are read.
    taking: Option<Instant>,
}

impl Export {
    /// Its place may be another's, and its connection is cut when it comes back.
    fn is_late(&self) -> bool {
        self.taking.is_some_and(|since| since.elapsed() > PATIENCE)
    }
}

impl Exports {
    /// A place for an export of this method, until it is dropped or its client takes too long for a piece.
    ///
    /// # Errors
    /// [`RestError::Busy`].
    pub(super) fn place(&self, method: &ResourceName) -> Result<ExportPlace, RestError> {
        let mut held = self.held();
        let of_method = held.exports.values().filter(|export| export.method == *method);
        let (mut connections, mut taken) = (0, 0);
        for export in of_method {
            connections += 1;
            taken += usize::from(!export.is_late());
        }
        let all = held.exports.values().filter(|export| !export.is_late()).count();
        if connections >= CONNECTIONS_OF_METHOD || taken >= PLACES_OF_METHOD || all >= PLACES {
            return Err(RestError::Busy("all places for exports are taken"));
        }
        let number = held.next;
        held.next += 1;
        held.exports.insert(number, Export { method: method.clone(), taking: None });
        drop(held);
        Ok(ExportPlace { exports: self.clone(), number })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them.
#[derive(Debug)]
pub(super) struct ExportPlace {
    exports: Exports,
    number: u64,
}

impl ExportPlace {
    /// The client has a piece to take.
    fn handed(&self) {
        if let Some(export) = self.exports.held().exports.get_mut(&self.number) {
            export.taking = Some(Instant::now());
        }
    }

    /// The client has taken it; false: not in time.
    fn taken(&self) -> bool {
        let mut held = self.exports.held();
        let Some(export) = held.exports.get_mut(&self.number) else { return false };
        let in_time = !export.is_late();
        if in_time {
            export.taking = None;
        }
        in_time
    }
}

impl Drop for ExportPlace {
    fn drop(&mut self) {
        self.exports.held().exports.remove(&self.number);
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
        Offer { name: "csv", media_type: comma_separated::MEDIA_TYPE, form: Form::Csv },
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
/// Whatever the first page costs: nothing was sent by then.
pub(super) async fn answer(
    place: ExportPlace,
    name: &str,
    form: Form,
    rows: impl Rows,
) -> Result<Response, RestError> {
    let extension = match form {
        Form::Json => "json",
        Form::Csv => "csv",
    };
    let pieces = Written { rows, form, place: Place::Begin };
    stream(place, &format!("{name}.{extension}"), form.content_type(), pieces).await
}

/// All pieces, under this name where they are saved.
///
/// # Errors
/// As [`answer`].
pub(super) async fn stream(
    place: ExportPlace,
    file: &str,
    content_type: &'static str,
    mut pieces: impl Pieces,
) -> Result<Response, RestError> {
    let first = pieces.next().await?;
    let state = Sending { first, pieces, place };
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
    place: ExportPlace,
}

impl<P: Pieces> Sending<P> {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if !self.place.taken() {
            tracing::info!("a client took too long for a piece of an export; its connection is cut");
            return Err(io::Error::new(io::ErrorKind::TimedOut, "a piece was not taken in time"));
        }
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
        self.place.handed();
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
        let mut table = comma_separated::Table::default();
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

    fn method(name: &str) -> ResourceName {
        ResourceName::new("lab", name)
    }

    fn place() -> ExportPlace {
        Exports::default().place(&method("api")).unwrap()
    }

    async fn answered(form: Form, pages: impl IntoIterator<Item = Result<Vec<Row>, Error>>) -> Response {
        let rows = Script(pages.into_iter().collect());
        answer(place(), "rows", form, rows).await.unwrap()
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
            let outcome = answer(place(), "rows", form, rows).await;
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
        let response = answer(place(), "rows", Form::Json, rows).await.unwrap();
        let mut body = response.into_body();
        for taken in 1..=5 {
            assert_eq!(read.load(Ordering::Relaxed), taken.max(2) - 1);
            body.frame().await.unwrap().unwrap();
        }
    }

    async fn begin(exports: &Exports, name: &str) -> Result<Response, RestError> {
        let rows = Script([Ok(vec![Row("a", 1)]), Ok(vec![Row("b", 2)])].into());
        answer(exports.place(&method(name))?, "rows", Form::Json, rows).await
    }

    #[tokio::test]
    async fn only_so_many_export_at_one_time_and_whoever_ends_makes_room() {
        let exports = Exports::default();
        let mut begun = Vec::new();
        for number in 0..PLACES {
            begun.push(begin(&exports, &(number / PLACES_OF_METHOD).to_string()).await.unwrap());
        }
        assert!(matches!(begin(&exports, "another").await, Err(RestError::Busy(_))));
        text(begun.pop().unwrap()).await;
        drop(begin(&exports, "another").await.unwrap());
        begin(&exports, "another").await.unwrap();
    }

    #[tokio::test]
    async fn one_method_leaves_places_to_the_others() {
        let exports = Exports::default();
        let mut begun = Vec::new();
        for _ in 0..PLACES_OF_METHOD {
            begun.push(begin(&exports, "api").await.unwrap());
        }
        assert!(matches!(begin(&exports, "api").await, Err(RestError::Busy(_))));
        begin(&exports, "other").await.unwrap();
        begun.clear();
        begin(&exports, "api").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_too_long_for_a_piece_loses_the_place_and_is_cut() {
        let exports = Exports::default();
        let mut slow = Vec::new();
        for _ in 0..CONNECTIONS_OF_METHOD / PLACES_OF_METHOD {
            for _ in 0..PLACES_OF_METHOD {
                let mut body = begin(&exports, "api").await.unwrap().into_body();
                body.frame().await.unwrap().unwrap();
                slow.push(body);
            }
            assert!(matches!(begin(&exports, "api").await, Err(RestError::Busy(_))));
            tokio::time::advance(PATIENCE + Duration::from_secs(1)).await;
        }
        // Their connections hold a page each, as long as they are there.
        assert!(matches!(begin(&exports, "api").await, Err(RestError::Busy(_))));
        let mut body = slow.pop().unwrap();
        body.frame().await.unwrap().unwrap_err();
        drop(body);
        let mut quick = begin(&exports, "api").await.unwrap().into_body();
        quick.frame().await.unwrap().unwrap();
        tokio::time::advance(PATIENCE).await;
        quick.frame().await.unwrap().unwrap();
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
