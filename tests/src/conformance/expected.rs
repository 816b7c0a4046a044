//! What must come of what was asked for.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use pki::key::{Curve, KeyType};
use serde_json::Value;

use super::office::PROFILE_SECONDS;

/// What a certificate must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub key: KeyType,
    /// RFC 4514; empty: no subject.
    pub subject: String,
    /// Whether the order of the subject was asked for too. Else it is cert-manager's, which has changed between releases.
    pub subject_in_order: bool,
    /// As our names print: `dns:a.example`.
    pub names: BTreeSet<String>,
    /// As RFC 5280 spells the bits.
    pub key_usage: BTreeSet<String>,
    /// Empty: none was asked for, and the profile decides.
    pub purposes: BTreeSet<String>,
    /// From notBefore to notAfter.
    pub seconds: i64,
    pub is_ca: bool,
}

impl Expected {
    /// What the `spec` of a Certificate asks for, with cert-manager's defaults.
    pub fn of_certificate(spec: &Value) -> Result<Self> {
        let is_ca = spec["isCA"] == true;
        let key = key(&spec["privateKey"])?;
        let usages = match texts(spec, "usages") {
            given if given.is_empty() => vec!["digital signature".to_owned(), "key encipherment".to_owned()],
            given => given,
        };
        let (key_usage, purposes) = split_usages(&usages, is_ca, key)?;
        Ok(Self {
            key,
            subject: subject(spec)?,
            subject_in_order: spec["literalSubject"].is_string(),
            names: names(spec)?,
            key_usage,
            purposes,
            seconds: seconds(spec["duration"].as_str())?,
            is_ca,
        })
    }
}

fn key(private_key: &Value) -> Result<KeyType> {
    let size = private_key["size"].as_u64();
    Ok(match (private_key["algorithm"].as_str().unwrap_or("RSA"), size) {
        ("RSA", None | Some(2048)) => KeyType::Rsa { bits: 2048 },
        ("RSA", Some(4096)) => KeyType::Rsa { bits: 4096 },
        ("ECDSA", None | Some(256)) => KeyType::Ecdsa(Curve::P256),
        ("ECDSA", Some(384)) => KeyType::Ecdsa(Curve::P384),
        ("ECDSA", Some(521)) => KeyType::Ecdsa(Curve::P521),
        ("Ed25519", None) => KeyType::Ed25519,
        other => bail!("no case asks for a key of {other:?}"),
    })
}

fn subject(spec: &Value) -> Result<String> {
    if let Some(literal) = spec["literalSubject"].as_str() {
        return Ok(literal.to_owned());
    }
    let subject = &spec["subject"];
    let mut parts = Vec::new();
    for (short, member) in [
        ("C", "countries"),
        ("O", "organizations"),
        ("OU", "organizationalUnits"),
        ("L", "localities"),
        ("ST", "provinces"),
        ("STREET", "streetAddresses"),
        ("postalCode", "postalCodes"),
    ] {
        let values = texts(subject, member);
        if values.len() > 1 {
            bail!("cases have one value of {member}: more make one RDN of several attributes");
        }
        parts.extend(values.into_iter().map(|value| format!("{short}={value}")));
    }
    parts.extend(spec["commonName"].as_str().map(|value| format!("CN={value}")));
    parts.extend(subject["serialNumber"].as_str().map(|value| format!("serialNumber={value}")));
    Ok(parts.join(","))
}

fn names(spec: &Value) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for (form, member) in
        [("dns", "dnsNames"), ("ip", "ipAddresses"), ("uri", "uris"), ("email", "emailAddresses")]
    {
        found.extend(texts(spec, member).into_iter().map(|value| format!("{form}:{value}")));
    }
    for other in spec["otherNames"].as_array().into_iter().flatten() {
        let text = |member: &str| other[member].as_str().context("an otherName lacks a member");
        found.insert(format!("otherName:{}:{}", text("oid")?, text("utf8Value")?));
    }
    Ok(found)
}

/// Usages as Kubernetes spells them, as bits and purposes of RFC 5280. Bits that the key cannot have are left out, as
/// RFC 8813 §3 and RFC 9295 §3 say.
pub(super) fn split_usages(
    usages: &[String],
    is_ca: bool,
    key: KeyType,
) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let (mut bits, mut purposes) = (BTreeSet::new(), BTreeSet::new());
    for usage in usages {
        let (set, name) = match usage.as_str() {
            "signing" | "digital signature" => (&mut bits, "digitalSignature"),
            "content commitment" => (&mut bits, "nonRepudiation"),
            "key encipherment" => (&mut bits, "keyEncipherment"),
            "data encipherment" => (&mut bits, "dataEncipherment"),
            "key agreement" => (&mut bits, "keyAgreement"),
            "cert sign" => (&mut bits, "keyCertSign"),
            "server auth" => (&mut purposes, "serverAuth"),
            "client auth" => (&mut purposes, "clientAuth"),
            "code signing" => (&mut purposes, "codeSigning"),
            "email protection" => (&mut purposes, "emailProtection"),
            other => bail!("no case asks for the usage {other:?}"),
        };
        set.insert(name.to_owned());
    }
    if is_ca {
        bits.insert("keyCertSign".to_owned());
    }
    if !matches!(key, KeyType::Rsa { .. }) {
        bits.remove("keyEncipherment");
        bits.remove("dataEncipherment");
    }
    if !matches!(key, KeyType::Ecdsa(_)) {
        bits.remove("keyAgreement");
    }
    Ok((bits, purposes))
}

/// Hours, minutes and seconds, as the cases write them.
pub(super) fn seconds(duration: Option<&str>) -> Result<i64> {
    let Some(text) = duration else { return Ok(PROFILE_SECONDS) };
    let (mut total, mut number) = (0, String::new());
    for character in text.chars() {
        let unit = match character {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            digit => {
                number.push(digit);
                continue;
            }
        };
        total += unit * std::mem::take(&mut number).parse::<i64>().context("not a duration")?;
    }
    Ok(total)
}

fn texts(value: &Value, member: &str) -> Vec<String> {
    let list = value[member].as_array().into_iter().flatten();
    list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::conformance::cases;

    #[test]
    fn what_is_expected_follows_from_what_is_asked() -> Result<()> {
        let expected = Expected::of_certificate(&json!({
            "commonName": "cn", "dnsNames": ["a.example"], "ipAddresses": ["127.0.0.1"],
            "duration": "1h1m1s", "privateKey": {"algorithm": "ECDSA"},
            "usages": ["signing", "key encipherment", "server auth"],
        }))?;
        assert_eq!(expected.key, KeyType::Ecdsa(Curve::P256));
        assert_eq!((expected.subject.as_str(), expected.seconds), ("CN=cn", 3661));
        assert_eq!(expected.names, ["dns:a.example".to_owned(), "ip:127.0.0.1".to_owned()].into());
        assert_eq!(expected.key_usage, ["digitalSignature".to_owned()].into());
        assert_eq!(expected.purposes, ["serverAuth".to_owned()].into());
        Ok(())
    }

    #[test]
    fn every_case_can_be_judged() -> Result<()> {
        for case in cases("example.com") {
            let expected = Expected::of_certificate(&case.spec).with_context(|| case.name)?;
            assert!(!expected.names.is_empty() || !expected.subject.is_empty(), "{}", case.name);
        }
        Ok(())
    }
}
