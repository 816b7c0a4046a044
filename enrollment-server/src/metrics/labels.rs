//! The values that metric labels may take: closed enums, so that no name, serial or error text of a peer can
//! become a label and grow the set of time series without bound.

use std::fmt::{self, Write};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

/// Declares an enum whose variants have one spelling, shared by metrics and logs.
macro_rules! label {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident => $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order declared.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The spelling in metrics and logs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
                encoder.write_str(self.as_str())
            }
        }
    };
}

label! {
    /// What a request spoke.
    Protocol {
        /// Enrollment over Secure Transport, RFC 7030.
        Est => "est",
        /// Simple Certificate Enrolment Protocol, RFC 8894.
        Scep => "scep",
        /// Automatic Certificate Management Environment, RFC 8555.
        Acme => "acme",
        /// Certificate Management Protocol, RFC 9810.
        Cmp => "cmp",
        /// Our own REST interface.
        Rest => "rest",
        /// Windows auto-enrollment, MS-XCEP and MS-WSTEP.
        Waep => "waep",
        /// cert-manager and the cluster's own requests, through the operator.
        Issuer => "issuer",
        /// The operator itself.
        Internal => "internal",
        /// CRLs, authority certificates and OCSP.
        Publication => "publication",
        /// A path that nothing serves.
        None => "none",
    }
}

label! {
    /// The operation a request asked for, in the words of its standard. Each protocol adds its own.
    Operation {
        /// RFC 7030 §4.1.
        CaCerts => "ca_certs",
        /// RFC 7030 §4.2.1.
        SimpleEnroll => "simple_enroll",
        /// RFC 7030 §4.2.2.
        SimpleReenroll => "simple_reenroll",
        /// RFC 7030 §4.3.
        FullCmc => "full_cmc",
        /// RFC 7030 §4.4.
        ServerKeyGen => "server_key_gen",
        /// RFC 7030 §4.5.
        CsrAttrs => "csr_attrs",
        /// RFC 8555 §7.1.1.
        Directory => "directory",
        /// RFC 8555 §7.2.
        NewNonce => "new_nonce",
        /// RFC 8555 §7.3.
        NewAccount => "new_account",
        /// RFC 8555 §7.3.2: an account, read, changed or deactivated.
        Account => "account",
        /// RFC 8555 §7.1.2.1.
        Orders => "orders",
        /// RFC 8555 §7.3.5.
        KeyChange => "key_change",
        /// RFC 8555 §7.4.
        NewOrder => "new_order",
        /// RFC 8555 §7.4: an order, read.
        Order => "order",
        /// RFC 8555 §7.5: an authorization, read or deactivated.
        Authorization => "authorization",
        /// RFC 8555 §7.5.1.
        Challenge => "challenge",
        /// RFC 8555 §7.4.
        Finalize => "finalize",
        /// RFC 8555 §7.4.2.
        Certificate => "certificate",
        /// RFC 8555 §7.6.
        RevokeCert => "revoke_cert",
        /// RFC 9773 §4.
        RenewalInfo => "renewal_info",
        /// REST: a new order.
        CreateOrder => "create_order",
        /// REST: a challenge of an order can be looked at.
        AnswerChallenge => "answer_challenge",
        /// REST: orders, listed.
        ListOrders => "list_orders",
        /// REST: an order, read.
        ReadOrder => "read_order",
        /// REST: a certificate request for an order.
        SubmitCsr => "submit_csr",
        /// REST: an order, cancelled.
        CancelOrder => "cancel_order",
        /// REST: the private key that was made for an order.
        FetchKey => "fetch_key",
        /// REST: order and certificate in one call.
        IssueCertificate => "issue_certificate",
        /// REST: certificates, listed.
        ListCertificates => "list_certificates",
        /// REST: a certificate, read.
        ReadCertificate => "read_certificate",
        /// REST: a certificate as a file.
        DownloadCertificate => "download_certificate",
        /// REST: a certificate, renewed.
        RenewCertificate => "renew_certificate",
        /// REST: a certificate, revoked.
        RevokeCertificate => "revoke_certificate",
        /// REST: a certificate, held.
        HoldCertificate => "hold_certificate",
        /// REST: a certificate, released.
        ReleaseCertificate => "release_certificate",
        /// REST: requests that wait for a person, listed.
        ListRequests => "list_requests",
        /// REST: a request, read.
        ReadRequest => "read_request",
        /// REST: a request, approved.
        ApproveRequest => "approve_request",
        /// REST: a request, denied.
        DenyRequest => "deny_request",
        /// REST: credentials, listed.
        ListCredentials => "list_credentials",
        /// REST: credentials, all of them.
        ExportCredentials => "export_credentials",
        /// REST: a credential, read.
        ReadCredential => "read_credential",
        /// REST: a new credential.
        CreateCredential => "create_credential",
        /// REST: a credential, revoked.
        RevokeCredential => "revoke_credential",
        /// REST: when a credential ends.
        ExpireCredential => "expire_credential",
        /// REST: a credential with a new secret.
        RegenerateCredential => "regenerate_credential",
        /// REST: a report.
        Report => "report",
        /// REST: counts for a period.
        ReportSummary => "report_summary",
        /// REST: the audit trail.
        QueryAudit => "query_audit",
        /// REST: the audit trail, all of it.
        ExportAudit => "export_audit",
        /// REST: how the server is doing.
        ReadStatus => "read_status",
        /// REST: its description.
        OpenApi => "openapi",
        /// A CRL, RFC 5280 §4.2.1.13.
        Crl => "crl",
        /// An authority's certificate, RFC 5280 §4.2.2.1.
        CaIssuers => "ca_issuers",
        /// RFC 6960.
        Ocsp => "ocsp",
        /// What this replica serves, for the operator.
        Loaded => "loaded",
        /// A certificate for a request of the cluster.
        Issue => "issue",
        /// A revocation that a resource asks for.
        Revoke => "revoke",
        /// How much was used, for the operator.
        Usage => "usage",
        /// What the server renewed by itself, for the operator.
        Renewals => "renewals",
        /// A path that nothing serves.
        Unmatched => "unmatched",
    }
}

