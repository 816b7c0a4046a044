//! Whether a certificate is what was asked for.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use pki::{certificate::Certificate, extension::eku_name};

use super::{expected::Expected, office::PROFILE_PURPOSES};
use crate::{Workspace, openssl, program};

/// What was handed out.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    /// PEM: the certificate, then those above it.
    pub chain: Vec<u8>,
    /// PEM: the root; none where there is no place for it.
    pub ca: Option<Vec<u8>>,
    /// PEM; none where it never left whoever asked.
    pub key: Option<Vec<u8>>,
}

/// # Errors
/// Everything that differs, in one message.
pub fn judge(expected: &Expected, delivered: &Delivered, root: &[u8]) -> Result<()> {
    let chain = certificates(&delivered.chain).context("the chain")?;
    let leaf = chain.first().context("there is no certificate")?;
    let mut wrong = Vec::new();
    let mut check = |what: &str, found: String, wanted: String| {
        if found != wanted {
            wrong.push(format!("{what}: {found}, not {wanted}"));
        }
    };
    check("key", format!("{:?}", leaf.public_key().key_type()), format!("{:?}", expected.key));
    let subject = |text: &str| if expected.subject_in_order { text.to_owned() } else { sorted(text) };
    check("subject", subject(&leaf.subject().to_string()), subject(&expected.subject));
    check("names", format!("{:?}", subject_alt_names(leaf)?), format!("{:?}", expected.names));
    check("keyUsage", format!("{:?}", key_usage(leaf)?), format!("{:?}", expected.key_usage));
    let purposes = purposes(leaf)?;
    let allowed: BTreeSet<String> = PROFILE_PURPOSES.map(str::to_owned).into();
    if !expected.purposes.is_empty() {
        check("extendedKeyUsage", format!("{purposes:?}"), format!("{:?}", expected.purposes));
    } else if !purposes.is_subset(&allowed) {
        check("extendedKeyUsage", format!("{purposes:?}"), format!("some of {allowed:?}"));
    }
    let seconds = leaf.not_after().unix() - leaf.not_before().unix();
    check("validity in seconds", seconds.to_string(), expected.seconds.to_string());
    let is_ca = leaf.basic_constraints()?.is_some_and(|constraints| constraints.ca);
    check("isCA", is_ca.to_string(), expected.is_ca.to_string());
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    judge_chain(&chain, delivered, root)?;
    judge_by_openssl(expected, delivered, root)
}

/// The parts of a subject without escapes, in an order of ours.
fn sorted(subject: &str) -> String {
    let mut parts: Vec<&str> = subject.split(',').collect();
    parts.sort_unstable();
    parts.join(",")
}

/// The alternative names as our names print.
pub fn subject_alt_names(certificate: &Certificate) -> Result<BTreeSet<String>> {
    Ok(certificate.subject_alt_names()?.iter().map(ToString::to_string).collect())
}

fn key_usage(certificate: &Certificate) -> Result<BTreeSet<String>> {
    let usage = certificate.key_usage()?.unwrap_or_default();
    Ok(usage.iter().map(|bit| bit.as_str().to_owned()).collect())
}

fn purposes(certificate: &Certificate) -> Result<BTreeSet<String>> {
    let purposes = certificate.extended_key_usage()?.unwrap_or_default();
    Ok(purposes.0.iter().map(|oid| eku_name(oid).map_or_else(|| oid.to_string(), str::to_owned)).collect())
}

/// Leaf first, each signed by the next, no root among them; the last signed by the root, which is the one we know.
fn judge_chain(chain: &[Certificate], delivered: &Delivered, root: &[u8]) -> Result<()> {
    let known = certificates(root)?.into_iter().next().context("we know no root")?;
    for (lower, upper) in chain.iter().zip(chain.iter().skip(1).chain([&known])) {
        lower.verify_signed_by(upper.public_key()).with_context(|| {
            format!("{} is not signed by {}, which comes next", lower.subject(), upper.subject())
        })?;
    }
    ensure!(!chain.iter().any(Certificate::is_self_signed), "a root is in the chain");
    if let Some(ca) = &delivered.ca {
        let ca = certificates(ca).context("ca.crt")?;
        ensure!(ca == [known], "ca.crt holds something else than the root alone");
    }
    Ok(())
}

