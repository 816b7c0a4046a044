//! One REST method, ready to serve: what is the same for every request is made here, once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use issuance::{
    Error,
    authn::ClientTrust,
    authority::{Method, Office},
    identity::ResourceName,
    rest::RestActions,
};
use pki::algorithm::KeyAlgorithm;
use resolve::CompiledRest;

use crate::protocols::client_trust::client_trust;

/// What an order gets that names no product.
pub(super) const DEFAULT_PRODUCT: &str = "default";

/// A method that speaks REST.
#[derive(Debug)]
pub struct RestService {
    /// With its own profile.
    pub method: Arc<Method>,
    /// Whether access keys are taken.
    pub access_keys: bool,
    /// None: no certificate is looked at.
    pub certificates: Option<CertificateAccess>,
    /// What the keys are that the server makes; none: it makes no keys.
    pub server_key: Option<KeyAlgorithm>,
    /// How long an order waits for its request, and how long it is kept after.
    pub order_lifetime: Duration,
    /// In one order.
    pub maximum_domains: usize,
    products: RestProducts,
}

/// The method once for each product, by the name that orders call it.
pub type RestProducts = BTreeMap<String, Arc<Method>>;

/// Certificates that let a program in, and what they let it do.
#[derive(Debug)]
pub struct CertificateAccess {
    pub trust: ClientTrust,
    pub actions: RestActions,
}

impl RestService {
    /// # Errors
    /// [`Error::Internal`] where a compiled part cannot be used: resolving checks them all.
    pub fn new(
        method: Arc<Method>,
        settings: &CompiledRest,
        products: RestProducts,
        office: &Office,
    ) -> Result<Self, Error> {
        let access = settings.client_certificates.as_ref().map(|access| {
            let trust = client_trust(&access.trust, office)?;
            Ok::<_, Error>(CertificateAccess { trust, actions: access.actions })
        });
        Ok(Self {
            method,
            access_keys: settings.access_keys,
            certificates: access.transpose()?,
            server_key: settings.server_key,
            order_lifetime: settings.order_lifetime,
            maximum_domains: usize::from(settings.maximum_domains),
            products,
        })
    }

    /// The method with the profile of a product; none where there is no such product any more.
    pub(super) fn product(&self, name: &str) -> Option<&Arc<Method>> {
        self.products.get(name)
    }
}

/// All methods that speak REST. There is no label in the path: the credential says which one is asked.
#[derive(Debug, Default)]
pub struct RestServices(HashMap<ResourceName, Arc<RestService>>);

impl RestServices {
    pub fn insert(&mut self, service: Arc<RestService>) {
        self.0.insert(service.method.name.clone(), service);
    }

    pub(super) fn get(&self, method: &ResourceName) -> Option<&Arc<RestService>> {
        self.0.get(method)
    }

    /// Those that look at certificates.
    pub(super) fn taking_certificates(
        &self,
    ) -> impl Iterator<Item = (&Arc<RestService>, &CertificateAccess)> {
        self.0.values().filter_map(|service| service.certificates.as_ref().map(|access| (service, access)))
    }
}
