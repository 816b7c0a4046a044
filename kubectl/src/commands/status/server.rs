//! What a server says of itself: whether what was declared is in force, its methods, who signs for them, and what waits.

use client::rest::{AuthorityStatus, ConfigurationStatus, MethodStatus, PendingRequests, ProfileStatus};
use pki::text::printable;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    cli::Context,
    output::{Form, List, Row, print},
};

pub(super) async fn show(context: &Context) -> anyhow::Result<()> {
    let status = context.server().await?.status().await?;
    let at = |authority| At { authority, now: &status.time };
    let authorities: Vec<_> = status.authorities.iter().map(at).collect();
    match context.output.form {
        Form::Json | Form::Yaml => context.output.whole(&status),
        Form::Table => {
            let (version, time) = (printable(&status.version), printable(&status.time));
            print(format_args!("chancery-server {version}, {time}"))?;
            if let Some(sentence) = status.configuration.as_ref().and_then(behind) {
                print(sentence)?;
            }
            print("")?;
            table(context, &status.methods)?;
            if !authorities.is_empty() {
                print("")?;
                table(context, &authorities)?;
            }
            Ok(())
        }
        Form::Name => {
            table(context, &status.methods)?;
            table(context, &authorities)
        }
    }
}

fn table<T: Row>(context: &Context, rows: &[T]) -> anyhow::Result<()> {
    let mut list = List::begin(context.output);
    list.items(rows)?;
    list.finish()
}

impl Row for MethodStatus {
    const KIND: &'static str = "enrollmentmethod";
    const COLUMNS: &'static [&'static str] =
        &["METHOD", "PROTOCOL", "PENDING", "AUTHORITIES", "PROFILES", "URL"];

    fn cells(&self) -> Vec<String> {
        let mut authorities: Vec<&str> =
            self.profiles.iter().filter_map(|profile| profile.authority.as_deref()).collect();
        authorities.sort_unstable();
        authorities.dedup();
        let profiles: Vec<String> = self.profiles.iter().map(profile).collect();
        vec![
            self.name.clone(),
            self.protocol.clone(),
            pending(self.pending_requests),
            authorities.join(","),
            profiles.join(","),
            self.urls.first().cloned().unwrap_or_default(),
        ]
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

fn profile(profile: &ProfileStatus) -> String {
    match &profile.name {
        Some(name) => format!("{name}={}", profile.profile),
        None => profile.profile.clone(),
    }
}

fn pending(PendingRequests { count, at_least }: PendingRequests) -> String {
    format!("{count}{}", if at_least { "+" } else { "" })
}

/// What is not in force, if anything is not.
fn behind(configuration: &ConfigurationStatus) -> Option<String> {
    let ConfigurationStatus { generation, current, problem, .. } = configuration;
    let what = match problem.as_deref() {
        _ if *current => return None,
        Some("rejected") => "what was declared last was not taken, and what was before it stays in force",
        Some("incomplete") => "some of what was declared last is not in force",
        Some(_) | None => "what is in force is not what was declared last",
    };
    Some(format!("NOT CURRENT: {what} (configuration {generation}); `chancery-server status` says why"))
}

/// An authority, at the time of its server.
#[derive(Debug, Serialize)]
struct At<'a> {
    #[serde(flatten)]
    authority: &'a AuthorityStatus,
    #[serde(skip)]
    now: &'a str,
}

impl At<'_> {
    /// A moment, with a mark once it has passed.
    fn until(&self, moment: &str, mark: &str) -> String {
        let parsed = |text| OffsetDateTime::parse(text, &Rfc3339).ok();
        let has_passed = parsed(moment).zip(parsed(self.now)).is_some_and(|(moment, now)| moment < now);
        if has_passed { format!("{moment} ({mark})") } else { moment.to_owned() }
    }
}

