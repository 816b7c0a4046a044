//! Webhooks that are told before certificates expire.

use std::time::Duration;

use crds::{ExpiryNotice, NoticeWebhook, SecretKeyRef, conditions::Reason};
use issuance::{identity::ResourceName, secret::Secret};

use crate::{
    compiled_est::CompiledNotice,
    method::Context,
    status::{Problem, Problems},
};

/// Octets of a key of signatures. Fewer could be guessed from one notice.
const SECRET_LENGTH: std::ops::RangeInclusive<usize> = 16..=1024;

/// The notices of a method; what is wrong with them is noted. `path` is the member that lists them.
pub(crate) fn compile(
    context: &Context<'_, '_>,
    path: &str,
    given: &[ExpiryNotice],
    problems: &mut Problems,
) -> Vec<CompiledNotice> {
    let mut compiled = Vec::with_capacity(given.len());
    for (index, notice) in given.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let mut before: Vec<Duration> = notice.before.iter().map(crds::Duration::as_std).collect();
        before.sort_unstable_by(|one, other| other.cmp(one));
        before.dedup();
        if before.is_empty() || before.contains(&Duration::ZERO) {
            problems
                .invalid(format!("{path}.before"), "give at least one time, each must be longer than zero");
        }
        let url = &notice.webhook.url;
        if !is_webhook_url(url) {
            let what = format!("{url:?} is not an https URL, or an http URL of this machine");
            problems.invalid(format!("{path}.webhook.url"), what);
        }
        let secret = secret(context, &format!("{path}.webhook.secretRef"), &notice.webhook.secret_ref);
        if let Some(secret) = problems.note(secret) {
            compiled.push(CompiledNotice { before, url: url.clone(), secret });
        }
    }
    compiled
}

fn secret(context: &Context<'_, '_>, path: &str, reference: &SecretKeyRef) -> Result<Secret, Problem> {
    let name = ResourceName::new(context.name.namespace(), &reference.name);
    let key = reference.key.as_deref().unwrap_or(NoticeWebhook::DEFAULT_KEY);
    let refuse =
        |what: &str| Problem::new(Reason::SecretInvalid, path, format!("the Secret {name}: {key} {what}"));
    let value = context.index.secret_value(path, &name, key)?.ok_or_else(|| refuse("is missing"))?;
    if !SECRET_LENGTH.contains(&value.len()) {
        return Err(refuse(&format!(
            "must have {} to {} octets",
            SECRET_LENGTH.start(),
            SECRET_LENGTH.end()
        )));
    }
    // An editor or `echo` put it there, and the receiver does not have it. A random key is not text.
    if value.is_ascii() && value.ends_with(b"\n") {
        return Err(refuse("ends with a line break, which would be part of the key"));
    }
    Ok(Secret::new(value))
}

/// A URL that may be told which devices there are: encrypted, or on this machine; no user name before the host.
fn is_webhook_url(url: &str) -> bool {
    let (rest, host_ok): (_, fn(&str) -> bool) = if let Some(rest) = url.strip_prefix("https://") {
        (rest, |host| !host.is_empty())
    } else if let Some(rest) = url.strip_prefix("http://") {
        (rest, |host| ["localhost", "127.0.0.1", "[::1]"].contains(&host))
    } else {
        return false;
    };
    let (authority, _) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    };
    host_ok(host)
        && !authority.contains('@')
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
        && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\')
}
