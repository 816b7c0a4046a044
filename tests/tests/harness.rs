//! The judges can say no: each verdict of the harness, against an authority made for it by rcgen.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use chancery_tests::program::declared_absent;
use chancery_tests::{Workspace, openssl, zlint};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    CrlDistributionPoint, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};

/// An authority whose revocation list is served for as long as the process lives.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    workspace: Workspace,
    cacerts: PathBuf,
}

impl Authority {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name("Judge's Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.key_identifier_method = KeyIdMethod::Sha256;
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let workspace = Workspace::new()?;
        let cacerts = workspace.write("cacerts.pem", issuer.pem())?;
        Ok(Self { issuer, workspace, cacerts })
    }

    /// Issues a certificate as `NAME.pem` with its key as `NAME.key`.
    fn issue(&self, common_name: &str, serial: u64, crl: &str) -> Result<PathBuf> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(common_name);
        params.serial_number = Some(SerialNumber::from(serial));
        // zlint leaves out rules that are younger than the certificate, and rcgen's own default is 1975.
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2049, 1, 1));
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![crl.to_owned()] }];
        let key = KeyPair::generate()?;
        self.workspace.write(&format!("{serial}.key"), key.serialize_pem())?;
        self.workspace.write(&format!("{serial}.pem"), params.signed_by(&key, &self.issuer)?.pem())
    }

    /// Serves a list with one entry and answers its URL.
    fn publish(&self, revoked: u64, content_type: &'static str) -> Result<String> {
        let entry = RevokedCertParams {
            serial_number: SerialNumber::from(revoked),
            revocation_time: date_time_ymd(2026, 1, 2),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2049, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![entry],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let der = list.signed_by(&self.issuer)?.der().to_vec();
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/list", listener.local_addr()?);
        std::thread::spawn(move || serve(&listener, content_type, &der));
        Ok(url)
    }
}

fn serve(listener: &TcpListener, content_type: &str, body: &[u8]) -> Result<()> {
    for stream in listener.incoming() {
        let mut stream = stream?;
        let _ = stream.read(&mut [0; 1024])?;
        write!(stream, "HTTP/1.0 200 OK\r\nContent-Type: {content_type}\r\n\r\n")?;
        stream.write_all(body)?;
    }
    Ok(())
}

fn name(common_name: &str) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

#[test]
fn openssl_accepts_a_good_certificate_and_refuses_a_revoked_one() -> Result<()> {
    let authority = Authority::new()?;
    let list = authority.publish(8, "application/pkix-crl")?;
    let (good, revoked) = (authority.issue("good", 7, &list)?, authority.issue("revoked", 8, &list)?);
    let Authority { workspace, cacerts, .. } = &authority;
    openssl::verify(workspace, &good, cacerts)?;
    ensure!(!openssl::is_revoked(workspace, &good, cacerts)?);
    let error =
        openssl::verify(workspace, &revoked, cacerts).err().context("a revoked certificate was accepted")?;
    ensure!(error.to_string().contains("certificate revoked"), "{error}");
    ensure!(openssl::is_revoked(workspace, &revoked, cacerts)?);
    Ok(())
}

#[test]
fn a_certificate_of_another_authority_or_without_a_list_is_refused() -> Result<()> {
    let (authority, stranger) = (Authority::new()?, Authority::new()?);
    let list = authority.publish(8, "application/pkix-crl")?;
    let foreign = stranger.issue("foreign", 7, &list)?;
    ensure!(openssl::verify(&authority.workspace, &foreign, &authority.cacerts).is_err());
    let mistyped = authority.issue("mistyped", 9, &authority.publish(8, "text/plain")?)?;
    ensure!(openssl::verify(&authority.workspace, &mistyped, &authority.cacerts).is_err());
    Ok(())
}

#[test]
fn a_certificate_for_another_key_is_noticed() -> Result<()> {
    let authority = Authority::new()?;
    let certificate = authority.issue("one", 7, "http://127.0.0.1/list")?;
    authority.issue("two", 8, "http://127.0.0.1/list")?;
    ensure!(openssl::is_for_key(&certificate, &authority.workspace.file("7.key"))?);
    ensure!(!openssl::is_for_key(&certificate, &authority.workspace.file("8.key"))?);
    Ok(())
}

#[test]
fn zlint_refuses_a_common_name_that_rfc_5280_does_not_allow() -> Result<()> {
    if declared_absent("zlint")? {
        return Ok(());
    }
    let authority = Authority::new()?;
    let long = authority.issue(&"x".repeat(200), 7, "http://127.0.0.1/list")?;
    let error = zlint::lint(&long).err().context("zlint accepted it")?;
    ensure!(error.to_string().contains("common_name"), "{error}");
    Ok(())
}
