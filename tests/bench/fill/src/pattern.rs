//! One certificate as the pattern of many.

use anyhow::{Context as _, Result, ensure};
use issuance::{ports::random, store::CertificateRow};
use pki::{certificate::Certificate, serial::SerialNumber};

/// Octets of an uncompressed point on P-256, without the first, which says that it is one.
const POINT: usize = 64;

/// A certificate's row, and where in it stands what differs from device to device.
#[derive(Debug)]
pub(crate) struct Pattern {
    row: CertificateRow,
    /// Place of the public key in the DER.
    point: usize,
    /// The device's name.
    name: String,
}

impl Pattern {
    /// From a certificate for a P-256 key whose subject is a common name alone.
    pub(crate) fn of(row: CertificateRow) -> Result<Self> {
        let certificate = Certificate::from_der(&row.der).context("the pattern is not a certificate")?;
        let key = certificate.public_key().key_bytes();
        ensure!(key.len() == POINT + 1 && key.first() == Some(&4), "the pattern is not for a P-256 key");
        let point = place(&row.der, key)? + 1;
        let name =
            row.subject.strip_prefix("CN=").context("the subject is not a common name alone")?.to_owned();
        Ok(Self { point, name, row })
    }

    /// The certificate of another device. Not a valid signature, and not a point on the curve: stores judge neither.
    pub(crate) fn row(&self, number: usize) -> Result<CertificateRow> {
        let mut row = self.row.clone();
        row.serial = SerialNumber::from_random(random()?);
        row.public_key_sha256 = random::<32>()?.iter().map(|octet| format!("{octet:02x}")).collect();
        let width = self.name.len().min(10);
        let prefix = format!("{number:0width$}");
        let kept = self.name.get(prefix.len()..).unwrap_or_default();
        let name = format!("{prefix}{kept}");
        row.subject = format!("CN={name}");
        for text in &mut row.subject_alt_names {
            *text = text.replace(&self.name, &name);
        }
        replace(&mut row.der, self.name.as_bytes(), name.as_bytes());
        replace(&mut row.der, self.row.serial.as_bytes(), row.serial.as_bytes());
        if let Some(point) = row.der.get_mut(self.point..self.point + POINT) {
            point.copy_from_slice(&random::<POINT>()?);
        }
        Ok(row)
    }
}

fn place(of: &[u8], part: &[u8]) -> Result<usize> {
    of.windows(part.len())
        .position(|window| window == part)
        .context("the public key is not in the certificate")
}

/// Everywhere; both of one length.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let mut at = 0;
    while let Some(window) = bytes.get_mut(at..at + from.len()) {
        if window == from {
            window.copy_from_slice(to);
        }
        at += 1;
    }
}
