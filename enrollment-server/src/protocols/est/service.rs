//! One EST method, ready to serve: what is the same for every request is made here, once.

use std::sync::Arc;

use bytes::Bytes;
use crds::EstAuthentication;
use http::HeaderValue;
use issuance::{
    Error,
    authn::ClientTrust,
    authority::{Authority, Method, Office},
};
use resolve::{CompiledEst, CompiledKeyGeneration, CompiledReenroll};

use super::{
    csrattrs::csr_attrs,
    wire::{self, Layout},
};
use crate::protocols::client_trust::client_trust;

/// A method that speaks EST.
#[derive(Debug)]
pub struct EstService {
    pub method: Arc<Method>,
    pub authentication: EstAuthentication,
    /// There unless `authentication` is `Basic`.
    pub trust: Option<ClientTrust>,
    pub reenroll: Option<CompiledReenroll>,
    pub key_generation: Option<CompiledKeyGeneration>,
    /// The body of `cacerts`; none for a self-signed profile.
    ca_certs: Option<BothLayouts>,
    /// The body of `csrattrs`; none where the profile wants nothing in particular.
    csr_attrs: Option<BothLayouts>,
}

#[derive(Debug)]
struct BothLayouts {
    lines: CachedBody,
    one_line: CachedBody,
}

/// A body that is the same for everybody until the configuration changes.
#[derive(Clone, Debug)]
pub(super) struct CachedBody {
    pub(super) body: Bytes,
    /// A strong validator (RFC 9110 §8.8.3).
    pub(super) etag: HeaderValue,
}

impl EstService {
    /// `successor`: DER, the chain of the authority that will take over; empty where there is none.
    ///
    /// # Errors
    /// [`Error::Internal`] where a compiled part cannot be used: resolving checks them all.
    pub fn new(
        method: Arc<Method>,
        settings: &CompiledEst,
        successor: &[Vec<u8>],
        office: &Office,
    ) -> Result<Self, Error> {
        let trust = settings.trust.as_ref().map(|trust| client_trust(trust, office)).transpose()?;
        let ca_certs =
            method.profile.authority.as_ref().map(|authority| ca_certs(authority, successor)).transpose()?;
        let csr_attrs = csr_attrs(&method.profile.policy)
            .map(|der| BothLayouts::new(|layout| layout.encode(&der)))
            .transpose()?;
        Ok(Self {
            method,
            authentication: settings.authentication,
            trust,
            reenroll: settings.reenroll,
            key_generation: settings.server_key_generation.clone(),
            ca_certs,
            csr_attrs,
        })
    }

    pub(super) fn ca_certs(&self, layout: Layout) -> Option<&CachedBody> {
        self.ca_certs.as_ref().map(|bodies| bodies.of(layout))
    }

    pub(super) fn csr_attrs(&self, layout: Layout) -> Option<&CachedBody> {
        self.csr_attrs.as_ref().map(|bodies| bodies.of(layout))
    }
}

impl BothLayouts {
    fn new(encode: impl Fn(Layout) -> String) -> Result<Self, Error> {
        Ok(Self {
            lines: CachedBody::new(encode(Layout::Lines))?,
            one_line: CachedBody::new(encode(Layout::OneLine))?,
        })
    }

    fn of(&self, layout: Layout) -> &CachedBody {
        match layout {
            Layout::Lines => &self.lines,
            Layout::OneLine => &self.one_line,
        }
    }
}

impl CachedBody {
    fn new(body: String) -> Result<Self, Error> {
        let body = Bytes::from(body);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body);
        let etag = format!("\"{}\"", hex::encode(digest.as_ref().get(..16).unwrap_or_default()));
        let etag = HeaderValue::from_str(&etag).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self { body, etag })
    }
}

/// RFC 7030 §4.1.3: the chain in force, and the one that will follow it, so that clients trust it before it signs.
fn ca_certs(authority: &Authority, successor: &[Vec<u8>]) -> Result<BothLayouts, Error> {
    let mut chain: Vec<&[u8]> = authority.chain.iter().map(Vec::as_slice).collect();
    for der in successor {
        if !chain.contains(&der.as_slice()) {
            chain.push(der);
        }
    }
    BothLayouts::new(|layout| wire::encode_certs(&chain, layout))
}
