//! CertificateProfile: what may be issued, by which authority, to whom. The parts of its policy are in [`crate::policy`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    common::{Counters, Marker, ObjectRef, Protocol},
    conditions::conditions_schema,
    grant::NamespaceGrant,
    oid::Oid,
    policy::{
        BasicConstraintsPolicy, ExtendedKeyUsagePolicy, KeyPolicy, KeyUsagePolicy, RequestExtensionPolicy,
        SubjectAltNamePolicy, SubjectPolicy, ValidityPolicy,
    },
    string_enum::string_enum,
};

/// What may be issued: an authority and a policy. Every protocol enforces the same profile.
///
/// With a `preset`, each of `subject`, `subjectAltNames`, `keys`, `keyUsage`, `extendedKeyUsage` and `basicConstraints` that is
/// absent is filled from it; one that is given is taken as it stands, nothing inside it is merged. Without a preset an absent
/// `subject` or `subjectAltNames` refuses every name of its kind.
///
/// **Patterns.** In every `patterns` list `*` stands for one or more characters other than `.`, `/`, `@` and `:`, `**` for one or
/// more of any, and everything else for itself. The whole value must fit, and one fitting pattern is enough: `*.acme.com` takes
/// `shop.acme.com`, neither `a.b.acme.com` nor `acme.com`; `**.acme.com` takes the second too. Upper and lower case are the
/// same, except in URIs, in other names and in the attribute `userId`. An absent or empty list takes every value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "chancery.dev",
    version = "v1alpha1",
    kind = "CertificateProfile",
    namespaced,
    category = "chancery",
    shortname = "cprofile",
    status = "CertificateProfileStatus",
    derive = "PartialEq",
    doc = "What may be issued: an authority and a policy.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Authority", type_ = "string", json_path = ".spec.authorityRef.name"),
    printcolumn(name = "Preset", type_ = "string", json_path = ".spec.preset"),
    printcolumn(name = "Issued", type_ = "integer", json_path = ".status.counters.issued"),
    printcolumn(name = "Approval", type_ = "string", json_path = ".spec.approval", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.authorityRef) != has(self.selfSigned)")
        .message("give exactly one of authorityRef and selfSigned"),
    validation = Rule::new(
        "has(self.preset) || (has(self.keyUsage) && has(self.extendedKeyUsage) && (has(self.subject) || has(self.subjectAltNames)))"
    ).message("give a preset, or else keyUsage, extendedKeyUsage and at least one of subject and subjectAltNames"),
    validation = Rule::new("!has(self.selfSigned) || !has(self.preset) || self.preset != 'CA'")
        .message("a self-signed profile cannot have the preset CA: make a CertificateAuthority").field_path(".preset"),
    validation = Rule::new("!has(self.basicConstraints) || (has(self.preset) && self.preset == 'CA')")
        .message("basicConstraints needs the preset CA: nothing else issues certificates that can sign others")
        .field_path(".basicConstraints"),
    validation = Rule::new(
        "!has(self.keyUsage) || (has(self.preset) && self.preset == 'CA') \
         || !self.keyUsage.usages.exists(usage, usage in ['keyCertSign', 'cRLSign'])"
    ).message("keyCertSign and cRLSign need the preset CA").field_path(".keyUsage"),
    validation = Rule::new(
        "!has(self.keyUsage) || !has(self.preset) || self.preset != 'CA' \
         || (self.keyUsage.mode == 'Fixed' && self.keyUsage.usages.exists(usage, usage == 'keyCertSign'))"
    ).message("with the preset CA keyUsage must have mode Fixed and hold keyCertSign (RFC 5280 §4.2.1.9)").field_path(".keyUsage"),
    validation = Rule::new(
        "self.proofOfControl == 'NotRequired' || !has(self.subjectAltNames) \
         || ((!has(self.subjectAltNames.dns) || self.subjectAltNames.dns.presence != 'Fixed') \
         && (!has(self.subjectAltNames.ip) || self.subjectAltNames.ip.presence != 'Fixed'))"
    ).message("names that every certificate gets are proved by nobody: with proofOfControl Required neither DNS names nor IP addresses can be Fixed")
        .field_path(".proofOfControl"),
)]
pub struct CertificateProfileSpec {
    /// The CertificateAuthority that signs. In another namespace it must list this one under `allowedNamespaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_ref: Option<ObjectRef>,

