//! Whose client certificates are taken: authorities here, and bundles of authorities elsewhere.

use crds::{
    ClientCertificates, Kind, ObjectRef, RestClientCertificates, RevocationCheck, RevocationListBytes,
    RevocationListSource, SecretKeyRef, TrustedAuthority, TrustedAuthoritySource, conditions::Reason,
};
use issuance::identity::ResourceName;
use pki::{certificate::Certificate, crl::CertificateList};

use crate::{
    authority, bundle,
    compiled_est::CompiledTrust,
    method::Context,
    resources::follow,
    status::{Problem, Problems},
};

/// Most certificates of one bundle.
const MOST_CERTIFICATES: usize = 64;

/// What a resource says about them.
pub(crate) struct Given<'g> {
    /// The member that says it.
    pub(crate) path: &'static str,
    pub(crate) authorities: &'g [TrustedAuthority],
    pub(crate) crls: &'g [RevocationListSource],
    pub(crate) revocation: RevocationCheck,
}

impl<'g> Given<'g> {
    pub(crate) fn of_est(given: &'g ClientCertificates) -> Self {
        Self {
            path: "spec.est.clientCertificates",
            authorities: &given.authorities,
            crls: &given.crls,
            revocation: given.revocation,
        }
    }

    pub(crate) fn of_rest(given: &'g RestClientCertificates) -> Self {
        Self {
            path: "spec.rest.clientCertificates",
            authorities: &given.authorities,
            crls: &given.crls,
            revocation: given.revocation,
        }
    }

    fn authorities_path(&self) -> String {
        format!("{}.authorities", self.path)
    }

    fn crls_path(&self) -> String {
        format!("{}.crls", self.path)
    }
}

/// What is trusted, as far as it can be compiled.
pub(crate) struct Trust {
    pub(crate) compiled: CompiledTrust,
    /// Whether an authority here is still to get its certificate.
    pub(crate) waits: bool,
}

/// What the entries hold together.
#[derive(Default)]
struct Found {
    anchors: Vec<Certificate>,
    intermediates: Vec<Certificate>,
    authorities: Vec<ResourceName>,
    waits: bool,
}

/// The trust of a method; what is wrong with it is noted.
pub(crate) fn compile(context: &Context<'_, '_>, given: &Given<'_>, problems: &mut Problems) -> Trust {
    let mut found = Found::default();
    let path = given.authorities_path();
    if given.authorities.is_empty() {
        problems.invalid(&path, "give at least one");
    }
    let mut is_whole = true;
    for (index, entry) in given.authorities.iter().enumerate() {
        let added = found.add(context, &format!("{path}[{index}]"), entry);
        is_whole &= problems.note(added).is_some();
    }
    // Only of the whole can be said whose issuer is missing; where a part could not be read, that is what is said.
    is_whole &= !found.waits;
    found.intermediates.retain(|certificate| !found.anchors.contains(certificate));
    if is_whole {
        problems.note(found.check_intermediates(&path));
    }
    let path = given.crls_path();
    let mut crls = Vec::new();
    for (index, source) in given.crls.iter().enumerate() {
        let lists = problems.note(read_lists(context, &format!("{path}[{index}]"), source));
        crls.extend(lists.unwrap_or_default());
    }
    if is_whole {
        problems.note(found.check_lists(&path, &crls));
    }
    found.authorities.sort();
    found.authorities.dedup();
    let compiled = CompiledTrust {
        anchors: encoded(&found.anchors),
        intermediates: encoded(&found.intermediates),
        crls: crls.iter().map(|list| list.der().to_vec()).collect(),
        revocation: given.revocation,
        authorities: found.authorities,
    };
    Trust { compiled, waits: found.waits }
}

impl Found {
    fn add(
        &mut self,
        context: &Context<'_, '_>,
        path: &str,
        entry: &TrustedAuthority,
    ) -> Result<(), Problem> {
        match entry.source() {
            Some(TrustedAuthoritySource::Authority(reference)) => {
                self.add_authority(context, &format!("{path}.certificateAuthorityRef"), reference)
            }
            Some(TrustedAuthoritySource::Secret(reference)) => {
                let path = format!("{path}.secretRef");
                let key = TrustedAuthority::DEFAULT_KEY;
                let (text, place) = secret_text(context, &path, reference, key)?;
                let refuse = |what| Problem::new(Reason::SecretInvalid, &path, format!("{place} {what}"));
                self.add_bundle(text).map_err(refuse)
            }
            Some(TrustedAuthoritySource::Bundle(text)) => {
                let refuse = |what| Problem::invalid(format!("{path}.bundle"), what);
                self.add_bundle(text.as_bytes()).map_err(refuse)
            }
            None => Err(Problem::invalid(
                path,
                "give exactly one of certificateAuthorityRef, secretRef and bundle",
            )),
        }
    }

