//! Parts that several kinds share: references, names, key algorithms.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::string_enum::string_enum;

/// Names an object in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Names an object, by default in the namespace of the object that refers to it.
///
/// A reference into another namespace works only where the target grants it; each kind says how.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the object; absent: the namespace of the object that refers to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

impl ObjectRef {
    /// The namespace of the target, where the referring object is in `own`.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(own)
    }
}

/// Names an object with its namespace, where the object that refers to it has none of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamespacedRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the object.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
}

/// Names one key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key within the Secret; absent: the key that the field which holds this reference names as its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// A choice that says everything by being there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Marker {}

/// A distinguished name by its attributes. It is encoded in the order of the fields below, broadest part first;
/// at least one attribute is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "has(self.commonName) || has(self.country) || has(self.stateOrProvince) || has(self.locality) || has(self.street) \
     || has(self.postalCode) || has(self.serialNumber) || (has(self.organization) && size(self.organization) > 0) \
     || (has(self.organizationalUnit) && size(self.organizationalUnit) > 0) \
     || (has(self.domainComponents) && size(self.domainComponents) > 0)"
).message("give at least one attribute of the name"))]
pub struct DistinguishedName {
    /// Domain components, the most significant first: `[com, example]` is `DC=example,DC=com` in the usual reading order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), inner(length(min = 1, max = 63)))]
    pub domain_components: Vec<String>,
    /// Country, two letters of ISO 3166, for example `DE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Z]{2}$"), length(max = 2))]
    pub country: Option<String>,
    /// State or province, spelled out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub state_or_province: Option<String>,
    /// City or place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub locality: Option<String>,
    /// Street and number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub street: Option<String>,
    /// Postal code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub postal_code: Option<String>,
    /// Organizations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), inner(length(min = 1, max = 64)))]
    pub organization: Vec<String>,
    /// Organizational units, the broadest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), inner(length(min = 1, max = 64)))]
    pub organizational_unit: Vec<String>,
    /// Common name: what people read, for example `Acme Device Root 2026`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub common_name: Option<String>,
    /// The serialNumber attribute of the name (of a device or a register), not the serial number of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub serial_number: Option<String>,
}

/// How requests ended, as the replicas that run now have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Certificates issued.
    #[serde(default)]
    pub issued: u64,
    /// Requests refused.
    #[serde(default)]
    pub refused: u64,
}

string_enum! {
    /// A kind of public key with its size.
    pub enum KeyAlgorithm {
        /// ECDSA on NIST P-256.
        EcdsaP256 = "ECDSA-P256",
        /// ECDSA on NIST P-384.
        EcdsaP384 = "ECDSA-P384",
        /// ECDSA on NIST P-521.
        EcdsaP521 = "ECDSA-P521",
        /// RSA with a modulus of 2048 bits.
        Rsa2048 = "RSA-2048",
        /// RSA with a modulus of 3072 bits.
        Rsa3072 = "RSA-3072",
        /// RSA with a modulus of 4096 bits.
        Rsa4096 = "RSA-4096",
        /// Ed25519 (RFC 8410).
        Ed25519 = "Ed25519",
    }
}

string_enum! {
    /// A way to ask for a certificate.
    pub enum Protocol {
        /// Enrollment over Secure Transport, RFC 7030.
        Est = "est",
        /// Simple Certificate Enrolment Protocol, RFC 8894.
        Scep = "scep",
        /// Automatic Certificate Management Environment, RFC 8555.
        Acme = "acme",
        /// Certificate Management Protocol, RFC 9810.
        Cmp = "cmp",
        /// The JSON interface of Chancery.
        Rest = "rest",
        /// Windows auto-enrollment, MS-XCEP and MS-WSTEP.
        Waep = "waep",
        /// A cert-manager CertificateRequest.
        Issuer = "issuer",
    }
}