    /// Each certificate signs itself: only where the server makes the key. A request that brings its own key is refused,
    /// because only the holder of the key could sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_signed: Option<Marker>,

    /// A usual purpose that fills in what is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,

    /// What the subject may hold. Attributes keep the order of the request; fixed ones come after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectPolicy>,

    /// What the subject alternative names may hold. A form that is absent here is treated as `others` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_alt_names: Option<SubjectAltNamePolicy>,

    /// Whether whoever asks must have proved to control each DNS name and each IP address that the certificate is to hold, a
    /// common name that is one of them included. ACME proves by its challenges, and by names that a key is restricted to; REST by
    /// those of `domainValidation` of the method. Nothing else can be attached to a profile that requires it: not EST, and no
    /// issuer. What other forms of names hold, `subjectAltNames` alone decides.
    #[serde(default = "not_required")]
    pub proof_of_control: ProofOfControl,

    /// Which keys a request may bring. Absent, and no preset: every key algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeyPolicy>,

    /// The key usage extension (RFC 5280 §4.2.1.3), always critical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_usage: Option<KeyUsagePolicy>,

    /// The extended key usage extension (RFC 5280 §4.2.1.12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_key_usage: Option<ExtendedKeyUsagePolicy>,

    /// Makes the certificate one of an authority. Only with the preset `CA`, which fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_constraints: Option<BasicConstraintsPolicy>,

    /// How long a certificate is valid. It never outlives the authority that signs it.
    #[serde(default)]
    pub validity: ValidityPolicy,

    /// What happens to extensions that a request asks for and that no other member of the policy speaks of.
    #[serde(default)]
    pub request_extensions: RequestExtensionPolicy,

    /// Whether a person must approve each request.
    #[serde(default = "automatic")]
    pub approval: Approval,

    /// The protocols that may be attached to this profile, and the least authentication each must ask for. Absent: every
    /// protocol, and `SharedSecret` is enough. Over ACME that means an external account binding, unless `Anonymous` is said here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 7))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["protocol".into()]))]
    pub protocols: Option<Vec<ProtocolPolicy>>,

    /// Other namespaces that may use this profile. Removing one stops its use at once; certificates already issued stay
    /// valid.
    #[serde(default)]
    pub grants: ProfileGrants,

    /// Which URLs of the authority a certificate carries.
    #[serde(default)]
    pub publish: PublishPolicy,

    /// Certificate policies (RFC 5280 §4.2.1.4) that every certificate asserts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub certificate_policies: Vec<Oid>,
}

/// Who signs the certificates of a profile, as one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileSigner<'a> {
    Authority(&'a ObjectRef),
    SelfSigned,
}

impl CertificateProfileSpec {
    /// Who signs; `None` unless exactly one is given.
    pub fn signer(&self) -> Option<ProfileSigner<'_>> {
        match (&self.authority_ref, &self.self_signed) {
            (Some(authority), None) => Some(ProfileSigner::Authority(authority)),
            (None, Some(Marker {})) => Some(ProfileSigner::SelfSigned),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }

    /// The least authentication for a protocol; `None` when the profile does not allow the protocol.
    pub fn minimum_authentication(&self, protocol: Protocol) -> Option<AuthenticationLevel> {
        match &self.protocols {
            None => Some(AuthenticationLevel::SharedSecret),
            Some(listed) => listed
                .iter()
                .find(|entry| entry.protocol == protocol)
                .map(|entry| entry.minimum_authentication),
        }
    }
}