label! {
    /// How a request ended, whatever status code its protocol wraps that in. A handler that knows puts it into the
    /// extensions of its response; without one the status code decides.
    Outcome {
        /// Information was given: nothing was asked to be signed.
        Answered => "answered",
        /// A certificate was issued.
        Issued => "issued",
        /// Someone must approve first.
        Pending => "pending",
        /// The requester may not have what was asked.
        Refused => "refused",
        /// The server could not do its work.
        Failed => "failed",
        /// The peer went away before the answer.
        Abandoned => "abandoned",
    }
}

label! {
    /// How one use of the issuance pipeline ended.
    Issuance {
        /// A certificate was issued.
        Issued => "issued",
        /// Someone must approve first.
        Pending => "pending",
        /// Policy or authentication forbids it.
        Refused => "refused",
        /// The signer or the store could not do its work.
        Failed => "failed",
    }
}

label! {
    /// Why an authentication failed, as far as an operator needs to tell an attack from a misconfiguration.
    AuthenticationFailure {
        /// Nothing was presented where something is asked for.
        Missing => "missing",
        /// A name that is not known, or a secret that is wrong; never told apart.
        Secret => "secret",
        /// A signature or MAC that does not verify.
        Signature => "signature",
        /// A certificate that leads to no trust anchor of the method.
        Untrusted => "untrusted",
        /// A credential or certificate outside its validity.
        Expired => "expired",
        /// A credential or certificate that was revoked.
        Revoked => "revoked",
        /// A nonce, token or one-time credential used again.
        Replayed => "replayed",
    }
}

label! {
    /// A listener of the server.
    ListenerKind {
        /// TLS, for devices.
        Device => "device",
        /// Plain HTTP, for what is signed already.
        Public => "public",
        /// Plain HTTP inside the cluster: health and metrics.
        Private => "private",
        /// Mutual TLS, for the operator.
        Internal => "internal",
    }
}

