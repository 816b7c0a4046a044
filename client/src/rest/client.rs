//! One request after the other, on a connection that is kept.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT},
};
use http_body_util::Full;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::{
    Answer, BearerToken, ClientIdentity, Connect, Direct, Endpoint, Query, Trust,
    connection::{self, Sender},
    error::ClientError,
};

/// How long the head of an answer may take: longer than a server waits with one (`Prefer: wait`).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// How long the end of the answer before is waited for; then another connection is opened.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks one server.
pub struct Client {
    endpoint: Endpoint,
    connect: Box<dyn Connect>,
    tls: TlsConnector,
    token: Option<BearerToken>,
    /// `?method=` of every request.
    method: Option<String>,
    kept: Mutex<Option<Sender>>,
}

impl Client {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Trust`].
    pub fn new(
        endpoint: Endpoint,
        trust: &Trust,
        identity: Option<&ClientIdentity>,
    ) -> Result<Self, ClientError> {
        let tls = TlsConnector::from(Arc::new(trust.configuration(identity)?));
        let connect = Box::new(Direct::to(&endpoint));
        Ok(Self { endpoint, connect, tls, token: None, method: None, kept: Mutex::default() })
    }

    /// Connections are opened by this; who answers must still have a certificate for the host of the URL.
    #[must_use]
    pub fn through(mut self, connect: impl Connect + 'static) -> Self {
        self.connect = Box::new(connect);
        self
    }

    /// Shows this.
    #[must_use]
    pub fn with_token(mut self, token: BearerToken) -> Self {
        self.token = Some(token);
        self
    }

    /// Says which EnrollmentMethod is asked, `namespace/name`.
    #[must_use]
    pub fn with_method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks for what is at a path below `/api/v1`, which begins with a slash.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&self, path: &str, query: Query, accept: &'static str) -> Result<Answer, ClientError> {
        self.send(Method::GET, path, query, Headers::accepting(accept), Bytes::new()).await
    }

    /// Asks for an object with more headers, `Prefer` for example.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_with(
        &self,
        path: &str,
        query: Query,
        headers: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Answer, ClientError> {
        let headers = Headers { others: headers, ..Headers::accepting(JSON) };
        self.send(Method::GET, path, query, headers, Bytes::new()).await
    }

    /// Sends an object.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post(&self, path: &str, object: &(impl Serialize + Sync)) -> Result<Answer, ClientError> {
        self.post_with(path, object, Vec::new()).await
    }

    /// Sends an object with more headers, `Idempotency-Key` for example.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post_with(
        &self,
        path: &str,
        object: &(impl Serialize + Sync),
        headers: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Answer, ClientError> {
        self.send_object(Method::POST, path, object, headers).await
    }

    /// Puts an object in place.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put(&self, path: &str, object: &(impl Serialize + Sync)) -> Result<Answer, ClientError> {
        self.send_object(Method::PUT, path, object, Vec::new()).await
    }

    /// Asks for something to be done that needs no words.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn act(&self, path: &str) -> Result<Answer, ClientError> {
        self.send(Method::POST, path, Query::default(), Headers::accepting(JSON), Bytes::new()).await
    }

    /// Asks for something not to be there any more.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(&self, path: &str) -> Result<Answer, ClientError> {
        self.send(Method::DELETE, path, Query::default(), Headers::accepting(JSON), Bytes::new()).await
    }

    async fn send_object(
        &self,
        method: Method,
        path: &str,
        object: &(impl Serialize + Sync),
        headers: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Answer, ClientError> {
        let body = serde_json::to_vec(object).map_err(|_| ClientError::Request("its body is no JSON"))?;
        let headers = Headers { accept: JSON, content: true, others: headers };
        self.send(method, path, Query::default(), headers, body.into()).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: Query,
        headers: Headers,
        body: Bytes,
    ) -> Result<Answer, ClientError> {
        let query = query.with_some("method", self.method.as_deref());
        let request =
            self.request(method, &format!("{}{}", self.endpoint.path(path), query.as_str()), headers, body)?;
        let mut kept = self.kept.lock().await;
        let mut sender = match idle(kept.take()).await {
            Some(sender) => sender,
            None => connection::open(self.connect.as_ref(), &self.tls, self.endpoint.server_name()?).await?,
        };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request));
        let answer = answer.await.map_err(|_| ClientError::AnswerTimeout)?.map_err(ClientError::Http)?;
        *kept = Some(sender);
        drop(kept);
        let (head, body) = answer.into_parts();
        Answer::read(head, body).await
    }

    fn request(
        &self,
        method: Method,
        target: &str,
        headers: Headers,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, self.endpoint.authority())
            .header(USER_AGENT, concat!("chancery-client/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, headers.accept);
        if headers.content {
            request = request.header(CONTENT_TYPE, JSON);
        }
        if let Some(token) = &self.token {
            request = request
                .header(AUTHORIZATION, token.header().ok_or(ClientError::Request("its token is no header"))?);
        }
        for (name, value) in headers.others {
            request = request.header(name, value);
        }
        request.body(Full::new(body)).map_err(|_| ClientError::Request("its path is no path of a URL"))
    }
}

pub(super) const JSON: &str = "application/json";

/// The connection, unless the server has ended it meanwhile, or somebody still reads the answer before.
async fn idle(kept: Option<Sender>) -> Option<Sender> {
    let mut sender = kept?;
    let ready = tokio::time::timeout(IDLE_TIMEOUT, sender.ready()).await;
    matches!(ready, Ok(Ok(()))).then_some(sender)
}

struct Headers {
    accept: &'static str,
    /// Whether there is an object.
    content: bool,
    others: Vec<(HeaderName, HeaderValue)>,
}

impl Headers {
    fn accepting(accept: &'static str) -> Self {
        Self { accept, content: false, others: Vec::new() }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Client");
        shown.field("endpoint", &self.endpoint).field("connect", &self.connect).field("method", &self.method);
        shown.finish_non_exhaustive()
    }
}
