//! What is told.

use std::collections::BTreeSet;

use client::internal::RenewalNews;
use kube::runtime::events::EventType;
use pki::time::Time;

use super::{MINUTE, api, failed, renewed};
use crate::{
    events::NamedEvent,
    renewals::plan::{EACH, plan},
};

/// All events, whatever they are about.
fn planned(news: &[RenewalNews]) -> Vec<NamedEvent> {
    plan(news.iter().map(|news| (api(), news))).into_iter().flat_map(|planned| planned.events).collect()
}

fn names(events: &[NamedEvent]) -> BTreeSet<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[test]
fn a_note_says_which_certificate_and_why() {
    let of = planned(&[renewed(1, 5), failed(2, 7, "whoever ordered could order nothing now")]);
    let [renewed, failed] = of.as_slice() else { panic!("{of:?}") };
    let order = "00000000000000000000000000000001";
    assert_eq!(
        renewed.note,
        format!(
            "order {order} renewed the certificate a001 by b001, which ends at 2027-01-16T08:00:00Z (CN=shop.acme.example)"
        )
    );
    assert_eq!((renewed.type_, renewed.reason), (EventType::Normal, "CertificateRenewed"));
    assert_eq!(renewed.at, Time::from_unix(MINUTE + 5));
    assert_eq!((failed.type_, failed.reason), (EventType::Warning, "CertificateRenewalFailed"));
    assert_eq!(
        failed.note,
        "the certificate b002 of order 00000000000000000000000000000002, which ends at 2027-01-16T08:00:00Z, is not renewed \
         (CN=shop.acme.example): whoever ordered could order nothing now"
    );
}

#[test]
fn text_of_peers_is_printable_and_never_pushes_the_rest_out() {
    let mut hostile = failed(1, 0, &"r\u{1b}[2J\n".repeat(10_000));
    hostile.renewal.subject = "é\u{7}".repeat(100_000);
    hostile.renewal.serial = "s".repeat(100_000);
    hostile.renewal.order = "o\n".repeat(100_000);
    let news: Vec<RenewalNews> = (0..=EACH)
        .map(|number| RenewalNews { id: number.to_string(), renewal: hostile.renewal.clone() })
        .collect();
    for event in planned(&news) {
        let note = &event.note;
        assert!(!note.contains(char::is_control), "{note}");
        assert!(note.contains("is not renewed") || note.contains("more certificates"), "{note}");
        assert!(note.contains(": r\u{fffd}[2J\u{fffd}") && note.chars().count() < 1024, "{note}");
    }
}

#[test]
fn a_name_is_one_that_the_api_server_takes_however_long_that_of_the_method_is() {
    let method = format!("a{}.{}", "-b".repeat(99), "c".repeat(40));
    let news = renewed(1, 0);
    let of = plan([(issuance::identity::ResourceName::new("team-a", &method), &news)]);
    let name = &of[0].events[0].name;
    assert!(name.len() <= 253, "{}", name.len());
    let labels: Vec<&str> = name.split('.').collect();
    assert!(
        labels.iter().all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')),
        "{name}"
    );
}

#[test]
fn the_same_news_make_the_same_events_and_others_others() {
    let one = planned(&[renewed(1, 0), renewed(2, 0), failed(3, 0, "no")]);
    assert_eq!(names(&one).len(), 3);
    assert_eq!(one, planned(&[renewed(1, 0), renewed(2, 0), failed(3, 0, "no")]));
    // What came with it, and as which row, does not matter.
    let mut alone = renewed(2, 0);
    alone.id = "another".into();
    assert!(names(&one).contains(planned(&[alone])[0].name.as_str()));
    // That an order failed and was renewed at last are two.
    assert_eq!(names(&planned(&[renewed(1, 0), failed(1, 0, "no")])).len(), 2);
}

#[test]
fn many_of_a_minute_are_told_of_by_a_few_events() {
    let news: Vec<RenewalNews> = (0..2000).map(|number| renewed(number, 1)).collect();
    let of = planned(&news);
    assert_eq!(of.len(), EACH + 1);
    assert_eq!(
        of[EACH].note,
        "and 1990 more certificates were renewed in the minute from 2027-01-15T08:00:00Z"
    );
    // They are told together or not at all.
    let together = plan(news.iter().map(|news| (api(), news)));
    let [one] = together.as_slice() else { panic!("{} groups", together.len()) };
    assert_eq!(one.tells.iter().collect::<BTreeSet<_>>().len(), news.len());
    // The rest of the minute, where it did not fit into one answer, is not what was told before.
    let more: Vec<RenewalNews> = (2000..2100).map(|number| renewed(number, 1)).collect();
    assert!(names(&of).is_disjoint(&names(&planned(&more))));
}

#[test]
fn minutes_kinds_and_methods_are_counted_apart() {
    let mut news = Vec::new();
    for number in 0..EACH {
        news.extend([renewed(number, 0), renewed(100 + number, 60), failed(200 + number, 0, "no")]);
    }
    assert_eq!(planned(&news).len(), 3 * EACH);
    news.push(failed(300, 59, "the last"));
    let of = planned(&news);
    assert_eq!(of.len(), 3 * EACH + 1);
    let last = of.iter().find(|planned| planned.note.starts_with("and 1 more")).unwrap();
    assert!(last.note.ends_with("that of order 0000000000000000000000000000012c: the last"), "{last:?}");
    let other = issuance::identity::ResourceName::new("team-b", "api");
    let of_other = plan(news.iter().map(|news| (other.clone(), news)));
    assert_eq!(of_other.iter().map(|planned| planned.events.len()).sum::<usize>(), 3 * EACH + 1);
}