label! {
    /// The TLS version of a handshake.
    TlsVersionLabel {
        /// RFC 5246.
        Tls12 => "1.2",
        /// RFC 8446.
        Tls13 => "1.3",
        /// The handshake ended before a version was agreed.
        Unknown => "unknown",
    }
}

label! {
    /// How a TLS handshake ended.
    HandshakeOutcome {
        /// Keys are agreed.
        Completed => "completed",
        /// One side gave up, or what came is not TLS.
        Failed => "failed",
        /// The peer took too long.
        TimedOut => "timed_out",
    }
}

label! {
    /// Why the server ended a connection by itself.
    Cut {
        /// It did not begin with the header of the PROXY protocol that is asked for.
        ProxyHeader => "proxy_header",
        /// The request head took too long.
        SlowHeader => "slow_header",
        /// Nothing happened for the idle timeout.
        Idle => "idle",
        /// It outlasted the drain timeout of a shutdown.
        Drain => "drain",
    }
}

label! {
    /// How an ACME challenge is met, in the words of its standard.
    ChallengeLabel {
        /// RFC 8555 §8.3.
        Http01 => "http-01",
        /// RFC 8555 §8.4.
        Dns01 => "dns-01",
        /// RFC 8737.
        TlsAlpn01 => "tls-alpn-01",
    }
}

label! {
    /// How one validation of a challenge ended.
    ValidationOutcome {
        /// The account controls the name.
        Valid => "valid",
        /// It will be tried again.
        Retried => "retried",
        /// It was the last attempt, or no other would do better.
        Invalid => "invalid",
    }
}

label! {
    /// What a job of the jobs table does.
    JobKind {
        /// Sign and publish a CRL.
        Crl => "crl",
        /// Ask an external authority again.
        PendingUpstream => "pending_upstream",
        /// Validate an ACME challenge.
        ChallengeValidation => "challenge_validation",
        /// Look for certificates that end soon.
        Notice => "notice",
        /// Call a webhook.
        Webhook => "webhook",
        /// Sign a checkpoint of the audit trail.
        AuditCheckpoint => "audit_checkpoint",
        /// Renew a certificate ordered over REST.
        CertificateRenewal => "certificate_renewal",
        /// Renew a certificate the server uses itself.
        RoleKey => "role_key",
        /// Remove what has expired.
        Sweep => "sweep",
    }
}

label! {
    /// How one run of a job ended.
    JobOutcome {
        /// The work is done.
        Succeeded => "succeeded",
        /// It will be tried again.
        Retried => "retried",
        /// It was given up.
        Failed => "failed",
    }
}

label! {
    /// What became of a changed configuration.
    ReloadOutcome {
        /// It is in force.
        Applied => "applied",
        /// The previous one stays in force.
        Rejected => "rejected",
    }
}

/// Declares the label set of a family.
macro_rules! labels {
    ($($name:ident { $($field:ident: $type:ty),+ })+) => { $(
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub(super) struct $name { $(pub(super) $field: $type,)+ }
    )+ };
}

labels! {
    RequestLabels { protocol: Protocol, operation: Operation, outcome: Outcome }
    DurationLabels { protocol: Protocol, operation: Operation }
    IssuanceLabels { protocol: Protocol, outcome: Issuance }
    AuthenticationLabels { protocol: Protocol, kind: AuthenticationFailure }
    ProtocolLabels { protocol: Protocol }
    ListenerLabels { listener: ListenerKind }
    CutLabels { listener: ListenerKind, reason: Cut }
    HandshakeLabels { version: TlsVersionLabel, outcome: HandshakeOutcome }
    JobLabels { kind: JobKind, outcome: JobOutcome }
    ValidationLabels { challenge: ChallengeLabel, outcome: ValidationOutcome }
    ChallengeLabels { challenge: ChallengeLabel }
    ReloadLabels { outcome: ReloadOutcome }
}