impl Row for At<'_> {
    const KIND: &'static str = "certificateauthority";
    const COLUMNS: &'static [&'static str] = &["AUTHORITY", "EXPIRES", "CRL", "NEXT-UPDATE", "SUBJECT"];

    fn cells(&self) -> Vec<String> {
        let AuthorityStatus { name, subject, not_after, crl, .. } = self.authority;
        let crl = crl.as_ref();
        vec![
            name.clone(),
            self.until(not_after, "ended"),
            crl.map(|crl| crl.number.to_string()).unwrap_or_default(),
            crl.map(|crl| self.until(&crl.next_update, "overdue")).unwrap_or_default(),
            subject.clone(),
        ]
    }

    fn name(&self) -> String {
        self.authority.name.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_of_a_method_says_what_it_issues_by_and_that_more_may_wait_than_were_counted() {
        let method: MethodStatus = serde_json::from_value(json!({
            "name": "pki/rest", "protocol": "rest", "urls": ["https://a.example/api/v1"],
            "profiles": [{"name": "default", "profile": "pki/web", "authority": "pki/ca"},
                {"name": "long", "profile": "pki/long", "authority": "pki/ca"}, {"profile": "pki/self"}],
            "pendingRequests": {"count": 1000, "atLeast": true},
        }))
        .unwrap();
        let expected = [
            "pki/rest",
            "rest",
            "1000+",
            "pki/ca",
            "default=pki/web,long=pki/long,pki/self",
            "https://a.example/api/v1",
        ];
        assert_eq!(method.cells(), expected);
        assert_eq!(pending(PendingRequests { count: 2, at_least: false }), "2");
    }

    fn authority(crl: serde_json::Value) -> AuthorityStatus {
        serde_json::from_value(
            json!({"name": "pki/ca", "subject": "CN=a", "notAfter": "2027-01-01T00:00:00Z", "crl": crl}),
        )
        .unwrap()
    }

    #[test]
    fn an_authority_that_has_ended_and_a_list_that_is_overdue_are_marked() {
        let authority = authority(json!({"number": 7, "nextUpdate": "2026-12-01T00:00:00Z"}));
        let cells = |now| At { authority: &authority, now }.cells();
        let (ended, overdue) = ("2027-01-01T00:00:00Z (ended)", "2026-12-01T00:00:00Z (overdue)");
        let (ends, due) = ("2027-01-01T00:00:00Z", "2026-12-01T00:00:00Z");
        for (now, expires, next_update) in [
            ("2026-12-01T00:00:00Z", ends, due),
            ("2026-12-01T00:00:01Z", ends, overdue),
            // Times of another offset are the times that they are.
            ("2027-01-01T01:00:00+01:00", ends, overdue),
            ("2027-01-01T00:00:01Z", ended, overdue),
            ("when", ends, due),
        ] {
            assert_eq!(cells(now), ["pki/ca", expires, "7", next_update, "CN=a"], "{now}");
        }
    }

    #[test]
    fn an_authority_without_a_list_has_none_that_is_overdue() {
        let authority = authority(json!(null));
        let cells = At { authority: &authority, now: "2026-12-01T00:00:00Z" }.cells();
        assert_eq!(cells, ["pki/ca", "2027-01-01T00:00:00Z", "", "", "CN=a"]);
    }

    #[test]
    fn what_is_not_in_force_is_said_whatever_the_server_calls_it() {
        let said = |configuration| behind(&serde_json::from_value(configuration).unwrap());
        assert_eq!(said(json!({"generation": 3, "current": true})), None);
        for (problem, expected) in [
            (json!("rejected"), "was not taken"),
            (json!("incomplete"), "some of what was declared last"),
            (json!("invented"), "is not what was declared last (configuration 3)"),
            (json!(null), "is not what was declared last (configuration 3)"),
        ] {
            let sentence = said(json!({"generation": 3, "current": false, "problem": problem})).unwrap();
            assert!(sentence.starts_with("NOT CURRENT: ") && sentence.contains(expected), "{sentence}");
        }
    }
}
