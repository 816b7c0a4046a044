//! `orders challenge`: proofs of control over names.

use clap::{Args, ValueEnum};
use client::rest::{Authorization, Challenge};
use serde::Serialize;

use crate::{
    cli::Context,
    output::{Form, List, Row, remark_rows},
};

#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// Identifier of the order.
    id: String,
    /// Which of its names, from 0, as `orders get` shows it.
    #[arg(value_name = "NUMBER")]
    place: usize,
    /// The challenge that is in place.
    #[arg(value_name = "TYPE", value_enum)]
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A file at a web server.
    #[value(name = "http-01")]
    Http01,
    /// A TXT record.
    #[value(name = "dns-01")]
    Dns01,
    /// A certificate that a server shows by ALPN.
    #[value(name = "tls-alpn-01")]
    TlsAlpn01,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

impl AnswerArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let client = context.server().await?;
        let authorization = client.answer_challenge(&self.id, self.place, self.kind.as_str()).await?;
        match context.output.form {
            Form::Json | Form::Yaml => context.output.whole(&authorization),
            Form::Table | Form::Name => show(context, [(self.place, &authorization)]),
        }
    }
}

/// A line for each challenge: what is to be where.
pub(super) fn show<'a>(
    context: &Context,
    authorizations: impl IntoIterator<Item = (usize, &'a Authorization)>,
) -> anyhow::Result<()> {
    let mut list = List::begin(context.output);
    list.items(&lines(authorizations))?;
    list.finish()
}

/// The same beside the result, for who waits until it is done.
pub(super) fn remark(authorizations: &[Authorization]) {
    remark_rows(&lines(authorizations.iter().enumerate()));
}

fn lines<'a>(authorizations: impl IntoIterator<Item = (usize, &'a Authorization)>) -> Vec<Line<'a>> {
    let of = |(place, authorization): (usize, &'a Authorization)| {
        authorization.challenges.iter().map(move |challenge| Line { place, authorization, challenge })
    };
    authorizations.into_iter().flat_map(of).collect()
}

/// A challenge, and which name it is of.
#[derive(Debug, Serialize)]
struct Line<'a> {
    place: usize,
    authorization: &'a Authorization,
    challenge: &'a Challenge,
}

impl Row for Line<'_> {
    const KIND: &'static str = "challenge";
    const COLUMNS: &'static [&'static str] =
        &["NUMBER", "NAME", "PROOF", "TYPE", "CHALLENGE", "WHERE", "WHAT", "ERROR"];

    fn cells(&self) -> Vec<String> {
        let Self { place, authorization, challenge } = self;
        // A file's content; what a record says; what the certificate for ALPN is made from.
        let (at, what) = match (&challenge.url, &challenge.record_name) {
            (Some(url), _) => (url.clone(), challenge.key_authorization.clone()),
            (None, Some(record)) => (record.clone(), challenge.record_value.clone().unwrap_or_default()),
            (None, None) => (authorization.name.clone(), challenge.key_authorization.clone()),
        };
        vec![
            place.to_string(),
            authorization.name.clone(),
            authorization.status.clone(),
            challenge.kind.clone(),
            challenge.status.clone(),
            at,
            what,
            challenge.error.clone().unwrap_or_default(),
        ]
    }

    fn name(&self) -> String {
        format!("{}/{}", self.place, self.challenge.kind)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_what_is_to_be_where() {
        let authorization: Authorization = serde_json::from_value(json!({
            "name": "a.example", "status": "pending",
            "challenges": [
                {"type": "http-01", "status": "pending", "keyAuthorization": "t.k", "url": "http://a.example/x"},
                {"type": "dns-01", "status": "pending", "keyAuthorization": "t.k",
                    "recordName": "_acme-challenge.a.example", "recordValue": "v"},
                {"type": "tls-alpn-01", "status": "invalid", "keyAuthorization": "t.k", "error": "nobody there"},
            ],
        }))
        .unwrap();
        let line =
            |challenge| Line { place: 2, authorization: &authorization, challenge }.cells()[3..].join(" ");
        let lines: Vec<String> = authorization.challenges.iter().map(line).collect();
        let expected = [
            "http-01 pending http://a.example/x t.k ",
            "dns-01 pending _acme-challenge.a.example v ",
            "tls-alpn-01 invalid a.example t.k nobody there",
        ];
        assert_eq!(lines, expected);
    }
}
