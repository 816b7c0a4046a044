//! What extensions say. One that is malformed does not hide the others.

use std::fmt::Display;

use pki::{
    ObjectIdentifier,
    extension::{
        AuthorityInfoAccess, AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies,
        CrlDistributionPoints, ExtendedKeyUsage, Extension, ExtensionError, KeyUsage, SubjectAltName,
        SubjectKeyIdentifier, TypedExtension, eku_name,
    },
};

use super::description::Description;

/// Those that are shown by what they mean; the others are listed.
const KNOWN: [ObjectIdentifier; 9] = [
    SubjectAltName::OID,
    BasicConstraints::OID,
    KeyUsage::OID,
    ExtendedKeyUsage::OID,
    SubjectKeyIdentifier::OID,
    AuthorityKeyIdentifier::OID,
    CrlDistributionPoints::OID,
    AuthorityInfoAccess::OID,
    CertificatePolicies::OID,
];

pub(super) fn describe(said: &mut Description, extensions: &[Extension]) {
    let mut wrong = Vec::new();
    shown(said, extensions, &mut wrong);
    let others = extensions.iter().filter(|extension| !KNOWN.contains(&extension.oid));
    said.list("otherExtensions", others.map(|extension| extension.oid));
    let critical = extensions.iter().filter(|extension| extension.critical);
    said.list("criticalExtensions", critical.map(|extension| extension.oid));
    said.list("malformed", wrong);
}

fn shown(said: &mut Description, extensions: &[Extension], wrong: &mut Vec<String>) {
    if let Some(SubjectAltName(names)) = find(extensions, wrong) {
        said.list("names", names);
    }
    if let Some(BasicConstraints { ca, path_length }) = find(extensions, wrong) {
        said.flag("authority", ca);
        if let Some(length) = path_length {
            said.number("pathLength", length.into());
        }
    }
    if let Some(usage) = find::<KeyUsage>(extensions, wrong) {
        said.list("keyUsage", usage.iter());
    }
    if let Some(ExtendedKeyUsage(purposes)) = find(extensions, wrong) {
        said.list("extendedKeyUsage", purposes.iter().map(purpose));
    }
    if let Some(CertificatePolicies(policies)) = find(extensions, wrong) {
        said.list("policies", policies);
    }
    if let Some(SubjectKeyIdentifier(id)) = find(extensions, wrong) {
        said.text("subjectKeyIdentifier", hex::encode(id));
    }
    if let Some(AuthorityKeyIdentifier(Some(id))) = find(extensions, wrong) {
        said.text("authorityKeyIdentifier", hex::encode(id));
    }
    if let Some(CrlDistributionPoints(uris)) = find(extensions, wrong) {
        said.list("revocationLists", uris);
    }
    if let Some(AuthorityInfoAccess { ca_issuers, ocsp }) = find(extensions, wrong) {
        said.list("issuerCertificates", ca_issuers).list("ocsp", ocsp);
    }
}

fn find<T: TypedExtension>(extensions: &[Extension], wrong: &mut Vec<String>) -> Option<T> {
    T::find(extensions).unwrap_or_else(|error: ExtensionError| {
        wrong.push(error.to_string());
        None
    })
}

fn purpose(oid: &ObjectIdentifier) -> impl Display + use<> {
    eku_name(oid).map_or_else(|| oid.to_string(), str::to_owned)
}
