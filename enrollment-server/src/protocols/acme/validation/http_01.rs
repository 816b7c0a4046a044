//! `http-01` (RFC 8555 §8.3): a resource below the name, fetched over a connection of its own for each redirect.

use std::{
    future::{Future, poll_fn},
    net::IpAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
};

use bytes::{Bytes, BytesMut};
use futures::future::{BoxFuture, Fuse, FutureExt as _};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use issuance::acme::Identifier;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use url::Url;

use super::{
    failure::{Deadline, ValidationFailure, quoted, tls_reason},
    network::{At, Connection, Host, Network},
};

const MAX_REDIRECTS: usize = 10;
const BODY_BYTES: usize = 16 * 1024;
const HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;
const LOCATION_BYTES: usize = 2048;

/// Ports that a redirect may name besides the method's own.
const PORTS: [u16; 2] = [80, 443];

/// One method's way to fetch.
#[derive(Debug)]
pub(super) struct Http01<'a> {
    pub(super) network: &'a Network,
    /// Judges no certificate: a redirect to https leads to whatever the name has now.
    pub(super) tls: &'a Arc<ClientConfig>,
    /// Where the first request goes.
    pub(super) port: u16,
    pub(super) deadline: Deadline,
}

/// Where a response came from.
struct Answer {
    response: Response<Incoming>,
    driver: Driver,
    at: At,
}

/// What moves the octets of one connection, which ends when this is dropped. No task of its own: nobody else has to be woken.
struct Driver(Fuse<BoxFuture<'static, ()>>);

impl Driver {
    /// Waits for what the connection is to bring.
    async fn until<T>(&mut self, brought: impl Future<Output = T>) -> T {
        let mut brought = pin!(brought);
        poll_fn(|context| {
            // Before, there may be something to move; afterwards, something may have come.
            if let Poll::Ready(brought) = brought.as_mut().poll(context) {
                return Poll::Ready(brought);
            }
            let _ended = self.0.poll_unpin(context);
            brought.as_mut().poll(context)
        })
        .await
    }
}

impl Http01<'_> {
    /// Fetches the resource of `token` and compares it with the key authorization.
    pub(super) async fn validate(
        &self,
        identifier: &Identifier,
        token: &str,
        key_authorization: &str,
    ) -> Result<(), ValidationFailure> {
        let mut answer = self.fetch(first_url(identifier, self.port, token)?).await?;
        let status = answer.response.status();
        if status != StatusCode::OK {
            return Err(answer.incorrect(&format!("answered {status} instead of 200")));
        }
        let body = self.body(&mut answer).await?;
        // RFC 8555 §8.3: whitespace at the end of the body is to be ignored.
        if body.trim_ascii_end() == key_authorization.as_bytes() {
            return Ok(());
        }
        let body = quoted(&body);
        Err(answer
            .incorrect(&format!("answered {body}, which is not the key authorization of this challenge")))
    }

    /// Follows redirects until something else is answered.
    async fn fetch(&self, first: Url) -> Result<Answer, ValidationFailure> {
        let mut visited = vec![first.clone()];
        let mut url = first;
        loop {
            let redirects = visited.len() - 1;
            let answer = self.request(&url, redirects > 0).await?;
            if !is_redirect(answer.response.status()) {
                return Ok(answer);
            }
            let next = self.next(&url, &answer)?;
            if visited.contains(&next) {
                return Err(answer.refused("redirects in a circle"));
            }
            if redirects >= MAX_REDIRECTS {
                return Err(answer.refused(&format!("redirects after {MAX_REDIRECTS} redirects")));
            }
            visited.push(next.clone());
            url = next;
        }
    }

    async fn request(&self, url: &Url, redirected: bool) -> Result<Answer, ValidationFailure> {
        let host = host(url)?;
        let port = url.port_or_known_default().unwrap_or(self.port);
        let connection = self.network.connect(&host, redirected, port, self.deadline).await?;
        let Connection { stream, at } = connection;
        let request = request(url, &host)?;
        let exchanging = async {
            if url.scheme() != "https" {
                return exchange(stream, request, &at).await;
            }
            let name = server_name(&host, &at)?;
            let connecting = TlsConnector::from(self.tls.clone()).connect(name, stream);
            let tls = connecting.await.map_err(|error| {
                ValidationFailure::tls(format!("TLS with {at} failed: {}", tls_reason(&error)))
            })?;
            exchange(tls, request, &at).await
        };
        let late = || ValidationFailure::connection(format!("{at} did not answer in time"));
        let exchanged = self.deadline.run(exchanging).await.unwrap_or_else(|| Err(late()));
        let (response, driver) = exchanged.map_err(|failure| at.failure(failure))?;
        Ok(Answer { response, driver, at })
    }

    /// Where a redirect leads, if that is where a validation may go.
    fn next(&self, url: &Url, answer: &Answer) -> Result<Url, ValidationFailure> {
        let refuse = |what: &str| Err(answer.refused(&format!("redirects {what}")));
        let Some(location) = location(answer.response.headers()) else {
            return refuse("to nowhere: its Location is missing, too long or no text");
        };
        let Ok(mut next) = url.join(location) else {
            return refuse("to what is no URL");
        };
        next.set_fragment(None);
        if !matches!(next.scheme(), "http" | "https") {
            return refuse("to what is neither http nor https");
        }
        if !next.username().is_empty() || next.password().is_some() {
            return refuse("to a URL that holds a user name or password");
        }
        let port = next.port_or_known_default().unwrap_or_default();
        if port != self.port && !PORTS.contains(&port) {
            return refuse(&format!("to port {port}, where no validation may go"));
        }
        Ok(next)
    }

    async fn body(&self, answer: &mut Answer) -> Result<Bytes, ValidationFailure> {
        let mut read = BytesMut::new();
        let Answer { response, driver, .. } = answer;
        let reading = async {
            while let Some(frame) = response.body_mut().frame().await {
                // Trailers are nothing to a validation.
                if let Ok(data) = frame?.into_data() {
                    if read.len() + data.len() > BODY_BYTES {
                        return Ok(false);
                    }
                    read.extend_from_slice(&data);
                }
            }
            Ok::<_, hyper::Error>(true)
        };
        match self.deadline.run(driver.until(reading)).await {
            Some(Ok(true)) => Ok(read.freeze()),
            Some(Ok(false)) => Err(answer.refused(&format!("answered more than {BODY_BYTES} octets"))),
            Some(Err(_)) => Err(answer.broken("broke off its answer")),
            None => Err(answer.broken("did not finish its answer in time")),
        }
    }
}

