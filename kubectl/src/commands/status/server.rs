//! What a server says of itself: its methods, who signs for them, and what waits.

use client::rest::{AuthorityStatus, MethodStatus, PendingRequests, ProfileStatus};

use crate::{
    cli::Context,
    output::{Form, List, Row, print},
};

pub(super) async fn show(context: &Context) -> anyhow::Result<()> {
    let status = context.server().await?.status().await?;
    match context.output.form {
        Form::Json | Form::Yaml => context.output.whole(&status),
        Form::Table => {
            print(format_args!("chancery-server {}, {}\n", status.version, status.time))?;
            table(context, &status.methods)?;
            if !status.authorities.is_empty() {
                print("")?;
                table(context, &status.authorities)?;
            }
            Ok(())
        }
        Form::Name => {
            table(context, &status.methods)?;
            table(context, &status.authorities)
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

impl Row for AuthorityStatus {
    const KIND: &'static str = "certificateauthority";
    const COLUMNS: &'static [&'static str] = &["AUTHORITY", "EXPIRES", "CRL", "NEXT-UPDATE", "SUBJECT"];

    fn cells(&self) -> Vec<String> {
        let crl = self.crl.as_ref();
        vec![
            self.name.clone(),
            self.not_after.clone(),
            crl.map(|crl| crl.number.to_string()).unwrap_or_default(),
            crl.map(|crl| crl.next_update.clone()).unwrap_or_default(),
            self.subject.clone(),
        ]
    }

    fn name(&self) -> String {
        self.name.clone()
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
}
