//! Parts to a configuration that holds together.

use std::collections::{BTreeMap, BTreeSet};

use issuance::{identity::ResourceName, policy::IssuerChoice, secret::Secret};

use super::{
    manifest::{Manifest, PartEntry},
    part::{Part, PartContent, PartKind, sha256_hex},
};
use crate::{
    Compiled, CompiledAuthority, CompiledCredential, CompiledMethod, CompiledServer, CompiledTls, FORMAT,
    authority::causes,
};

/// What a manifest and its parts come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Assembled {
    pub compiled: Compiled,
    /// PKCS#8 DER, of the authorities that the server issues with.
    pub keys: BTreeMap<ResourceName, Secret>,
    /// DER: revocation lists that somebody else made, by authority.
    pub crls: BTreeMap<ResourceName, Vec<u8>>,
    /// The SHA-256 of every part in `compiled`, by the name of its Secret.
    pub parts: BTreeMap<String, String>,
    /// Parts that are not in `compiled`, by the name of their Secret, and why.
    pub failed: BTreeMap<String, String>,
}

/// Why a manifest is refused as a whole. What is in force stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    #[error("the manifest is for the EnrollmentServer {found}")]
    OtherServer { found: ResourceName },
    #[error("the manifest has generation {found}, which is older than {in_force}, the one in force")]
    Older { found: u64, in_force: u64 },
    #[error("the manifest lists no part of the EnrollmentServer itself")]
    NoServer,
    /// It may still arrive.
    #[error("the Secret {secret} of the {kind} {name} is not there")]
    Missing { secret: String, kind: PartKind, name: ResourceName },
    /// The right one may still arrive.
    #[error("the Secret {secret} of the {kind} {name} is not the one that the manifest lists")]
    Mismatch { secret: String, kind: PartKind, name: ResourceName },
    #[error("the part of the EnrollmentServer cannot be put in force: {why}")]
    Server { why: String },
}

/// Puts the parts that a manifest lists together. The caller has checked its signature.
///
/// `server` is who asks, `in_force` the generation it works with now (0: none), `secrets` the JSON of parts by the name of their
/// Secret; what the manifest does not list is ignored.
///
/// # Errors
/// Where the manifest is not for this server, is older than what is in force, or a part is missing or is not the one that it lists. A
/// part that cannot be understood, or refers to one that is not there, takes only itself and what refers to it out; but the
/// part of the server, and what its TLS certificate needs, are needed.
pub fn assemble(
    server: &ResourceName,
    in_force: u64,
    manifest: &Manifest,
    secrets: &BTreeMap<String, Vec<u8>>,
) -> Result<Assembled, AssembleError> {
    if manifest.server != *server {
        return Err(AssembleError::OtherServer { found: manifest.server.clone() });
    }
    if manifest.generation < in_force {
        return Err(AssembleError::Older { found: manifest.generation, in_force });
    }
    let mut found = Found::default();
    for (secret, entry) in &manifest.parts {
        let json = check(secret, entry, secrets)?;
        match read(secret, entry, json) {
            Ok(part) => found.add(secret, part),
            Err(why) => {
                found.failed.insert(secret.clone(), why);
            }
        }
    }
    found.assemble(server, manifest)
}

/// The JSON of a part, where it is the one that the manifest means.
fn check<'s>(
    secret: &str,
    entry: &PartEntry,
    secrets: &'s BTreeMap<String, Vec<u8>>,
) -> Result<&'s [u8], AssembleError> {
    let PartEntry { kind, name, sha256 } = entry;
    let describe = || (secret.to_owned(), *kind, name.clone());
    let json = secrets.get(secret).ok_or_else(|| {
        let (secret, kind, name) = describe();
        AssembleError::Missing { secret, kind, name }
    })?;
    if sha256_hex(json) != *sha256 {
        let (secret, kind, name) = describe();
        return Err(AssembleError::Mismatch { secret, kind, name });
    }
    Ok(json)
}

fn read(secret: &str, entry: &PartEntry, json: &[u8]) -> Result<Part, String> {
    let part = Part::from_json(json).map_err(|error| causes(&error))?;
    // One name leads to one Secret, so that no object can be there twice.
    if (part.kind(), part.name()) != (entry.kind, &entry.name) || part.secret_name() != secret {
        return Err(format!("it is the part of the {} {}", part.kind(), part.name()));
    }
    Ok(part)
}

/// Something with the name of its Secret.
type Located<T> = BTreeMap<ResourceName, (String, T)>;

/// Parts by kind, as far as they could be read.
#[derive(Default)]
struct Found {
    servers: Located<CompiledServer>,
    authorities: Located<CompiledAuthority>,
    profiles: Located<issuance::policy::Profile>,
    methods: Located<CompiledMethod>,
    credentials: Located<CompiledCredential>,
    keys: BTreeMap<ResourceName, Secret>,
    crls: BTreeMap<ResourceName, Vec<u8>>,
    failed: BTreeMap<String, String>,
}