impl Answer {
    fn incorrect(&self, what: &str) -> ValidationFailure {
        self.at.failure(ValidationFailure::incorrect(format!("{} {what}", self.at)))
    }

    /// It would do the same again.
    fn refused(&self, what: &str) -> ValidationFailure {
        self.at.failure(ValidationFailure::incorrect(format!("{} {what}", self.at)).for_good())
    }

    fn broken(&self, what: &str) -> ValidationFailure {
        self.at.failure(ValidationFailure::connection(format!("{} {what}", self.at)))
    }
}

fn first_url(identifier: &Identifier, port: u16, token: &str) -> Result<Url, ValidationFailure> {
    let expected = Host::from(identifier);
    let name = authority(&expected);
    let url = Url::parse(&format!("http://{name}:{port}/.well-known/acme-challenge/{token}"));
    // What is connected to must be what the certificate will name.
    let url = url.ok().filter(|url| host(url).as_ref() == Ok(&expected));
    url.ok_or_else(|| ValidationFailure::dns(format!("{name} is not the name of a host")).for_good())
}

/// A host as a URL and the Host header have it; an address is one (RFC 8738 §4).
fn authority(host: &Host) -> String {
    match host {
        Host::Name(name) => name.clone(),
        Host::Address(IpAddr::V4(address)) => address.to_string(),
        Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
    }
}

fn host(url: &Url) -> Result<Host, ValidationFailure> {
    match url.host() {
        Some(url::Host::Domain(name)) => Ok(Host::Name(name.trim_end_matches('.').to_owned())),
        Some(url::Host::Ipv4(address)) => Ok(Host::Address(address.into())),
        Some(url::Host::Ipv6(address)) => Ok(Host::Address(address.into())),
        None => Err(ValidationFailure::incorrect("a redirect leads to a URL without a host").for_good()),
    }
}

fn request(url: &Url, host: &Host) -> Result<Request<Empty<Bytes>>, ValidationFailure> {
    let name = authority(host);
    let host = url.port().map_or_else(|| name.clone(), |port| format!("{name}:{port}"));
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    Request::get(target)
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("chancery/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|_| ValidationFailure::incorrect("a redirect leads to what is no URL").for_good())
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Empty<Bytes>>,
    at: &At,
) -> Result<(Response<Incoming>, Driver), ValidationFailure> {
    let broken = |_| ValidationFailure::connection(format!("{at} did not answer as HTTP says"));
    let mut http = http1::Builder::new();
    http.max_buf_size(HEAD_BYTES).max_headers(MAX_HEADERS);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // The socket is closed with it: to say before that no more will be sent is a call for nothing.
    let mut driver = Driver(async { drop(connection.without_shutdown().await) }.boxed().fuse());
    let response = driver.until(sender.send_request(request)).await.map_err(broken)?;
    Ok((response, driver))
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn location(headers: &HeaderMap) -> Option<&str> {
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    (location.len() <= LOCATION_BYTES).then_some(location)
}

fn server_name(host: &Host, at: &At) -> Result<ServerName<'static>, ValidationFailure> {
    match host {
        Host::Name(name) => ServerName::try_from(name.clone())
            .map_err(|_| ValidationFailure::incorrect(format!("{name} is not a name for TLS")).for_good()),
        Host::Address(_) => Ok(ServerName::IpAddress(at.ip().into())),
    }
}
