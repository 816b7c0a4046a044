//! Credentials as they are shown: never a secret, nor what one is checked by.

use std::{io, net::IpAddr};

use issuance::{
    credential::{CredentialRow, CredentialUsage, UsageFailure},
    identity::Owner,
};
use pki::{text::printable, time::Time};
use serde::Serialize;

use super::state;
use crate::comma_separated::Table;

/// One line for a person.
pub(super) fn credential_line(row: &CredentialRow, usage: &CredentialUsage) -> String {
    let last = usage.last_used_at.map_or_else(|| "never".into(), |at| at.to_string());
    let name = row.username.as_deref().unwrap_or("-");
    let (id, state, protocol, uses) = (&row.id, state(row), row.protocol, usage.uses);
    printable(&format!("{id}  {state:7}  {protocol:4}  {}  {}  {name}  {uses}  {last}", row.method, row.name))
}

/// Several lines for a person.
pub(super) fn credential_text(row: &CredentialRow, usage: &CredentialUsage) -> String {
    let count = |count: u64| Some(count.to_string());
    let time = |time: Option<Time>| time.map(|time| time.to_string());
    let actions: Vec<&str> = row.actions.iter().map(|action| action.as_str()).collect();
    let fields = [
        ("credential", Some(row.id.to_string())),
        ("name", Some(row.name.to_string())),
        ("state", Some(state(row).into())),
        ("method", Some(row.method.to_string())),
        ("protocol", Some(row.protocol.to_string())),
        ("username", row.username.clone()),
        ("owner", row.owner.as_ref().map(ToString::to_string)),
        ("declared", row.declared.then(|| "by the EnrollmentCredential of this name".into())),
        ("actions", Some(actions.join(" ")).filter(|actions| !actions.is_empty())),
        ("created", Some(row.created_at.to_string())),
        ("expires", time(row.expires_at)),
        ("value before", previous_until(row).map(|until| format!("accepted until {until}"))),
        (
            "uses",
            row.maximum_uses
                .map_or_else(|| count(usage.uses), |most| Some(format!("{} of {most}", usage.uses))),
        ),
        ("requests", count(usage.requests).filter(|_| usage.requests > 0)),
        ("first used", time(usage.first_used_at)),
        ("last used", Some(time(usage.last_used_at).unwrap_or_else(|| "never".into()))),
        ("from", usage.last_address.map(|address| address.to_string())),
        ("failures", count(usage.failures).filter(|_| usage.failures > 0)),
        ("last failure", usage.last_failure.as_ref().map(failure)),
    ];
    let lines = fields.into_iter().filter_map(|(name, value)| Some(format!("{name:12}  {}", value?)));
    lines.map(|line| printable(&line)).collect::<Vec<_>>().join("\n")
}

fn failure(failure: &UsageFailure) -> String {
    let from = failure.address.map_or_else(String::new, |address| format!(" from {address}"));
    format!("{}  {}{from}", failure.at, failure.reason)
}

/// As it was announced, whether it is over or not.
fn previous_until(row: &CredentialRow) -> Option<Time> {
    row.previous.as_ref().map(|previous| previous.until)
}

/// In JSON: the row as it is stored, without what the secret is checked by, and its usage.
#[derive(Debug, Serialize)]
pub(super) struct ShownCredential<'a> {
    #[serde(flatten)]
    row: &'a CredentialRow,
    #[serde(rename = "previousAcceptedUntil", skip_serializing_if = "Option::is_none")]
    previous_until: Option<Time>,
    usage: ShownUsage<'a>,
}

/// What the row does not say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownUsage<'a> {
    uses: u64,
    requests: u64,
    first_used_at: Option<Time>,
    last_used_at: Option<Time>,
    last_address: Option<IpAddr>,
    failures: u64,
    last_failure: Option<&'a UsageFailure>,
}

impl<'a> ShownCredential<'a> {
    pub(super) fn new(row: &'a CredentialRow, usage: &'a CredentialUsage) -> Self {
        let usage = ShownUsage {
            uses: usage.uses,
            requests: usage.requests,
            first_used_at: usage.first_used_at,
            last_used_at: usage.last_used_at,
            last_address: usage.last_address,
            failures: usage.failures,
            last_failure: usage.last_failure.as_ref(),
        };
        Self { row, previous_until: previous_until(row), usage }
    }
}

const COLUMNS: [&str; 22] = [
    "id",
    "name",
    "method",
    "protocol",
    "username",
    "owner",
    "state",
    "declared",
    "actions",
    "createdAt",
    "expiresAt",
    "previousAcceptedUntil",
    "maximumUses",
    "uses",
    "requests",
    "firstUsedAt",
    "lastUsedAt",
    "lastAddress",
    "failures",
    "lastFailureAt",
    "lastFailure",
    "lastFailureAddress",
];

/// The names of the columns, as the first record.
///
/// # Errors
/// None that memory causes.
pub(super) fn csv_header() -> io::Result<String> {
    csv_record(&COLUMNS)
}

/// One record.
///
/// # Errors
/// None that memory causes.
pub(super) fn credential_csv(row: &CredentialRow, usage: &CredentialUsage) -> io::Result<String> {
    let time = |time: Option<Time>| time.map(|time| time.to_string()).unwrap_or_default();
    let address = |address: Option<IpAddr>| address.map(|address| address.to_string()).unwrap_or_default();
    let failure = usage.last_failure.as_ref();
    let actions: Vec<&str> = row.actions.iter().map(|action| action.as_str()).collect();
    let fields: [String; COLUMNS.len()] = [
        row.id.to_string(),
        row.name.to_string(),
        row.method.to_string(),
        row.protocol.to_string(),
        row.username.clone().unwrap_or_default(),
        row.owner.as_ref().map(Owner::to_string).unwrap_or_default(),
        state(row).into(),
        row.declared.to_string(),
        actions.join(" "),
        row.created_at.to_string(),
        time(row.expires_at),
        time(previous_until(row)),
        row.maximum_uses.map(|most| most.to_string()).unwrap_or_default(),
        usage.uses.to_string(),
        usage.requests.to_string(),
        time(usage.first_used_at),
        time(usage.last_used_at),
        address(usage.last_address),
        usage.failures.to_string(),
        time(failure.map(|failure| failure.at)),
        failure.map(|failure| failure.reason.clone()).unwrap_or_default(),
        address(failure.and_then(|failure| failure.address)),
    ];
    csv_record(&fields.map(|field| printable(&field)))
}

