//! Key agreement with an ephemeral EC key: `dhSinglePass-stdDH` (RFC 5753 §3.1, §7).

use aws_lc_rs::{
    agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, UnparsedPublicKey},
    digest::{self, digest},
};
use const_oid::ObjectIdentifier;
use zeroize::Zeroizing;

use super::{
    EnvelopedError,
    key_wrap::WrapCipher,
    recipient::RecipientIdentifier,
    wire::{KeyAgreeRecipientInfo, RecipientEncryptedKey},
};
use crate::{
    der_io::{Reader, encode, parse_all, tag},
    key::Curve,
};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const STD_DH_SHA256_KDF: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.1.11.1");
const STD_DH_SHA384_KDF: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.1.11.2");
const STD_DH_SHA512_KDF: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.1.11.3");

/// A private key of one of the curves that can be used.
pub(super) struct EcDecryptionKey {
    curve: Curve,
    key: PrivateKey,
}

/// Wraps the content key for the owner of the public `point`: SHA-256 derives an AES-256 key, on every curve.
pub(super) fn encrypt(
    identifier: &RecipientIdentifier,
    curve: Curve,
    point: &[u8],
    content_key: &[u8],
) -> Result<KeyAgreeRecipientInfo, EnvelopedError> {
    let algorithm = agreement_algorithm(curve);
    let ephemeral = PrivateKey::generate(algorithm).map_err(|_| EnvelopedError::Encryption)?;
    let public = ephemeral.compute_public_key().map_err(|_| EnvelopedError::Encryption)?;
    let wrap = WrapCipher::Aes256;
    let info = shared_info(&wrap.identifier_der(), None, wrap);
    let peer = UnparsedPublicKey::new(algorithm, point);
    let encrypted_key = agreement::agree(&ephemeral, peer, EnvelopedError::RecipientKey, |secret| {
        wrap.wrap(&derive(&digest::SHA256, secret, &info, wrap), content_key)
    })?;
    Ok(KeyAgreeRecipientInfo {
        originator: originator_public_key(curve, public.as_ref()),
        user_keying_material: None,
        algorithm: encode(|writer| {
            writer.sequence(|identifier| {
                identifier.oid(&STD_DH_SHA256_KDF);
                identifier.raw(&wrap.identifier_der());
            });
        }),
        keys: vec![RecipientEncryptedKey {
            identifier: identifier.clone(),
            date_and_other: Vec::new(),
            encrypted_key,
        }],
    })
}

impl EcDecryptionKey {
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let curves = [Curve::P256, Curve::P384, Curve::P521];
        curves.into_iter().find_map(|curve| {
            let key = PrivateKey::from_private_key_der(agreement_algorithm(curve), pkcs8).ok()?;
            Some(Self { curve, key })
        })
    }

    /// The content key; none where it does not come out.
    pub(super) fn decrypt(
        &self,
        recipient: &KeyAgreeRecipientInfo,
        encrypted_key: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, EnvelopedError> {
        let (hash, wrap_identifier) = parse_all(&recipient.algorithm, |reader| {
            reader.sequence(|identifier| {
                let hash = match identifier.oid()? {
                    STD_DH_SHA256_KDF => &digest::SHA256,
                    STD_DH_SHA384_KDF => &digest::SHA384,
                    STD_DH_SHA512_KDF => &digest::SHA512,
                    other => return Err(EnvelopedError::UnsupportedKeyManagement(other)),
                };
                Ok((hash, identifier.tlv(tag::SEQUENCE)?.raw))
            })
        })?;
        let wrap = WrapCipher::from_identifier_der(wrap_identifier)?;
        let point = read_originator_point(&recipient.originator, self.curve)?;
        let info = shared_info(wrap_identifier, recipient.user_keying_material.as_deref(), wrap);
        let peer = UnparsedPublicKey::new(self.key.algorithm(), point);
        let unwrapped = agreement::agree(&self.key, peer, (), |secret| {
            wrap.unwrap(&derive(hash, secret, &info, wrap), encrypted_key).ok_or(())
        });
        Ok(unwrapped.ok())
    }
}

fn agreement_algorithm(curve: Curve) -> &'static agreement::Algorithm {
    match curve {
        Curve::P256 => &ECDH_P256,
        Curve::P384 => &ECDH_P384,
        Curve::P521 => &ECDH_P521,
    }
}

/// `[1] OriginatorPublicKey`, with the curve in its parameters (RFC 5753 §3.1.1).
fn originator_public_key(curve: Curve, point: &[u8]) -> Vec<u8> {
    encode(|writer| {
        writer.nested(tag::context_constructed(1), |key| {
            key.sequence(|algorithm| {
                algorithm.oid(&EC_PUBLIC_KEY);
                algorithm.oid(&curve.oid());
            });
            key.bit_string(point);
        });
    })
}

/// The ephemeral point. Its parameters are absent, NULL or the curve (RFC 5753 §3.1.1), which is the recipient's own; a
/// point off it is refused where it is used.
fn read_originator_point(originator: &[u8], curve: Curve) -> Result<&[u8], EnvelopedError> {
    if originator.first() != Some(&tag::context_constructed(1)) {
        return Err(EnvelopedError::KeyManagementParameters);
    }
    parse_all(originator, |reader| {
        reader.nested(tag::context_constructed(1), |key| {
            key.sequence(|algorithm| check_ephemeral_algorithm(algorithm, curve))?;
            Ok(key.bit_string_octets()?)
        })
    })
}

fn check_ephemeral_algorithm(algorithm: &mut Reader<'_>, curve: Curve) -> Result<(), EnvelopedError> {
    let is_ec = algorithm.oid()? == EC_PUBLIC_KEY;
    let is_curve = match algorithm.peek_tag() {
        None => true,
        Some(tag::NULL) => algorithm.null().map(|()| true)?,
        Some(_) => algorithm.oid()? == curve.oid(),
    };
    if is_ec && is_curve { Ok(()) } else { Err(EnvelopedError::KeyManagementParameters) }
}

/// `ECC-CMS-SharedInfo` (RFC 5753 §7.2), over the wrap algorithm as received.
fn shared_info(wrap_identifier: &[u8], user_keying_material: Option<&[u8]>, wrap: WrapCipher) -> Vec<u8> {
    encode(|writer| {
        writer.sequence(|info| {
            info.raw(wrap_identifier);
            if let Some(material) = user_keying_material {
                info.nested(tag::context_constructed(0), |explicit| explicit.octet_string(material));
            }
            info.nested(tag::context_constructed(2), |explicit| {
                explicit.octet_string(&(8 * wrap.key_octets() as u32).to_be_bytes());
            });
        });
    })
}

/// The key derivation of SEC 1 §3.6.1 (ANSI X9.63); one block of any of the digests is long enough.
fn derive(
    hash: &'static digest::Algorithm,
    secret: &[u8],
    shared_info: &[u8],
    wrap: WrapCipher,
) -> Zeroizing<Vec<u8>> {
    let mut input = Zeroizing::new(Vec::with_capacity(secret.len() + 4 + shared_info.len()));
    input.extend_from_slice(secret);
    input.extend_from_slice(&1u32.to_be_bytes());
    input.extend_from_slice(shared_info);
    let block = digest(hash, &input);
    Zeroizing::new(block.as_ref().iter().copied().take(wrap.key_octets()).collect())
}
