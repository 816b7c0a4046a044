//! What is told of renewals.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use client::internal::{Renewal, RenewalNews, RenewalOutcome};
use issuance::identity::ResourceName;
use kube::runtime::events::EventType;
use pki::{text::printable, time::Time};

use crate::events::NamedEvent;

/// Events of one kind about one minute of one method, but for the one that counts the others.
pub(super) const EACH: usize = 10;

const MINUTE: i64 = 60;

const ACTION: &str = "Renew";

/// Most characters of a text of a server's, so that a note holds all of it.
const MAX_ID: usize = 64;
const MAX_SUBJECT: usize = 160;
const MAX_REASON: usize = 400;

/// Longest name of a method that an event's name begins with; more is cut off.
const MAX_PREFIX: usize = 200;

/// What is told of one minute of one method, of one kind: all of it, or it is planned anew, and then it has to be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) method: ResourceName,
    pub(super) events: Vec<NamedEvent>,
    /// Identifiers of the news.
    pub(super) tells: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Renewed,
    Failed,
}

impl Kind {
    fn of(renewal: &Renewal) -> Self {
        match renewal.outcome {
            RenewalOutcome::Renewed { .. } => Self::Renewed,
            RenewalOutcome::Failed { .. } => Self::Failed,
        }
    }

    fn type_(self) -> EventType {
        match self {
            Self::Renewed => EventType::Normal,
            Self::Failed => EventType::Warning,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Renewed => "CertificateRenewed",
            Self::Failed => "CertificateRenewalFailed",
        }
    }
}

/// The events of what a server said: the same of the same, in whatever process.
pub(super) fn plan<'a>(news: impl IntoIterator<Item = (ResourceName, &'a RenewalNews)>) -> Vec<Planned> {
    let mut groups: BTreeMap<(ResourceName, Kind, i64), Vec<&RenewalNews>> = BTreeMap::new();
    for (method, news) in news {
        let minute = news.renewal.at.div_euclid(MINUTE);
        groups.entry((method, Kind::of(&news.renewal), minute)).or_default().push(news);
    }
    let planned = |((method, kind, minute), news): ((ResourceName, Kind, i64), Vec<&RenewalNews>)| {
        let events = events(&method, kind, minute, &news);
        Planned { method, events, tells: news.iter().map(|news| news.id.clone()).collect() }
    };
    groups.into_iter().map(planned).collect()
}

fn events(method: &ResourceName, kind: Kind, minute: i64, news: &[&RenewalNews]) -> Vec<NamedEvent> {
    let (each, others) = news.split_at(news.len().min(EACH));
    let of_one = |one: &&RenewalNews| event(method, kind, &[one], one.renewal.at, note(&one.renewal));
    let mut events: Vec<NamedEvent> = each.iter().map(of_one).collect();
    if let [first, ..] = others {
        let at = minute.saturating_mul(MINUTE);
        events.push(event(method, kind, others, at, note_of_many(&first.renewal, others.len(), at)));
    }
    events
}

fn event(method: &ResourceName, kind: Kind, news: &[&RenewalNews], at: i64, note: String) -> NamedEvent {
    NamedEvent {
        name: name(method, kind, news),
        type_: kind.type_(),
        action: ACTION,
        reason: kind.reason(),
        note,
        at: Time::from_unix(at),
    }
}

/// After what it tells. Two that tell something else have different names.
fn name(method: &ResourceName, kind: Kind, news: &[&RenewalNews]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"chancery renewal v1\0");
    context.update(kind.reason().as_bytes());
    for news in news {
        context.update(b"\0");
        context.update(news.renewal.order.as_bytes());
    }
    let digest: String = hex::encode(context.finish()).chars().take(32).collect();
    let prefix: String = method.name().chars().take(MAX_PREFIX).collect();
    format!("{}.{digest}", prefix.trim_end_matches(['.', '-']))
}

fn note(renewal: &Renewal) -> String {
    let (order, serial) = (id(&renewal.order), id(&renewal.serial));
    let (end, subject) = (Time::from_unix(renewal.not_after), of_subject(&renewal.subject));
    match &renewal.outcome {
        RenewalOutcome::Renewed { replaces } => format!(
            "order {order} renewed the certificate {} by {serial}, which ends at {end}{subject}",
            id(replaces)
        ),
        RenewalOutcome::Failed { reason } => format!(
            "the certificate {serial} of order {order}, which ends at {end}, is not renewed{subject}: {}",
            shown(reason, MAX_REASON)
        ),
    }
}

/// The minute is that of the others, too.
fn note_of_many(first: &Renewal, count: usize, minute: i64) -> String {
    let minute = Time::from_unix(minute);
    match &first.outcome {
        RenewalOutcome::Renewed { .. } => {
            format!("and {count} more certificates were renewed in the minute from {minute}")
        }
        RenewalOutcome::Failed { reason } => format!(
            "and {count} more certificates are not renewed since the minute from {minute}; that of order {}: {}",
            id(&first.order),
            shown(reason, MAX_REASON)
        ),
    }
}

fn of_subject(subject: &str) -> String {
    if subject.is_empty() { String::new() } else { format!(" ({})", shown(subject, MAX_SUBJECT)) }
}

fn id(text: &str) -> String {
    shown(text, MAX_ID)
}

/// A device may have chosen it.
fn shown(text: &str, longest: usize) -> String {
    let text = printable(text);
    let mut shown: String = text.chars().take(longest).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