    /// The authority itself is trusted and not its root, which may have signed authorities of other purposes too.
    fn add_authority(
        &mut self,
        context: &Context<'_, '_>,
        path: &str,
        reference: &ObjectRef,
    ) -> Result<(), Problem> {
        let target = ResourceName::new(reference.namespace_or(context.name.namespace()), &reference.name);
        let found = follow(context.authorities, Kind::CertificateAuthority, path, &target)?;
        authority::check_grant(context.index, path, found, context.name)?;
        match found.certificate() {
            Some(certificate) => push_new(&mut self.anchors, certificate.clone()),
            None => self.waits = true,
        }
        if context.server == Some(&found.server) {
            self.authorities.push(target);
        }
        Ok(())
    }

    fn add_bundle(&mut self, text: &[u8]) -> Result<(), String> {
        let certificates = bundle::certificates(text, MOST_CERTIFICATES)?;
        if certificates.is_empty() {
            return Err("holds no certificate".to_owned());
        }
        for certificate in &certificates {
            bundle::check_authority(certificate, 0)?;
        }
        let has_root = certificates.iter().any(is_root);
        for certificate in certificates {
            if !has_root || is_root(&certificate) {
                push_new(&mut self.anchors, certificate);
            } else {
                push_new(&mut self.intermediates, certificate);
            }
        }
        Ok(())
    }

    /// One whose issuer is not here leads nowhere: its devices would be refused, and nothing would say why.
    fn check_intermediates(&self, path: &str) -> Result<(), Problem> {
        let is_led_on = |certificate: &&Certificate| {
            self.all().any(|issuer| {
                issuer.subject() == certificate.issuer()
                    && certificate.verify_signed_by(issuer.public_key()).is_ok()
            })
        };
        match self.intermediates.iter().find(|certificate| !is_led_on(certificate)) {
            None => Ok(()),
            Some(lost) => Err(Problem::invalid(
                path,
                format!(
                    "\"{}\" is not self-signed, and no certificate here signed it by an algorithm that is taken: \
                     add \"{}\", or put it into a bundle without self-signed ones to trust it by itself",
                    lost.subject(),
                    lost.issuer()
                ),
            )),
        }
    }

    /// One that nobody here signed would never be used.
    fn check_lists(&self, path: &str, lists: &[CertificateList]) -> Result<(), Problem> {
        let is_signed = |list: &&CertificateList| {
            self.all().any(|issuer| {
                issuer.subject() == list.issuer() && list.verify_signed_by(issuer.public_key()).is_ok()
            })
        };
        match lists.iter().find(|list| !is_signed(list)) {
            None => Ok(()),
            Some(lost) => Err(Problem::invalid(
                path,
                format!("no certificate under authorities signed the list of \"{}\"", lost.issuer()),
            )),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Certificate> {
        self.anchors.iter().chain(&self.intermediates)
    }
}

fn read_lists(
    context: &Context<'_, '_>,
    path: &str,
    source: &RevocationListSource,
) -> Result<Vec<CertificateList>, Problem> {
    match source.source() {
        Some(RevocationListBytes::Secret(reference)) => {
            let path = format!("{path}.secretRef");
            let key = RevocationListSource::DEFAULT_KEY;
            let (text, place) = secret_text(context, &path, reference, key)?;
            let refuse = |what| Problem::new(Reason::SecretInvalid, &path, format!("{place} {what}"));
            bundle::revocation_lists(text).map_err(refuse)
        }
        Some(RevocationListBytes::Bundle(text)) => bundle::revocation_lists(text.as_bytes())
            .map_err(|what| Problem::invalid(format!("{path}.bundle"), what)),
        None => Err(Problem::invalid(path, "give exactly one of secretRef and bundle")),
    }
}

/// What a Secret holds, and how messages name the place.
fn secret_text<'a>(
    context: &Context<'_, 'a>,
    path: &str,
    reference: &SecretKeyRef,
    default_key: &str,
) -> Result<(&'a [u8], String), Problem> {
    let secret = ResourceName::new(context.name.namespace(), &reference.name);
    let key = reference.key.as_deref().unwrap_or(default_key);
    let place = format!("the Secret {secret}: {key}");
    match context.index.secret_value(path, &secret, key)? {
        Some(text) => Ok((text, place)),
        None => Err(Problem::new(Reason::SecretInvalid, path, format!("{place} is missing"))),
    }
}

/// Whether it signed itself. Where that cannot be checked, as with the SHA-1 signatures of old roots, the names decide: the
/// signature of a root protects nothing, and whoever wrote the bundle has vouched for it.
fn is_root(certificate: &Certificate) -> bool {
    certificate.issuer() == certificate.subject()
        && (certificate.signature_algorithm().is_err()
            || certificate.verify_signed_by(certificate.public_key()).is_ok())
}

fn push_new(list: &mut Vec<Certificate>, certificate: Certificate) {
    if !list.contains(&certificate) {
        list.push(certificate);
    }
}

fn encoded(certificates: &[Certificate]) -> Vec<Vec<u8>> {
    certificates.iter().map(|certificate| certificate.der().to_vec()).collect()
}
