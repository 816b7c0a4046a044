//! `SIGNED { ToBeSigned }` (X.509 §6.3): three values in a SEQUENCE, the first of which is signed as it stands.

use std::{ops::Range, sync::Arc};

use crate::{
    algorithm::{AlgorithmError, SignatureAlgorithm},
    der_io::{DerError, Writer, parse_all, tag},
    key::{KeyError, PublicKey},
};

/// A signed value as received, and where its parts are in it.
#[derive(Clone)]
pub(crate) struct Signed {
    der: Arc<[u8]>,
    to_be_signed: Range<usize>,
    algorithm: Range<usize>,
    signature: Range<usize>,
}

/// Why a signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error(transparent)]
    Algorithm(#[from] AlgorithmError),
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Signed {
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, DerError> {
        let (contents, to_be_signed, algorithm, signature) = parse_all(der, |reader| {
            let contents = reader.value(tag::SEQUENCE)?;
            parse_all(contents, |signed| {
                let to_be_signed = signed.tlv(tag::SEQUENCE)?.raw.len();
                let algorithm = signed.tlv(tag::SEQUENCE)?.raw.len();
                Ok::<_, DerError>((
                    contents.len(),
                    to_be_signed,
                    algorithm,
                    signed.bit_string_octets()?.len(),
                ))
            })
        })?;
        let start = der.len().saturating_sub(contents);
        Ok(Self {
            der: der.into(),
            to_be_signed: start..start + to_be_signed,
            algorithm: start + to_be_signed..start + to_be_signed + algorithm,
            signature: der.len().saturating_sub(signature)..der.len(),
        })
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn to_be_signed(&self) -> &[u8] {
        self.der.get(self.to_be_signed.clone()).unwrap_or_default()
    }

    pub(crate) fn algorithm(&self) -> &[u8] {
        self.der.get(self.algorithm.clone()).unwrap_or_default()
    }

    pub(crate) fn signature(&self) -> &[u8] {
        self.der.get(self.signature.clone()).unwrap_or_default()
    }

    pub(crate) fn verify(&self, key: &PublicKey) -> Result<(), SignatureError> {
        let algorithm = SignatureAlgorithm::from_identifier_der(self.algorithm())?;
        Ok(key.verify(algorithm, self.to_be_signed(), self.signature())?)
    }
}

/// The signed value from its parts: certificate, revocation list or request.
pub(crate) fn assemble(to_be_signed: &[u8], algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
    let identifier = algorithm.identifier_der();
    let mut writer = Writer::with_capacity(to_be_signed.len() + identifier.len() + signature.len() + 16);
    writer.sequence(|signed| {
        signed.raw(to_be_signed);
        signed.raw(identifier);
        signed.bit_string(signature);
    });
    writer.into_vec()
}
