//! The operator, who passes on what a cluster asks for: cert-manager's CertificateRequests and Kubernetes'
//! CertificateSigningRequests. Who may write those is decided by the API server; which namespaces may use an issuer is
//! decided here, by the grant that the compiled method holds.

use std::{collections::BTreeSet, time::Duration};

use pki::time::Time;
use rustls_pki_types::{CertificateDer, DnsName, ServerName, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::{Evidence, TrustError};
use crate::{
    authority::Method,
    error::{AuthenticationFailure, Error, Refusal, Rule},
    identity::{Owner, Protocol},
    policy::Strength,
};

/// Where the method of an issuer is that belongs to no namespace. No Kubernetes namespace has this name.
pub const CLUSTER_SCOPE: &str = "-";

/// Most octets of what names a requester: `CertificateRequest namespace/name` has 335 at most.
const MAX_REQUESTER: usize = 400;

/// Whom the operator's certificate must come from, and which name it must have.
pub struct OperatorTrust {
    anchor: TrustAnchor<'static>,
    name: DnsName<'static>,
}

impl std::fmt::Debug for OperatorTrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorTrust").field("name", &self.name).finish_non_exhaustive()
    }
}

impl OperatorTrust {
    /// `authority`: DER of the one authority that vouches for operators. `dns_name`: the name an operator has.
    ///
    /// # Errors
    /// [`TrustError::Anchor`] where the certificate cannot be a trust anchor or the name is none.
    pub fn new(authority: &[u8], dns_name: &str) -> Result<Self, TrustError> {
        let certificate = CertificateDer::from(authority);
        let anchor = anchor_from_trusted_cert(&certificate).map_err(|_| TrustError::Anchor(0))?.to_owned();
        let name = DnsName::try_from(dns_name.to_owned()).map_err(|_| TrustError::Anchor(0))?;
        Ok(Self { anchor, name })
    }

    /// Judges a chain whose first certificate's key the peer has proved to hold: path, validity, usage, name.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] with the reason for the log.
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: Time) -> Result<Operator, Error> {
        let failed = |failure| Err(Error::Unauthenticated(failure));
        let Some((leaf, above)) = chain.split_first() else { return failed(AuthenticationFailure::Missing) };
        let Ok(leaf) = EndEntityCert::try_from(leaf) else {
            return failed(AuthenticationFailure::Unreadable);
        };
        let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.unix()).unwrap_or(0)));
        let anchors = std::slice::from_ref(&self.anchor);
        let usage = KeyUsage::client_auth();
        match leaf.verify_for_usage(ALL_VERIFICATION_ALGS, anchors, above, time, usage, None, None) {
            Ok(_) => {}
            Err(webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }) => {
                return failed(AuthenticationFailure::Expired);
            }
            Err(_) => return failed(AuthenticationFailure::Untrusted),
        }
        let name = ServerName::DnsName(self.name.borrow());
        match leaf.verify_is_valid_for_subject_name(&name) {
            Ok(()) => Ok(Operator { _proved: () }),
            Err(_) => failed(AuthenticationFailure::Foreign),
        }
    }
}

/// The operator, proved. Made only by [`OperatorTrust::verify`].
#[derive(Debug)]
pub struct Operator {
    _proved: (),
}

/// Namespaces whose requests an issuer may serve now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantedNamespaces<'a> {
    All,
    Listed(&'a BTreeSet<String>),
}

impl GrantedNamespaces<'_> {
    fn permits(self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Listed(listed) => listed.contains(namespace),
        }
    }
}

impl Operator {
    /// Evidence that the operator passes on a request of this namespace (none: of the cluster), which the issuer may serve.
    /// An issuer in a namespace serves that one alone; one of the cluster those that are granted, and requests of the
    /// cluster where all are.
    ///
    /// # Errors
    /// [`Error::Refused`] by [`Rule::Grants`]; [`Error::NotFound`] where the method is no issuer's; [`Error::Malformed`] for
    /// a requester that is no text to write down.
    pub fn evidence(
        &self,
        method: &Method,
        granted: GrantedNamespaces<'_>,
        namespace: Option<&str>,
        requester: &str,
    ) -> Result<Evidence, Error> {
        if method.protocol != Protocol::Issuer {
            return Err(Error::NotFound("issuer"));
        }
        if requester.is_empty() || requester.len() > MAX_REQUESTER || requester.chars().any(char::is_control)
        {
            return Err(Error::Malformed(format!("requester: 1 to {MAX_REQUESTER} octets of text")));
        }
        let own = method.name.namespace();
        let permitted = match namespace {
            Some(namespace) => (own == CLUSTER_SCOPE || own == namespace) && granted.permits(namespace),
            None => own == CLUSTER_SCOPE && granted == GrantedNamespaces::All,
        };
        if !permitted {
            let who = namespace.map_or_else(
                || "requests of the cluster".into(),
                |namespace| format!("the namespace {namespace}"),
            );
            let profile = &method.profile.policy.name;
            let sentence = format!("grants.issue: {profile} is not granted to {who} by this issuer");
            return Err(Refusal::new(Rule::Grants, sentence).into());
        }
        Ok(Evidence {
            method: method.name.clone(),
            name: requester.to_owned(),
            strength: Strength::CertificateAndSecret,
            credential: None,
            holder: None,
            used_up: false,
            owner: namespace.map(namespace_owner),
            certified: None,
            proven: Vec::new(),
            expect: Vec::new(),
        })
    }
}

