//! Records as syslog messages ([RFC 5424](https://www.rfc-editor.org/rfc/rfc5424)): the event is structured data, so that a
//! collector need not parse words.
//!
//! ```text
//! <110>1 2026-01-01T00:00:00Z - chancery - certificateIssued [audit@32473 stream="main" sequence="7" …] certificateIssued done
//! ```

use std::fmt::Write as _;

use issuance::audit::{Actor, AuditEvent, AuditOutcome, AuditRecord, actor_name};
use pki::text::printable;

/// Reserved for examples and documentation (RFC 5612 §2).
pub(crate) const DOCUMENTATION_ENTERPRISE: u32 = 32473;

/// "log audit" (RFC 5424 §6.2.1, table 1).
const FACILITY: u8 = 13;

/// One message, without a line feed anywhere. HOSTNAME and PROCID are not known to who reads the rows: the stream says which
/// process wrote the record.
pub(super) fn message(record: &AuditRecord, event: &AuditEvent, enterprise: u32) -> String {
    let (action, outcome) = (event.action.as_str(), event.outcome.as_str());
    let mut message = format!(
        "<{}>1 {} - chancery - {action} [audit@{enterprise}",
        FACILITY * 8 + severity(event.outcome),
        event.at
    );
    for (name, value) in parameters(record, event) {
        // Writing to a string does not fail.
        let _ = write!(message, " {name}=\"{}\"", escaped(&value));
    }
    // ASCII, so that no byte order mark is asked for (§6.4).
    let _ = write!(message, "] {action} {outcome}");
    message
}

/// RFC 5424 §6.2.1, table 2: informational, notice, warning, error.
fn severity(outcome: AuditOutcome) -> u8 {
    match outcome {
        AuditOutcome::Done => 6,
        AuditOutcome::Pending => 5,
        AuditOutcome::Refused => 4,
        AuditOutcome::Failed => 3,
    }
}

/// Under the names that the records have.
fn parameters(record: &AuditRecord, event: &AuditEvent) -> Vec<(&'static str, String)> {
    let (kind, protocol, address) = match &event.actor {
        Actor::Requester { protocol, address, .. } => ("requester", Some(protocol), address.clone()),
        Actor::Stranger { protocol, address } => ("stranger", Some(protocol), address.clone()),
        Actor::Operator { .. } => ("operator", None, None),
        Actor::Server => ("server", None, None),
    };
    let optional = [
        ("actor", actor_name(&event.actor).map(str::to_owned)),
        ("protocol", protocol.map(ToString::to_string)),
        ("address", address),
        ("actorCredential", event.actor.credential().map(ToString::to_string)),
        ("method", event.method.as_ref().map(ToString::to_string)),
        ("profile", event.profile.as_ref().map(ToString::to_string)),
        ("authority", event.authority.as_ref().map(ToString::to_string)),
        ("issuer", event.issuer.map(|issuer| issuer.to_string())),
        ("serial", event.serial.map(|serial| serial.to_string())),
        ("subject", event.subject.clone()),
        ("request", event.request.as_ref().map(ToString::to_string)),
        ("credential", event.credential.as_ref().map(ToString::to_string)),
        ("reason", event.reason.clone()),
        ("count", event.count.map(|count| count.to_string())),
    ];
    let mut parameters = vec![
        ("stream", record.stream.clone()),
        ("sequence", record.sequence.to_string()),
        ("hash", hex::encode(record.hash)),
        ("outcome", event.outcome.as_str().to_owned()),
        ("kind", kind.to_owned()),
    ];
    parameters.extend(optional.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))));
    parameters
}

