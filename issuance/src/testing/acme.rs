//! An account of ACME with an order that it has proved.

use std::{sync::Arc, time::Duration};

use pki::{algorithm::KeyAlgorithm, time::Time};

use super::{
    AuthoritySpec, NOW, Request, TestKey, authority, credential, method, patterns, policy_with, request,
};
use crate::{
    acme::{
        AccountRow, AccountStatus, Authorization, AuthorizationStatus, Binding, Challenge, ChallengeType,
        Identifier, OrderRow, OrderState, canonical_jwk, jwk_thumbprint,
    },
    authn::{AcmeRefusal, ActingAccount, Evidence, OnCredentialRevoked},
    authority::Method,
    credential::{CredentialRow, Verifier, generate_hmac_key},
    identity::{AcmeAccountId, AcmeOrderId, Owner, Protocol, ResourceName},
    policy::{
        Approval, DnsRule, IpRule, NameRule, Permission, Presence, Profile, ProofOfControl, ProtocolRule,
        Strength,
    },
    ports::Signer as _,
    request::Asked,
    sealing::SealingKeys,
};

const HOUR: i64 = 3600;

/// A bound account, its credential, and an order of it that is ready: `www.a.example`, `*.b.example` and `192.0.2.1`.
pub(crate) struct AcmeScene {
    pub(crate) method: Arc<Method>,
    pub(crate) account: AccountRow,
    pub(crate) credential: Option<CredentialRow>,
    pub(crate) policy: OnCredentialRevoked,
    pub(crate) order: OrderRow,
    pub(crate) now: Time,
}

impl AcmeScene {
    pub(crate) fn acting(&self) -> ActingAccount<'_> {
        let (account, credential) = (&self.account, self.credential.as_ref());
        ActingAccount { account, credential, on_credential_revoked: self.policy, now: self.now }
    }

    /// The profile asks for proof of control, and is changed otherwise.
    pub(crate) fn require_proof(&mut self, change: impl FnOnce(&mut Profile)) {
        let profile = Arc::get_mut(&mut self.method).and_then(|method| Arc::get_mut(&mut method.profile));
        let profile = profile.unwrap();
        profile.policy.proof_of_control = ProofOfControl::Required;
        change(&mut profile.policy);
    }

    pub(crate) fn ask(&self, request: &Request) -> Result<(Evidence, Asked), AcmeRefusal> {
        let mut asked = request.asked();
        let evidence = self.acting().verify(&self.method, &self.order, &mut asked)?;
        Ok((evidence, asked))
    }
}

pub(crate) fn acme_scene(approval: Approval) -> AcmeScene {
    let method = acme_method(approval);
    let keys = SealingKeys::parse(&SealingKeys::generate_line().unwrap()).unwrap();
    let mut row = credential(&method.name, Some("kid-1"), "unused");
    (row.protocol, row.declared) = (Protocol::Acme, true);
    row.verifier = Verifier::of_hmac_key(&keys, &row.id, &generate_hmac_key().unwrap()).unwrap();
    row.owner = Some(Owner::Group("web".into()));
    let account_key = TestKey::new(KeyAlgorithm::EcdsaP256);
    let jwk = canonical_jwk(account_key.public_key()).unwrap();
    let account = AccountRow {
        id: AcmeAccountId::from_octets([1; 16]),
        version: 3,
        method: method.name.clone(),
        status: AccountStatus::Valid,
        thumbprint: jwk_thumbprint(&jwk),
        jwk,
        contacts: Vec::new(),
        terms_agreed: true,
        binding: Some(Binding {
            credential: row.id.clone(),
            kid: "kid-1".into(),
            fingerprint: row.verifier.fingerprint().unwrap(),
            jws: "{}".into(),
        }),
        owner: row.owner.clone(),
        created_at: NOW,
    };
    let names = [
        (Identifier::Dns("www.a.example".into()), false),
        (Identifier::Dns("b.example".into()), true),
        (Identifier::Ip("192.0.2.1".parse().unwrap()), false),
    ];
    let order = order_of(&account, &names);
    let (credential, policy) = (Some(row), OnCredentialRevoked::Stop);
    AcmeScene { method, account, credential, policy, order, now: NOW }
}

fn order_of(account: &AccountRow, names: &[(Identifier, bool)]) -> OrderRow {
    let valid = |(identifier, wildcard): &(Identifier, bool)| Authorization {
        status: AuthorizationStatus::Valid,
        validated_at: Some(NOW),
        ..Authorization::pending(
            identifier.clone(),
            *wildcard,
            NOW.plus_seconds(HOUR),
            vec![Challenge::new(ChallengeType::Dns01, "token")],
        )
    };
    OrderRow {
        id: AcmeOrderId::from_octets([2; 16]),
        version: 7,
        account: account.id.clone(),
        method: account.method.clone(),
        created_at: NOW,
        expires_at: NOW.plus_seconds(2 * HOUR),
        keep_until: NOW.plus_seconds(9 * HOUR),
        not_before: None,
        not_after: None,
        profile: None,
        replaces: None,
        authorizations: names.iter().map(valid).collect(),
        state: OrderState::Open,
    }
}

/// DNS names of `example` with wildcards, and addresses.
fn acme_method(approval: Approval) -> Arc<Method> {
    let any =
        NameRule { presence: Presence::Allowed, values: Vec::new(), patterns: patterns(&["**.example"]) };
    let policy = policy_with(|policy| {
        policy.approval = approval;
        policy.subject.empty = Permission::Allowed;
        policy.subject_alt_names.dns = Some(DnsRule { name: any, wildcards: Permission::Allowed });
        let (presence, values, networks) = (Presence::Allowed, Vec::new(), Vec::new());
        policy.subject_alt_names.ip = Some(IpRule { presence, values, networks });
        policy.protocols =
            vec![ProtocolRule { protocol: Protocol::Acme, minimum_authentication: Strength::PersonalSecret }];
    });
    let est = Arc::into_inner(method(&policy, &authority(AuthoritySpec::default()))).unwrap();
    let name = ResourceName::new("acme", "web");
    let (protocol, minimum) = (Protocol::Acme, Strength::Anonymous);
    Arc::new(Method { name, protocol, minimum, retry_after: Duration::from_secs(60), ..est })
}

/// What an honest client sends.
pub(crate) fn acme_request() -> Request {
    request().subject(&[]).dns("www.a.example").dns("*.b.example").ip("192.0.2.1")
}