/// Whom certificates belong to that a namespace got through an issuer. Only rows of [`Protocol::Issuer`] are to be compared
/// with it: a credential may name any group.
pub fn namespace_owner(namespace: &str) -> Owner {
    Owner::Group(format!("namespace:{namespace}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        identity::ResourceName,
        testing::{AuthoritySpec, NOW, authority, method, policy},
    };

    const OPERATOR: Operator = Operator { _proved: () };

    fn issuer(namespace: &str) -> Method {
        let found = Arc::into_inner(method(&policy(), &authority(AuthoritySpec::default()))).unwrap();
        Method { name: ResourceName::new(namespace, "issuer:tls"), protocol: Protocol::Issuer, ..found }
    }

    #[track_caller]
    fn refuses(method: &Method, granted: GrantedNamespaces<'_>, namespace: Option<&str>) {
        match OPERATOR.evidence(method, granted, namespace, "CertificateRequest a/b") {
            Err(Error::Refused(refusal)) => {
                assert_eq!(refusal.rule(), Rule::Grants);
                assert!(refusal.sentence().starts_with("grants.issue: acme/web "), "{refusal}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_issuer_in_a_namespace_serves_that_one_alone_and_only_while_it_is_granted() {
        let (own, others) = (BTreeSet::from(["a".to_owned()]), BTreeSet::from(["b".to_owned()]));
        let evidence =
            |granted| OPERATOR.evidence(&issuer("a"), granted, Some("a"), "CertificateRequest a/b");
        for granted in [GrantedNamespaces::All, GrantedNamespaces::Listed(&own)] {
            let evidence = evidence(granted).unwrap();
            assert_eq!(evidence.name(), "CertificateRequest a/b");
            assert_eq!(evidence.owner, Some(namespace_owner("a")));
        }
        refuses(&issuer("a"), GrantedNamespaces::Listed(&others), Some("a"));
        refuses(&issuer("a"), GrantedNamespaces::All, Some("b"));
        refuses(&issuer("a"), GrantedNamespaces::All, Some(""));
        refuses(&issuer("a"), GrantedNamespaces::All, None);
    }

    #[test]
    fn an_issuer_of_the_cluster_serves_what_is_granted() {
        let listed = BTreeSet::from(["a".to_owned()]);
        let granted = GrantedNamespaces::Listed(&listed);
        let issuer = issuer(CLUSTER_SCOPE);
        OPERATOR.evidence(&issuer, granted, Some("a"), "r").unwrap();
        refuses(&issuer, granted, Some("b"));
        refuses(&issuer, granted, None);
        let of_cluster = OPERATOR.evidence(&issuer, GrantedNamespaces::All, None, "r").unwrap();
        assert_eq!(of_cluster.owner, None);
    }

    #[test]
    fn the_operator_speaks_for_no_method_of_another_protocol() {
        let est = method(&policy(), &authority(AuthoritySpec::default()));
        let outcome = OPERATOR.evidence(&est, GrantedNamespaces::All, Some("acme"), "r");
        assert!(matches!(outcome, Err(Error::NotFound("issuer"))), "{outcome:?}");
    }

    #[test]
    fn a_requester_is_a_short_line_of_text() {
        for requester in ["", "a\nb", &"x".repeat(MAX_REQUESTER + 1)] {
            let outcome = OPERATOR.evidence(&issuer("a"), GrantedNamespaces::All, Some("a"), requester);
            assert!(matches!(outcome, Err(Error::Malformed(_))), "{outcome:?}");
        }
    }

    #[test]
    fn what_is_no_certificate_or_no_name_cannot_be_trusted() {
        let root = authority(AuthoritySpec::default());
        assert!(OperatorTrust::new(b"no certificate", "operator.example").is_err());
        assert!(OperatorTrust::new(root.certificate.der(), "not a name").is_err());
        let trust = OperatorTrust::new(root.certificate.der(), "operator.example").unwrap();
        let failure = |chain: &[CertificateDer<'_>]| match trust.verify(chain, NOW) {
            Err(Error::Unauthenticated(failure)) => failure,
            other => panic!("{other:?}"),
        };
        assert_eq!(failure(&[]), AuthenticationFailure::Missing);
        assert_eq!(failure(&[CertificateDer::from(vec![0x30, 0x00])]), AuthenticationFailure::Unreadable);
        // The authority itself is no operator.
        let own = CertificateDer::from(root.certificate.der().to_vec());
        assert_ne!(failure(&[own]), AuthenticationFailure::Missing);
    }
}