impl Found {
    fn add(&mut self, secret: &str, part: Part) {
        let (name, secret) = (part.name().clone(), secret.to_owned());
        self.keys.extend(part.key.map(|key| (name.clone(), key)));
        self.crls.extend(part.crl.map(|list| (name.clone(), list)));
        match part.content {
            PartContent::Server(server) => {
                self.servers.insert(name, (secret, *server));
            }
            PartContent::Authority(authority) => {
                self.authorities.insert(name, (secret, *authority));
            }
            PartContent::Profile(profile) => {
                self.profiles.insert(name, (secret, *profile));
            }
            PartContent::Method(method) => {
                self.methods.insert(name, (secret, *method));
            }
            PartContent::Credential(credential) => {
                self.credentials.insert(name, (secret, *credential));
            }
        }
    }

    fn assemble(mut self, name: &ResourceName, manifest: &Manifest) -> Result<Assembled, AssembleError> {
        let (_, mut server) = self.servers.remove(name).ok_or_else(|| self.no_server(manifest))?;
        self.remove_foreign_servers(name);
        self.check_profiles();
        self.check_methods();
        self.check_credentials();
        if let Some(CompiledTls::Authority { authority, .. }) = &server.tls
            && let Some(why) = self.cannot_issue(authority)
        {
            return Err(AssembleError::Server { why: format!("its TLS certificate: {why}") });
        }
        server.default_method = server.default_method.filter(|method| self.methods.contains_key(method));
        server.labels.retain(|_, method| self.methods.contains_key(method));
        let there: BTreeSet<ResourceName> = self.authorities.keys().cloned().collect();
        for (_, authority) in self.authorities.values_mut() {
            authority.successor = authority.successor.take().filter(|successor| there.contains(successor));
        }
        let in_force = manifest.parts.iter().filter(|(secret, _)| !self.failed.contains_key(*secret));
        Ok(Assembled {
            parts: in_force.map(|(secret, entry)| (secret.clone(), entry.sha256.clone())).collect(),
            compiled: Compiled {
                format: FORMAT,
                server,
                authorities: contents(self.authorities),
                profiles: contents(self.profiles),
                methods: contents(self.methods),
                credentials: contents(self.credentials),
            },
            keys: self.keys,
            crls: self.crls,
            failed: self.failed,
        })
    }

    fn no_server(&self, manifest: &Manifest) -> AssembleError {
        let is_server = |(_, entry): &(&String, &PartEntry)| {
            entry.kind == PartKind::Server && entry.name == manifest.server
        };
        let listed = manifest.parts.iter().find(is_server);
        match listed.and_then(|(secret, _)| self.failed.get(secret)) {
            Some(why) => AssembleError::Server { why: why.clone() },
            None => AssembleError::NoServer,
        }
    }

    fn remove_foreign_servers(&mut self, name: &ResourceName) {
        for (secret, _) in std::mem::take(&mut self.servers).into_values() {
            self.failed.insert(secret, format!("it is the part of another server than {name}"));
        }
    }

    fn check_profiles(&mut self) {
        let why = |profile: &issuance::policy::Profile| match &profile.issuer {
            IssuerChoice::Authority(authority) => self.cannot_issue(authority),
            IssuerChoice::SelfSigned => None,
        };
        let lost = lost(&self.profiles, why);
        remove(&mut self.profiles, lost, &mut self.failed);
    }

    fn check_methods(&mut self) {
        let lost = lost(&self.methods, |method| {
            let mut profiles = method.profiles();
            if let Some(gone) = profiles.find(|profile| !self.profiles.contains_key(*profile)) {
                return Some(format!("its profile {gone} is not in force"));
            }
            // Whether what they signed is revoked could not be said.
            let trusted = method.trusted_authorities().iter();
            let mut gone = trusted.filter(|authority| !self.authorities.contains_key(*authority));
            gone.next()
                .map(|authority| format!("the authority {authority}, which it trusts, is not in force"))
        });
        remove(&mut self.methods, lost, &mut self.failed);
    }

    fn check_credentials(&mut self) {
        let lost = lost(&self.credentials, |credential| {
            let is_there = self.methods.contains_key(&credential.method);
            (!is_there).then(|| format!("its method {} is not in force", credential.method))
        });
        remove(&mut self.credentials, lost, &mut self.failed);
    }

    /// Why nothing can be issued by an authority, where nothing can.
    fn cannot_issue(&self, authority: &ResourceName) -> Option<String> {
        if !self.authorities.contains_key(authority) {
            return Some(format!("its authority {authority} is not in force"));
        }
        (!self.keys.contains_key(authority))
            .then(|| format!("the key of its authority {authority} is not there"))
    }
}

/// Those that something is wrong with.
fn lost<T>(located: &Located<T>, why: impl Fn(&T) -> Option<String>) -> Vec<(ResourceName, String)> {
    located.iter().filter_map(|(name, (_, content))| Some((name.clone(), why(content)?))).collect()
}

fn remove<T>(
    located: &mut Located<T>,
    lost: Vec<(ResourceName, String)>,
    failed: &mut BTreeMap<String, String>,
) {
    for (name, why) in lost {
        if let Some((secret, _)) = located.remove(&name) {
            failed.insert(secret, why);
        }
    }
}

fn contents<T>(located: Located<T>) -> Vec<T> {
    located.into_values().map(|(_, content)| content).collect()
}