/// RFC 5424 §6.3.3: `"`, `\` and `]` have a backslash before them, and nothing else has.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in printable(value).chars() {
        if matches!(character, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use issuance::{
        audit::{Action, append},
        identity::Protocol,
        store::suite::samples::{NOW, credential_id, event, issuer, method, request_id, serial},
    };

    use super::*;

    fn of(event: &AuditEvent) -> (AuditRecord, String) {
        let record = append("pod-0/1", Some((6, [1; 32])), event).unwrap();
        let message = message(&record, event, DOCUMENTATION_ENTERPRISE);
        (record, message)
    }

    #[test]
    fn a_message_has_everything_that_the_record_says() {
        let event = AuditEvent {
            actor: Actor::Requester {
                protocol: Protocol::Rest,
                name: "ann".into(),
                address: Some("2001:db8::1".into()),
                credential: Some(credential_id(2)),
            },
            method: Some(method("api")),
            profile: Some(method("device")),
            authority: Some(method("ca")),
            issuer: Some(issuer(1)),
            serial: Some(serial(7)),
            subject: Some("CN=device".into()),
            request: Some(request_id(1)),
            credential: Some(credential_id(1)),
            count: Some(2),
            ..event("why")
        };
        let (record, message) = of(&event);
        let expected = format!(
            "<110>1 {NOW} - chancery - certificateIssued [audit@32473 stream=\"pod-0/1\" sequence=\"7\" \
             hash=\"{}\" outcome=\"done\" kind=\"requester\" actor=\"ann\" protocol=\"rest\" \
             address=\"2001:db8::1\" actorCredential=\"{}\" method=\"factory/api\" profile=\"factory/device\" authority=\"factory/ca\" \
             issuer=\"{}\" serial=\"{}\" subject=\"CN=device\" request=\"{}\" credential=\"{}\" reason=\"why\" \
             count=\"2\"] certificateIssued done",
            hex::encode(record.hash),
            credential_id(2),
            issuer(1),
            serial(7),
            request_id(1),
            credential_id(1),
        );
        assert_eq!(message, expected);
    }

    #[test]
    fn what_is_absent_is_left_out() {
        let mut bare = event("");
        bare.reason = None;
        let cases = [
            (Actor::Server, "kind=\"server\" actor=\"server\"]"),
            (Actor::Operator { name: "bob".into() }, "kind=\"operator\" actor=\"bob\"]"),
            (
                Actor::Stranger { protocol: Protocol::Est, address: None },
                "kind=\"stranger\" protocol=\"est\"]",
            ),
        ];
        for (actor, expected) in cases {
            let (_, message) = of(&AuditEvent { actor, ..bare.clone() });
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn exactly_three_characters_are_escaped_and_none_ends_the_message() {
        for (value, expected) in [
            ("plain", "plain"),
            (r#"a"b"#, r#"a\"b"#),
            (r"a\b", r"a\\b"),
            ("a]b", r"a\]b"),
            (r#"\"]"#, r#"\\\"\]"#),
            ("a[b='c'", "a[b='c'"),
            ("\u{e9}\u{1f600}", "\u{e9}\u{1f600}"),
            ("a\nb\r\0\x1b\x7f\u{85}", "a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            (r"\n", r"\\n"),
        ] {
            assert_eq!(escaped(value), expected);
            let (_, message) = of(&AuditEvent { subject: Some(value.into()), ..event("") });
            assert!(message.contains(&format!(" subject=\"{expected}\" ")), "{message}");
            assert!(!message.contains(char::is_control));
        }
    }

    #[test]
    fn the_priority_says_how_it_ended() {
        let expected = [110, 109, 108, 107];
        for (outcome, priority) in AuditOutcome::ALL.into_iter().zip(expected) {
            let (_, message) = of(&AuditEvent { outcome, ..event("") });
            assert!(message.starts_with(&format!("<{priority}>1 ")), "{message}");
            assert!(message.ends_with(&format!("] certificateIssued {}", outcome.as_str())), "{message}");
        }
    }

    #[test]
    fn every_action_is_a_message_identifier_and_every_name_a_parameter_name() {
        // RFC 5424 §6: printable ASCII, MSGID and PARAM-NAME at most 32.
        for action in Action::ALL {
            let name = action.as_str();
            assert!(name.len() <= 32 && name.bytes().all(|octet| octet.is_ascii_graphic()), "{name}");
        }
        let (record, _) = of(&event("why"));
        for (name, _) in parameters(&record, &event("why")) {
            assert!(name.len() <= 32 && name.bytes().all(|octet| octet.is_ascii_alphabetic()), "{name}");
        }
    }
}
