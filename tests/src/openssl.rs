//! The `openssl` program: keys, requests, and the verdict on what was issued.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::Workspace;
use crate::plain_http;
use crate::program;

/// The keys a device may come with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    P256,
    P384,
    Rsa1024,
    Rsa2048,
    Rsa3072,
    Ed25519,
}

impl Key {
    fn genpkey_options(self) -> &'static [&'static str] {
        match self {
            Self::P256 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Self::P384 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
            Self::Rsa1024 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
            Self::Rsa2048 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            Self::Rsa3072 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
            Self::Ed25519 => &["-algorithm", "ED25519"],
        }
    }
}

/// A private key and a certification request for it.
#[derive(Clone, Debug)]
pub struct Csr {
    /// PKCS#8, PEM.
    pub key: PathBuf,
    /// PKCS#10, PEM.
    pub pem: PathBuf,
    /// PKCS#10, DER.
    pub der: Vec<u8>,
}

/// How `openssl req` is to make a request.
#[derive(Clone, Copy, Debug)]
pub struct CsrOptions<'a> {
    /// The kind of key to make.
    pub key: Key,
    /// As `openssl req -subj` takes it: `/CN=device-1/O=Acme`.
    pub subject: &'a str,
    /// Extensions as `-addext` takes them: `subjectAltName=DNS:a,DNS:b`.
    pub extensions: &'a [&'a str],
    /// Any more options: `-sha1`.
    pub options: &'a [&'a str],
}

impl<'a> CsrOptions<'a> {
    /// A request for this subject with an ECDSA P-256 key.
    pub fn new(subject: &'a str) -> Self {
        Self { key: Key::P256, subject, extensions: &[], options: &[] }
    }

    /// With another kind of key.
    pub fn key(self, key: Key) -> Self {
        Self { key, ..self }
    }

    /// With these requested extensions.
    pub fn extensions(self, extensions: &'a [&'a str]) -> Self {
        Self { extensions, ..self }
    }

    /// With these options of `openssl req`.
    pub fn options(self, options: &'a [&'a str]) -> Self {
        Self { options, ..self }
    }

    /// Makes the key and the request as `NAME.key` and `NAME.csr`.
    pub fn make(self, workspace: &Workspace, name: &str) -> Result<Csr> {
        let key = workspace.file(&format!("{name}.key"));
        let pem = workspace.file(&format!("{name}.csr"));
        let mut arguments = vec!["genpkey", "-out", utf8(&key)?];
        arguments.extend(self.key.genpkey_options());
        openssl(&arguments, None)?;
        let mut arguments =
            vec!["req", "-new", "-key", utf8(&key)?, "-out", utf8(&pem)?, "-subj", self.subject];
        for extension in self.extensions {
            arguments.extend(["-addext", extension]);
        }
        arguments.extend(self.options);
        openssl(&arguments, None)?;
        let der = openssl(&["req", "-in", utf8(&pem)?, "-outform", "DER"], None)?;
        Ok(Csr { key, pem, der })
    }
}

/// Runs `openssl` and answers its standard output; an error holds all it printed.
pub fn openssl(arguments: &[&str], input: Option<&[u8]>) -> Result<Vec<u8>> {
    program::succeed("openssl", arguments, input)
}

/// Bytes as base64 lines of 64 columns, as `openssl base64` makes them.
pub fn base64_lines(bytes: &[u8]) -> Result<Vec<u8>> {
    openssl(&["base64", "-e"], Some(bytes))
}

/// Bytes as one line of base64.
pub fn base64_line(bytes: &[u8]) -> Result<Vec<u8>> {
    openssl(&["base64", "-e", "-A"], Some(bytes))
}

/// The certificates of an EST answer (base64 of a certs-only PKCS#7), as PEM, in the order of the answer.
pub fn certificates_of_answer(body: &[u8]) -> Result<Vec<u8>> {
    let der = openssl(&["base64", "-d"], Some(body)).context("the body is not base64")?;
    let text = openssl(&["pkcs7", "-inform", "DER", "-print_certs"], Some(&der)).context("not a PKCS#7")?;
    if !String::from_utf8_lossy(&text).contains("BEGIN CERTIFICATE") {
        bail!("the answer holds no certificate");
    }
    Ok(text)
}

