//! What a request should have, from the profile (RFC 7030 §4.5, RFC 9908 §3.2).

use issuance::policy::{Presence, Profile, UsageMode};
use pki::{
    algorithm::SignatureAlgorithm,
    csrattrs::{AttrOrOid, CsrAttrs},
    extension::{ExtendedKeyUsage, SubjectAltName, TypedExtension as _},
    key::KeyType,
};

/// The list for a profile; none where the profile wants nothing in particular.
pub(super) fn csr_attrs(policy: &Profile) -> Option<Vec<u8>> {
    let mut wanted = Vec::new();
    let required = policy.subject.attributes.iter().filter(|rule| rule.presence == Presence::Required);
    wanted.extend(required.map(|rule| AttrOrOid::Oid(rule.kind.oid())));
    // The profile's first key is the one it would rather see.
    if let Some(key) = policy.keys.allowed.first() {
        wanted.push(AttrOrOid::key(KeyType::from(*key)));
        wanted.push(AttrOrOid::signature(SignatureAlgorithm::for_key(*key)));
    }
    // What the profile fixes need not be asked for; what it takes from the request is worth asking for.
    let mut extensions = Vec::new();
    if policy.key_usage.mode == UsageMode::FromRequest && !policy.key_usage.usages.is_empty() {
        extensions.push(policy.key_usage.usages.to_extension());
    }
    if policy.extended_key_usage.mode == UsageMode::FromRequest
        && !policy.extended_key_usage.usages.is_empty()
    {
        let usages = policy.extended_key_usage.usages.iter().map(|oid| oid.0).collect();
        extensions.push(ExtendedKeyUsage(usages).to_extension());
    }
    if !extensions.is_empty() {
        wanted.push(AttrOrOid::extension_request(&extensions));
    }
    if needs_names(policy) {
        // Its value is the device's own, so only the type can be named.
        wanted.push(AttrOrOid::Oid(SubjectAltName::OID));
    }
    (!wanted.is_empty()).then(|| CsrAttrs(wanted).to_der())
}

fn needs_names(policy: &Profile) -> bool {
    let names = &policy.subject_alt_names;
    let presences = [
        names.dns.as_ref().map(|rule| rule.name.presence),
        names.ip.as_ref().map(|rule| rule.presence),
        names.uri.as_ref().map(|rule| rule.presence),
        names.email.as_ref().map(|rule| rule.presence),
    ];
    let others = names.other_names.iter().map(|rule| Some(rule.name.presence));
    presences.into_iter().chain(others).any(|presence| presence == Some(Presence::Required))
}
