//! One ACME method, ready to serve: what is the same for every request is made here, once.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use issuance::{
    Error,
    authority::{Authority, Method, Office},
    identity::KeyId,
};
use pki::pem;
use resolve::CompiledAcme;
use serde_json::{Map, Value, json};

use super::{hosts::Hosts, validation::Validator};

/// A method that speaks ACME.
#[derive(Debug)]
pub struct AcmeService {
    /// With its own profile: what an order gets that chooses none.
    pub method: Arc<Method>,
    pub settings: CompiledAcme,
    pub validator: Arc<Validator>,
    pub(super) hosts: Arc<Hosts>,
    profiles: AcmeProfiles,
    chains: Arc<HashMap<KeyId, Chains>>,
    /// The directory, cut where the base of the URLs belongs.
    directory: Vec<String>,
}

/// The method once for each profile that an order may choose, by the name that orders call it.
pub type AcmeProfiles = HashMap<String, Arc<Method>>;

/// What follows a certificate in its chain, PEM: the default first, then alternates (RFC 8555 §7.4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chains(Vec<Bytes>);

/// Stands for the base of the URLs while the directory is made: no configured text can hold it.
const BASE: &str = "\u{0}";

impl AcmeService {
    /// `chains`: of every authority that a certificate of the method may be of, by the identifier of its key. `hosts`: the
    /// names by which the server may be asked.
    ///
    /// # Errors
    /// [`Error::Internal`] where a compiled part cannot be used: resolving checks them all.
    pub fn new(
        method: Arc<Method>,
        settings: &CompiledAcme,
        profiles: AcmeProfiles,
        chains: Arc<HashMap<KeyId, Chains>>,
        hosts: Arc<Hosts>,
    ) -> Result<Self, Error> {
        if let Some(unknown) = settings.profiles.iter().find(|listed| !profiles.contains_key(&listed.name)) {
            return Err(Error::Internal(format!("the profile {} is not in force", unknown.profile)));
        }
        let validator = Validator::new(&settings.validation)
            .map_err(|error| Error::Internal(format!("validation: {error}")))?;
        let directory = directory(settings)?;
        let settings = settings.clone();
        Ok(Self { method, settings, validator: Arc::new(validator), hosts, profiles, chains, directory })
    }

    /// The method with the profile that an order chose; none where there is no such profile.
    pub(super) fn with_profile(&self, chosen: Option<&str>) -> Option<&Arc<Method>> {
        match chosen {
            Some(name) => self.profiles.get(name),
            None => Some(&self.method),
        }
    }

    /// Whether new certificates are of this authority, with whatever profile.
    pub(super) fn issues_with(&self, issuer: KeyId) -> bool {
        let methods = std::iter::once(&self.method).chain(self.profiles.values());
        methods.filter_map(|method| method.profile.authority.as_ref()).any(|found| found.key_id() == issuer)
    }

    /// What follows a certificate of this issuer; none where the authority is not one of this server any more.
    pub(super) fn chains(&self, issuer: KeyId) -> Option<&Chains> {
        self.chains.get(&issuer)
    }

    /// RFC 8555 §7.1.1, with URLs below `base`.
    pub(super) fn directory(&self, base: &str) -> String {
        self.directory.join(base)
    }
}

impl Chains {
    /// [`Authority::presented_chain`]. Where that lacks the root, the whole chain is an alternate.
    pub fn of(authority: &Authority) -> Self {
        let text = |chain: &[Vec<u8>]| {
            let certificates = chain.iter().map(|der| pem::encode("CERTIFICATE", der));
            Bytes::from(certificates.collect::<String>())
        };
        let (presented, whole) = (authority.presented_chain(), &authority.chain);
        let mut chains = vec![text(presented)];
        if presented.len() < whole.len() {
            chains.push(text(whole));
        }
        Self(chains)
    }

    /// Of each authority of an office.
    pub fn of_office(office: &Office) -> HashMap<KeyId, Self> {
        office.authorities.values().map(|authority| (authority.key_id(), Self::of(authority))).collect()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Bytes> {
        self.0.get(index)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// RFC 8555 §9.7.5, §9.7.6; `renewalInfo` RFC 9773 §4; `profiles` draft-ietf-acme-profiles §3.
fn directory(settings: &CompiledAcme) -> Result<Vec<String>, Error> {
    use crds::ExternalAccountBinding as Binding;
    let mut meta = Map::new();
    let texts = [("termsOfService", &settings.meta.terms_of_service), ("website", &settings.meta.website)];
    for (name, text) in texts {
        meta.extend(text.iter().map(|text| (name.to_owned(), json!(text))));
    }
    if !settings.meta.caa_identities.is_empty() {
        meta.insert("caaIdentities".into(), json!(settings.meta.caa_identities));
    }
    match settings.external_account_binding {
        Binding::Required => drop(meta.insert("externalAccountRequired".into(), json!(true))),
        Binding::Optional | Binding::Disabled => {}
    }
    if !settings.profiles.is_empty() {
        let profiles = settings.profiles.iter();
        let profiles = profiles.map(|profile| (profile.name.clone(), json!(profile.description)));
        meta.insert("profiles".into(), Value::Object(profiles.collect()));
    }
    let url = |operation: &str| format!("{BASE}/{operation}");
    let mut directory = json!({
        "newNonce": url("new-nonce"),
        "newAccount": url("new-account"),
        "newOrder": url("new-order"),
        "revokeCert": url("revoke-cert"),
        "keyChange": url("key-change"),
        "renewalInfo": url("renewal-info"),
    });
    if let (Some(members), false) = (directory.as_object_mut(), meta.is_empty()) {
        members.insert("meta".into(), Value::Object(meta));
    }
    let text = serde_json::to_string(&directory).map_err(|error| Error::Internal(error.to_string()))?;
    // serde_json writes the character as an escape.
    Ok(text.split("\\u0000").map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use resolve::{CompiledAcmeMeta, CompiledAcmeProfile};

    use super::*;

    #[test]
    fn the_directory_says_what_the_method_offers_below_any_base() {
        let profile = CompiledAcmeProfile {
            name: "short".into(),
            description: "a day".into(),
            profile: issuance::identity::ResourceName::new("lab", "short"),
            minimum: issuance::policy::Strength::PersonalSecret,
        };
        let settings = CompiledAcme {
            meta: CompiledAcmeMeta {
                terms_of_service: Some("https://acme.example/terms".into()),
                ..CompiledAcmeMeta::default()
            },
            profiles: vec![profile],
            ..CompiledAcme::default()
        };
        let parts = directory(&settings).unwrap();
        let directory: Value = serde_json::from_str(&parts.join("https://ca.example/acme/x")).unwrap();
        assert_eq!(directory["newOrder"], "https://ca.example/acme/x/new-order");
        assert_eq!(directory["renewalInfo"], "https://ca.example/acme/x/renewal-info");
        assert_eq!(
            directory["meta"],
            json!({
                "termsOfService": "https://acme.example/terms",
                "externalAccountRequired": true,
                "profiles": { "short": "a day" },
            })
        );
    }

    #[test]
    fn a_directory_with_nothing_to_say_has_no_meta() {
        let settings = CompiledAcme {
            external_account_binding: crds::ExternalAccountBinding::Optional,
            ..CompiledAcme::default()
        };
        let parts = directory(&settings).unwrap();
        let directory: Value = serde_json::from_str(&parts.join("x")).unwrap();
        assert!(directory.get("meta").is_none(), "{directory}");
    }
}