/// Verifies an issued certificate as a relying party would: a chain to `cacerts`, which holds the root and whatever is
/// between, and a CRL fetched from where the certificate says.
pub fn verify(workspace: &Workspace, certificate: &Path, cacerts: &Path) -> Result<()> {
    let crl = fetch_crl(workspace, certificate)?;
    let (root, others) = split_roots(workspace, cacerts)?;
    let arguments = [
        "verify",
        "-x509_strict",
        "-check_ss_sig",
        "-crl_check",
        "-CRLfile",
        utf8(&crl)?,
        "-CAfile",
        utf8(&root)?,
        "-untrusted",
        utf8(&others)?,
        utf8(certificate)?,
    ];
    let answer = openssl(&arguments, None)?;
    let text = String::from_utf8_lossy(&answer);
    if !text.contains(": OK") {
        bail!("openssl verify said: {text}");
    }
    Ok(())
}

/// Whether a certificate is for this private key.
pub fn is_for_key(certificate: &Path, key: &Path) -> Result<bool> {
    let of_certificate = describe(certificate, &["-pubkey"])?;
    let of_key = openssl(&["pkey", "-in", utf8(key)?, "-pubout"], None)?;
    Ok(of_certificate.as_bytes() == of_key.as_slice())
}

/// Whether a certificate is on the CRL it points to, judged by `openssl verify`.
pub fn is_revoked(workspace: &Workspace, certificate: &Path, cacerts: &Path) -> Result<bool> {
    let crl = fetch_crl(workspace, certificate)?;
    let (root, others) = split_roots(workspace, cacerts)?;
    let arguments = [
        "verify",
        "-crl_check",
        "-CRLfile",
        utf8(&crl)?,
        "-CAfile",
        utf8(&root)?,
        "-untrusted",
        utf8(&others)?,
        utf8(certificate)?,
    ];
    let answer = program::run("openssl", &arguments, None)?;
    let text = program::printed(&answer);
    match (answer.status.success(), text.contains("certificate revoked")) {
        (true, false) => Ok(false),
        (false, true) => Ok(true),
        _ => bail!("openssl verify said: {text}"),
    }
}

/// The text of one field or extension of a PEM certificate, as `openssl x509 -noout OPTION` prints it.
pub fn describe(certificate: &Path, options: &[&str]) -> Result<String> {
    let mut arguments = vec!["x509", "-in", utf8(certificate)?, "-noout"];
    arguments.extend(options);
    Ok(String::from_utf8_lossy(&openssl(&arguments, None)?).into_owned())
}

/// The serial number in upper-case hex.
pub fn serial(certificate: &Path) -> Result<String> {
    let text = describe(certificate, &["-serial"])?;
    Ok(text.trim().trim_start_matches("serial=").to_owned())
}

/// Downloads the CRL named by the certificate and answers it as a PEM file.
fn fetch_crl(workspace: &Workspace, certificate: &Path) -> Result<PathBuf> {
    let text = describe(certificate, &["-ext", "crlDistributionPoints"])?;
    let url = text.split_once("URI:").map(|(_, rest)| rest.lines().next().unwrap_or_default().trim());
    let url = url.with_context(|| format!("no CRL distribution point in: {text}"))?;
    let answer = plain_http::get(url)?;
    if answer.status != 200 {
        bail!("{url} answered {}: {}", answer.status, answer.text());
    }
    if !answer.head.to_ascii_lowercase().contains("content-type: application/pkix-crl") {
        bail!("{url} has the wrong type (RFC 5280 §4.2.1.13 wants application/pkix-crl): {}", answer.head);
    }
    let pem = openssl(&["crl", "-inform", "DER"], Some(&answer.body)).context("not a CRL in DER")?;
    workspace.write("fetched.crl", pem)
}

/// Splits PEM certificates into self-signed ones and others, by subject and issuer.
fn split_roots(workspace: &Workspace, cacerts: &Path) -> Result<(PathBuf, PathBuf)> {
    let text =
        std::fs::read_to_string(cacerts).with_context(|| format!("cannot read {}", cacerts.display()))?;
    let (mut roots, mut others) = (String::new(), String::new());
    for block in text.split_inclusive("-----END CERTIFICATE-----") {
        let Some(start) = block.find("-----BEGIN CERTIFICATE-----") else { continue };
        let pem = format!("{}\n", block.get(start..).unwrap_or_default());
        let names = openssl(&["x509", "-noout", "-subject_hash", "-issuer_hash"], Some(pem.as_bytes()))?;
        let names = String::from_utf8_lossy(&names).into_owned();
        let mut hashes = names.lines();
        if hashes.next() == hashes.next() { roots.push_str(&pem) } else { others.push_str(&pem) }
    }
    if roots.is_empty() {
        bail!("{} holds no self-signed certificate", cacerts.display());
    }
    // openssl refuses an empty -untrusted file; the root stands in for "nothing between".
    let others = if others.is_empty() { &roots } else { &others };
    Ok((workspace.write("roots.pem", &roots)?, workspace.write("intermediates.pem", others)?))
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
