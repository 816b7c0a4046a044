//! One REST method, ready to serve: what is the same for every request is made here, once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use issuance::{
    Error,
    authn::{ClientTrust, ServiceAccount, TokenVerifier},
    authority::{Method, Office},
    identity::ResourceName,
    rest::RestActions,
    store::MethodScope,
};
use pki::algorithm::KeyAlgorithm;
use resolve::{CompiledDomainValidation, CompiledRest, CompiledTokens};

use crate::protocols::{acme::validation::Validator, client_trust::client_trust};

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
    /// None: no token of a service account is looked at.
    pub tokens: Option<TokenVerifier>,
    /// What the keys are that the server makes; none: it makes no keys.
    pub server_key: Option<KeyAlgorithm>,
    /// How control of names is proved; none: not at all.
    pub control: Option<DomainValidation>,
    /// How long an order waits for its request, and how long it is kept after.
    pub order_lifetime: Duration,
    /// In one order.
    pub maximum_domains: usize,
    /// The methods whose rows callers see: this one and those that are administered from here.
    pub scope: MethodScope,
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

/// How control of names is proved.
#[derive(Debug)]
pub struct DomainValidation {
    pub settings: CompiledDomainValidation,
    pub validator: Arc<Validator>,
}

impl DomainValidation {
    fn new(settings: &CompiledDomainValidation) -> Result<Self, Error> {
        let validator = Validator::new(&settings.validation)
            .map_err(|error| Error::Internal(format!("validation: {error}")))?;
        Ok(Self { settings: settings.clone(), validator: Arc::new(validator) })
    }
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
        let tokens = settings.tokens.as_ref().map(|tokens| verifier(&method, tokens)).transpose()?;
        let scope = settings.administers.scope(&method.name);
        Ok(Self {
            method,
            access_keys: settings.access_keys,
            certificates: access.transpose()?,
            tokens,
            server_key: settings.server_key,
            control: settings.domain_validation.as_ref().map(DomainValidation::new).transpose()?,
            order_lifetime: settings.order_lifetime,
            maximum_domains: usize::from(settings.maximum_domains),
            scope,
            products,
        })
    }

    /// The product with this profile; of several the first by its name.
    pub(super) fn product_of(&self, profile: &ResourceName) -> Option<&str> {
        let mut products = self.products.iter();
        let found = products.find(|(_, method)| method.profile.policy.name == *profile);
        found.map(|(name, _)| name.as_str())
    }

    /// The method with the profile of a product; none where there is no such product any more.
    pub(super) fn product(&self, name: &str) -> Option<&Arc<Method>> {
        self.products.get(name)
    }
}

fn verifier(method: &Method, tokens: &CompiledTokens) -> Result<TokenVerifier, Error> {
    let accounts = tokens.accounts.iter().map(|account| ServiceAccount {
        namespace: account.namespace.clone(),
        name: account.name.clone(),
        actions: account.actions,
    });
    let name = method.name.clone();
    let verifier = TokenVerifier::new(name, &*tokens.issuer, &*tokens.audience, &tokens.jwks, accounts);
    let unusable = |error| Error::Internal(format!("rest.serviceAccountTokens.jwksFrom: {error}"));
    verifier.map_err(unusable)
}

/// All methods that speak REST. There is no label in the path: the credential says which one is asked.
#[derive(Debug, Default)]
pub struct RestServices(HashMap<ResourceName, Arc<RestService>>);

impl RestServices {
    pub fn insert(&mut self, service: Arc<RestService>) {
        self.0.insert(service.method.name.clone(), service);
    }

    pub(crate) fn get(&self, method: &ResourceName) -> Option<&Arc<RestService>> {
        self.0.get(method)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<RestService>> {
        self.0.values()
    }
}