fn csv_record(fields: &[impl AsRef<str>]) -> io::Result<String> {
    let mut table = Table::default();
    table.row(fields)?;
    String::from_utf8(table.finish()?).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use issuance::{
        credential::{GrantedUses, PreviousValue, Seen, UsageNote},
        store::suite::samples::{EARLIER, LATER, NOW, credential, credential_id},
    };

    use super::*;

    const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn unused() -> CredentialUsage {
        let credential = credential_id(1);
        CredentialUsage::new(GrantedUses { credential, uses: 0, first: None, last: None }, None)
    }

    fn used() -> CredentialUsage {
        let last = Some(Seen { at: NOW, address: Some(FROM) });
        let granted = GrantedUses { credential: credential_id(1), uses: 3, first: Some(EARLIER), last };
        let last_failure = Some(UsageFailure { at: LATER, reason: "mismatch".into(), address: Some(FROM) });
        let noted =
            UsageNote { requests: 7, failures: 2, last_failure, ..UsageNote::empty(credential_id(1)) };
        CredentialUsage::new(granted, Some(noted))
    }

    fn named(username: &str) -> CredentialRow {
        CredentialRow { username: Some(username.into()), ..credential(1) }
    }

    #[test]
    fn what_a_peer_or_a_maker_chose_moves_no_cursor_and_begins_no_formula() {
        let row = named("\x1b[2J,=\"x\"");
        assert!(credential_line(&row, &unused()).contains("\u{fffd}[2J,=\"x\""));
        assert!(credential_text(&row, &unused()).contains("\u{fffd}[2J"));
        assert!(credential_csv(&row, &unused()).unwrap().contains(",\"\u{fffd}[2J,=\"\"x\"\"\","));
        for formula in ["=1+1", "+1", "-1", "@x"] {
            assert!(credential_csv(&named(formula), &unused()).unwrap().contains(&format!(",'{formula},")));
        }
    }

    #[test]
    fn no_secret_is_shown_in_any_form() {
        let previous = Some(PreviousValue { verifier: named("ann").verifier, until: LATER });
        let row = CredentialRow { previous, ..named("ann") };
        let verifier = serde_json::to_string(&row.verifier).unwrap();
        let hash = verifier.split('"').find(|part| part.len() >= 32).unwrap();
        let json = serde_json::to_string(&ShownCredential::new(&row, &used())).unwrap();
        for shown in [
            credential_line(&row, &used()),
            credential_text(&row, &used()),
            credential_csv(&row, &used()).unwrap(),
            json,
        ] {
            assert!(!shown.contains(hash) && !shown.contains("verifier"), "{shown}");
        }
    }

    #[test]
    fn a_record_has_a_field_for_each_name_of_the_header() {
        let header = csv_header().unwrap();
        let names: Vec<&str> = header.trim_end().split(',').collect();
        let record = credential_csv(&named("ann"), &used()).unwrap();
        assert!(header.ends_with("\r\n") && record.ends_with("\r\n"), "{header}{record}");
        let fields: Vec<&str> = record.split(',').collect();
        assert_eq!(fields.len(), names.len(), "{record}");
        let of = |name: &str| fields[names.iter().position(|other| *other == name).unwrap()];
        assert_eq!((of("uses"), of("requests"), of("failures")), ("3", "7", "2"));
        assert_eq!((of("username"), of("lastAddress")), ("ann", "192.0.2.1"));
        assert_eq!((of("lastUsedAt"), of("lastFailureAt")), (&*NOW.to_string(), &*LATER.to_string()));
        assert_eq!(of("lastFailure"), "mismatch");
        assert_eq!(credential_csv(&credential(1), &unused()).unwrap().split(',').count(), names.len());
    }

    #[test]
    fn a_person_reads_how_it_was_used_and_what_went_wrong() {
        let text = credential_text(&CredentialRow { maximum_uses: Some(5), ..named("ann") }, &used());
        for line in [
            "username      ann".to_owned(),
            "uses          3 of 5".into(),
            "requests      7".into(),
            format!("first used    {EARLIER}"),
            format!("last used     {NOW}"),
            "from          192.0.2.1".into(),
            "failures      2".into(),
            format!("last failure  {LATER}  mismatch from 192.0.2.1"),
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        let verifier = credential(2).verifier;
        let rotated =
            CredentialRow { previous: Some(PreviousValue { verifier, until: LATER }), ..credential(1) };
        let text = credential_text(&rotated, &unused());
        assert!(text.contains(&format!("value before  accepted until {LATER}\n")), "{text}");
        let json = serde_json::to_value(ShownCredential::new(&rotated, &unused())).unwrap();
        assert_eq!(json["previousAcceptedUntil"], LATER.unix());
        assert!(credential_csv(&rotated, &unused()).unwrap().contains(&format!(",{LATER},")));
        let text = credential_text(&credential(1), &unused());
        assert!(!text.contains("value before"), "{text}");
        assert!(text.contains("last used     never") && !text.contains("failure"), "{text}");
    }
}