string_enum! {
    /// A usual purpose of certificates; the reference lists what each fills in.
    pub enum Preset {
        /// TLS servers: any DNS names and IP addresses, no wildcards; the common name is optional and copied to the DNS names;
        /// serverAuth.
        TlsServer = "TLSServer",
        /// TLS clients: a common name is required; DNS names, URIs and e-mail addresses are allowed; clientAuth.
        TlsClient = "TLSClient",
        /// Devices: a common name is required; DNS names, IP addresses and URIs are allowed; clientAuth and serverAuth.
        Device = "Device",
        /// Code signing: a common name is required; no alternative names, no RSA below 3072 bits; codeSigning.
        CodeSigning = "CodeSigning",
        /// E-mail: at least one e-mail address is required; emailProtection.
        Email = "Email",
        /// Authorities outside this system: a common name is required; keyCertSign and cRLSign, path length 0.
        Ca = "CA",
    }
}

string_enum! {
    /// Whether a person must approve each request.
    pub enum Approval {
        /// A request that the policy allows is issued at once.
        Automatic = "Automatic",
        /// A request that the policy allows waits until someone approves or denies it.
        Manual = "Manual",
    }
}

string_enum! {
    /// Whether control of names must be proved.
    pub enum ProofOfControl {
        /// Each DNS name and each IP address must have been proved, or nothing is issued.
        Required = "Required",
        /// The credential and the policy are enough.
        NotRequired = "NotRequired",
    }
}

/// A protocol that may be attached to a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProtocolPolicy {
    /// The protocol.
    pub protocol: Protocol,
    /// The least that callers must show. A method that cannot ask for as much is not accepted.
    #[serde(default = "shared_secret")]
    pub minimum_authentication: AuthenticationLevel,
}

string_enum! {
    /// How much a caller has shown, from weak to strong.
    pub enum AuthenticationLevel {
        /// Nothing about itself: over ACME, control of the names is enough, without an external account binding. Other protocols
        /// ask for a secret or a certificate all the same.
        Anonymous = "Anonymous",
        /// A secret that several share, such as the passphrase of a method.
        SharedSecret = "SharedSecret",
        /// A secret of one user or device.
        PersonalSecret = "PersonalSecret",
        /// A certificate with proof of its key.
        Certificate = "Certificate",
        /// A certificate with proof of its key, and a secret.
        CertificateAndSecret = "CertificateAndSecret",
    }
}

/// Other namespaces that may use a profile. Its own namespace always may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProfileGrants {
    /// Namespaces, listed or picked by a selector, that may ask for certificates through a cert-manager issuer. Absent:
    /// its own namespace only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<NamespaceGrant>,
    /// Namespaces, listed or picked by a selector, that may put an EnrollmentMethod on the profile. Absent: its own
    /// namespace only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<NamespaceGrant>,
}

/// Which URLs of the authority a certificate carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishPolicy {
    /// The URL of the revocation list (RFC 5280 §4.2.1.13).
    #[serde(default = "include")]
    pub crl_distribution_point: Inclusion,
    /// The URL of the authority's certificate (RFC 5280 §4.2.2.1).
    #[serde(default = "include")]
    pub authority_info_access: Inclusion,
}

impl Default for PublishPolicy {
    fn default() -> Self {
        Self { crl_distribution_point: include(), authority_info_access: include() }
    }
}

string_enum! {
    /// Whether something is written into certificates.
    pub enum Inclusion {
        /// It is written, where the server has a public base URL.
        Include = "Include",
        /// It is left out.
        Omit = "Omit",
    }
}

/// What is known about a profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateProfileStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions `Accepted`, `ResolvedRefs`, `Programmed` and `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// How the requests of all its methods and issuers ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counters>,
}

fn not_required() -> ProofOfControl {
    ProofOfControl::NotRequired
}

fn automatic() -> Approval {
    Approval::Automatic
}

fn shared_secret() -> AuthenticationLevel {
    AuthenticationLevel::SharedSecret
}

fn include() -> Inclusion {
    Inclusion::Include
}
