//! Which certificates a list has.

use issuance::{
    identity::{CredentialId, Owner},
    store::{CertificateFilter, CertificateState, MethodScope, NamePart},
};
use pki::time::Time;
use utoipa::IntoParams;

use super::object::Status;
use crate::protocols::rest::{error::RestError, objects::Timestamp, parameters::Parameters};

/// All that are given must hold.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "only described: `filter` reads them")]
pub(super) struct Filters {
    /// What they are now.
    #[param(inline)]
    status: Option<Status>,
    /// Hexadecimal.
    serial: Option<String>,
    /// Part of the subject or of one of the other names (`dns:a.example`), in whatever case.
    #[param(max_length = 256)]
    name: Option<String>,
    /// `namespace/name` of the CertificateProfile.
    profile: Option<String>,
    /// `namespace/name` of the CertificateAuthority.
    authority: Option<String>,
    /// The identifier of the credential that was shown.
    credential: Option<String>,
    /// `user:NAME` or `group:NAME`.
    owner: Option<String>,
    /// At or after this time.
    issued_after: Option<Timestamp>,
    /// Before this time.
    issued_before: Option<Timestamp>,
    /// After this time.
    expires_after: Option<Timestamp>,
    /// Before this time.
    expires_before: Option<Timestamp>,
}

const A_NAME: &str = "of the form namespace/name";
const A_TIME: &str = "a time of RFC 3339";

/// Of the certificates of these methods.
///
/// # Errors
/// [`RestError::Malformed`].
pub(super) fn filter(
    parameters: &mut Parameters,
    methods: &MethodScope,
    now: Time,
) -> Result<CertificateFilter, RestError> {
    let name =
        parameters.take_with("name", "text of 1 to 256 characters that names can have", NamePart::new)?;
    let owner = parameters.take_parsed::<Owner>("owner", "user:NAME or group:NAME")?;
    let mut filter = CertificateFilter {
        methods: Some(methods.clone()),
        serial: parameters.take_parsed("serial", "a serial number, hexadecimal")?,
        name,
        profile: parameters.take_parsed("profile", A_NAME)?,
        authority: parameters.take_parsed("authority", A_NAME)?,
        credential: parameters.take_parsed::<CredentialId>("credential", "the identifier of a credential")?,
        owner: owner.map(|owner| owner.to_string()),
        issued_from: time(parameters, "issuedAfter")?,
        issued_before: time(parameters, "issuedBefore")?,
        expires_after: time(parameters, "expiresAfter")?,
        expires_before: time(parameters, "expiresBefore")?,
        ..CertificateFilter::default()
    };
    let statuses: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
    let status = parameters.take_with("status", &format!("one of {}", statuses.join(", ")), |text| {
        Status::ALL.into_iter().find(|status| status.as_str() == text)
    })?;
    if let Some(status) = status {
        narrow(&mut filter, status, now);
    }
    Ok(filter)
}

/// Rows know nothing of the time: what is valid or has expired is said by their ends.
fn narrow(filter: &mut CertificateFilter, status: Status, now: Time) {
    let (state, ends) = match status {
        Status::Valid => (CertificateState::Valid, Some(true)),
        Status::Expired => (CertificateState::Valid, Some(false)),
        Status::Held => (CertificateState::Held, None),
        Status::Revoked => (CertificateState::Revoked, None),
    };
    filter.state = Some(state);
    match ends {
        // The store's bound is the last second that does not count.
        Some(true) => filter.expires_after = filter.expires_after.max(Some(now.plus_seconds(-1))),
        Some(false) => filter.expires_before = Some(filter.expires_before.map_or(now, |time| time.min(now))),
        None => {}
    }
}

fn time(parameters: &mut Parameters, name: &str) -> Result<Option<Time>, RestError> {
    let read = |text: &str| Timestamp::parse(text).map(|timestamp| timestamp.0);
    parameters.take_with(name, A_TIME, read)
}

#[cfg(test)]
mod tests {
    use issuance::identity::ResourceName;

    use super::*;

    fn of_method() -> MethodScope {
        MethodScope::from(ResourceName::new("lab", "api"))
    }

    fn read(query: &str) -> Result<CertificateFilter, RestError> {
        let mut parameters = Parameters::of(Some(query))?;
        let filter = filter(&mut parameters, &of_method(), Time::from_unix(1000))?;
        parameters.finish()?;
        Ok(filter)
    }

    #[test]
    fn a_status_is_said_by_what_rows_know() {
        let of = |query: &str| {
            let filter = read(query).unwrap();
            assert_eq!(filter.methods, Some(of_method()));
            (filter.state, filter.expires_after.map(Time::unix), filter.expires_before.map(Time::unix))
        };
        assert_eq!(of(""), (None, None, None));
        assert_eq!(of("status=valid"), (Some(CertificateState::Valid), Some(999), None));
        assert_eq!(of("status=expired"), (Some(CertificateState::Valid), None, Some(1000)));
        assert_eq!(of("status=held"), (Some(CertificateState::Held), None, None));
        assert_eq!(of("status=revoked"), (Some(CertificateState::Revoked), None, None));
        // The narrower of two bounds holds.
        let (early, late) = ("1970-01-01T00:10:00Z", "1970-01-01T01:00:00Z");
        assert_eq!(of(&format!("status=valid&expiresAfter={early}")).1, Some(999));
        assert_eq!(of(&format!("status=valid&expiresAfter={late}")).1, Some(3600));
        assert_eq!(of(&format!("status=expired&expiresBefore={early}")).2, Some(600));
        assert_eq!(of(&format!("status=expired&expiresBefore={late}")).2, Some(1000));
    }

    #[test]
    fn each_parameter_is_what_it_must_be() {
        let whole = read(
            "serial=5c&name=a.example&profile=lab/web&authority=lab/root&credential=07070707070707070707070707070707\
             &owner=group:ops&issuedAfter=2026-01-01T00:00:00Z&issuedBefore=2027-01-01T00:00:00%2B01:00",
        )
        .unwrap();
        assert_eq!(whole.serial.unwrap().to_string(), "5C");
        assert_eq!(whole.name, NamePart::new("a.example"));
        assert_eq!(whole.authority, Some(ResourceName::new("lab", "root")));
        assert_eq!(whole.owner.as_deref(), Some("group:ops"));
        assert_eq!(whole.issued_before.unwrap().to_string(), "2026-12-31T23:00:00Z");
        for query in [
            "status=Valid",
            "status=",
            "serial=xyz",
            "serial=0",
            "name=",
            "name=%00",
            "profile=web",
            "authority=a/b/c",
            "credential=7",
            "owner=ann",
            "issuedAfter=yesterday",
            "expiresBefore=2026-01-01",
            "unknown=1",
            "serial=1&serial=2",
        ] {
            assert!(matches!(read(query), Err(RestError::Malformed(_))), "{query}");
        }
    }
}