/// openssl has the last word: it did not write any of this.
fn judge_by_openssl(expected: &Expected, delivered: &Delivered, root: &[u8]) -> Result<()> {
    let workspace = Workspace::new()?;
    let chain = workspace.write("chain.pem", &delivered.chain)?;
    let root = workspace.write("root.pem", root)?;
    let (chain, root) = (chain.to_string_lossy(), root.to_string_lossy());
    // RFC 5280 §4.1.2.6: an authority without a name. It is what was asked for; only the strict mind it.
    let strict = if expected.is_ca && expected.subject.is_empty() { "-check_ss_sig" } else { "-x509_strict" };
    let arguments = ["verify", strict, "-CAfile", &root, "-untrusted", &chain, &chain];
    let answer = program::run("openssl", &arguments, None)?;
    ensure!(answer.status.success(), "openssl verify: {}", program::printed(&answer));
    if let Some(key) = &delivered.key {
        let key = workspace.write("key.pem", key)?;
        ensure!(openssl::is_for_key(chain.as_ref().as_ref(), &key)?, "tls.key is not the certificate's");
    }
    Ok(())
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>> {
    let blocks = pki::pem::decode_all(pem)?;
    blocks
        .iter()
        .map(|block| {
            ensure!(block.label == "CERTIFICATE", "a {} is among certificates", block.label);
            Ok(Certificate::from_der(&block.der)?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
        KeyUsagePurpose, SanType, date_time_ymd,
    };
    use serde_json::{Value, json};

    use super::*;

    struct Made {
        delivered: Delivered,
        root: Vec<u8>,
    }

    /// A certificate as `spec()` asks for it, but for what `change` does to it.
    fn made(change: impl FnOnce(&mut CertificateParams)) -> Made {
        let root = CertifiedIssuer::self_signed(authority("Root"), KeyPair::generate().unwrap()).unwrap();
        let issuing =
            CertifiedIssuer::signed_by(authority("Issuing"), KeyPair::generate().unwrap(), &root).unwrap();
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "cn");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2049, 1, 1));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &issuing).unwrap();
        let delivered = Delivered {
            chain: format!("{}{}", leaf.pem(), issuing.pem()).into_bytes(),
            ca: Some(root.pem().into_bytes()),
            key: Some(key.serialize_pem().into_bytes()),
        };
        Made { delivered, root: root.pem().into_bytes() }
    }

    fn authority(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2049, 1, 1));
        params
    }

    /// 8401 days, 6 of them in leap years.
    fn spec() -> Value {
        json!({
            "commonName": "cn", "dnsNames": ["a.example"], "duration": "201624h", "privateKey": {"algorithm": "ECDSA"},
            "usages": ["digital signature", "server auth"],
        })
    }

    fn verdict(made: &Made) -> Result<()> {
        judge(&Expected::of_certificate(&spec())?, &made.delivered, &made.root)
    }

    #[test]
    fn what_was_asked_for_passes() -> Result<()> {
        verdict(&made(|_| {}))
    }

    #[test]
    fn each_difference_is_found() {
        type Change = fn(&mut CertificateParams);
        let cases: [(&str, Change); 7] = [
            ("subject", |it| it.distinguished_name.push(DnType::OrganizationName, "Corp.")),
            ("names", |it| it.subject_alt_names.push(SanType::DnsName("b.example".try_into().unwrap()))),
            ("names", |it| it.subject_alt_names.clear()),
            ("keyUsage", |it| it.key_usages.push(KeyUsagePurpose::KeyAgreement)),
            ("extendedKeyUsage", |it| it.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth)),
            ("validity in seconds", |it| it.not_after = date_time_ymd(2049, 1, 2)),
            ("isCA", |it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ];
        for (what, change) in cases {
            let error = verdict(&made(change)).expect_err(what).to_string();
            assert!(error.contains(&format!("{what}: ")), "{what}: {error}");
        }
    }

    #[test]
    fn a_chain_out_of_order_or_with_its_root_and_a_foreign_root_or_key_are_found() {
        let change = |change: &dyn Fn(&mut Made)| {
            let mut made = made(|_| {});
            change(&mut made);
            verdict(&made).expect_err("it passed").to_string()
        };
        let alone = |it: &mut Made| {
            let end = b"-----END CERTIFICATE-----\n";
            let at = it.delivered.chain.windows(end.len()).position(|window| window == end).unwrap();
            it.delivered.chain.truncate(at + end.len());
        };
        assert!(change(&alone).contains("is not signed by"));
        assert!(change(&|it| it.delivered.chain.extend(it.root.clone())).contains("a root is in the chain"));
        assert!(
            change(&|it| it.delivered.ca = Some(made(|_| {}).root)).contains("something else than the root")
        );
        assert!(change(&|it| it.delivered.key = made(|_| {}).delivered.key).contains("tls.key is not"));
        assert!(change(&|it| it.root = made(|_| {}).root).contains("is not signed by"));
    }
}
