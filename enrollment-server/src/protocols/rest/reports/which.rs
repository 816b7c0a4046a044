//! Which certificates a report is about.

use issuance::{identity::ResourceName, store::CertificateFilter};
use pki::time::Time;
use utoipa::{IntoParams, ToSchema};

use super::super::{auth::Caller, error::RestError, objects::Timestamp, parameters::Parameters};

/// All that are given must match.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described: `Which` reads them")]
pub(super) struct WhichParameters {
    /// Only those of this CertificateProfile, `namespace/name`.
    profile: Option<String>,
    /// Only those of this CertificateAuthority, `namespace/name`.
    authority: Option<String>,
    /// Only those whose EnrollmentMethod is in this namespace.
    namespace: Option<String>,
    /// Where the period begins: at or after this time.
    from: Option<Timestamp>,
    /// Where the period ends: before this time.
    to: Option<Timestamp>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described: `accept` reads it")]
pub(super) struct FormParameters {
    /// In place of the header Accept.
    #[param(inline)]
    format: Option<FormName>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "only described")]
enum FormName {
    Json,
    Csv,
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Which {
    /// Without a period.
    filter: CertificateFilter,
    pub(super) from: Option<Time>,
    pub(super) to: Option<Time>,
    now: Time,
}

/// What the period is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Period {
    Issued,
    /// Not revoked or held; within the next 30 days where nothing else is said.
    Expiring,
    /// Or held.
    Revoked,
}

/// In which certificates are about to end, in seconds.
const SOON: i64 = 30 * 86_400;

impl Which {
    /// # Errors
    /// [`RestError::Malformed`].
    pub(super) fn take(caller: &Caller, parameters: &mut Parameters) -> Result<Self, RestError> {
        let time = |parameters: &mut Parameters, name| {
            let time = parameters.take_with(name, "a time of RFC 3339", Timestamp::parse)?;
            Ok::<_, RestError>(time.map(|Timestamp(time)| time))
        };
        let resource = |parameters: &mut Parameters, name| {
            parameters.take_parsed::<ResourceName>(name, "namespace/name")
        };
        let (from, to) = (time(parameters, "from")?, time(parameters, "to")?);
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(RestError::Malformed("the parameter \"from\" must not be after \"to\"".into()));
        }
        let filter = CertificateFilter {
            methods: Some(caller.scope().clone()),
            profile: resource(parameters, "profile")?,
            authority: resource(parameters, "authority")?,
            namespace: parameters.take("namespace"),
            ..CertificateFilter::default()
        };
        Ok(Self { filter, from, to, now: caller.ask.now })
    }

    pub(super) fn filter(&self, period: Period) -> CertificateFilter {
        // Times are whole seconds: what is issued in the second of the question is in the answer.
        let asked = self.now.plus_seconds(1);
        let filter = CertificateFilter { issued_before: Some(asked), ..self.filter.clone() };
        match period {
            Period::Issued => CertificateFilter {
                issued_from: self.from,
                issued_before: Some(self.to.map_or(asked, |to| to.min(asked))),
                ..filter
            },
            Period::Expiring => CertificateFilter {
                revoked: Some(false),
                // The store's bound is the last second that does not count.
                expires_after: Some(self.from.unwrap_or(self.now).plus_seconds(-1)),
                expires_before: Some(
                    self.to.unwrap_or_else(|| self.from.unwrap_or(self.now).plus_seconds(SOON)),
                ),
                ..filter
            },
            Period::Revoked => CertificateFilter {
                revoked: Some(true),
                revoked_from: self.from,
                revoked_before: self.to,
                ..filter
            },
        }
    }
}
