//! Orders where a server is not there for a while, breaks off or fails: what is asked again, and what is said where it is in vain.
//! The clock is turned, so that no pause takes time.

mod desk;

use std::{fs, time::Duration};

use client::rest::{NewOrder, Order};
use serde_json::{Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use self::desk::{Deed, Desk, PROBLEM};
use super::{
    create::place,
    download::{FileForm, Wanted, to_file},
    submit::submit,
    wait::{Limit, WaitArgs, until_ended},
};

fn object(status: &str) -> Value {
    json!({"id": "7", "status": status, "product": "default", "requester": "ci", "createdAt": "2027-01-01T00:00:00Z",
        "certificateId": (status == "issued").then_some("ab.5C")})
}

fn order(status: &str) -> Order {
    serde_json::from_value(object(status)).unwrap()
}

fn asked_for() -> NewOrder {
    NewOrder { domains: vec!["a.example".into()], server_key: true, ..NewOrder::default() }
}

/// Whether it says that the order may be there, and by which key it is asked for again.
fn says_the_key(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("it is not known whether that was ordered; --idempotency-key mine ")
}

#[tokio::test(start_paused = true)]
async fn an_order_whose_answer_broke_off_is_the_same_order_when_the_server_is_back() {
    let busy = "content-type: application/problem+json\r\nretry-after: 20\r\n";
    let back = [Deed::Break, Deed::Refuse, Deed::problem(503, busy), Deed::object(201, &object("pending"))];
    let desk = Desk::that_does(back);
    let begun = Instant::now();
    assert_eq!(place(&desk.client(), &asked_for(), "mine").await.unwrap().id, "7");
    assert!(begun.elapsed() >= Duration::from_secs(20), "the server says when to ask again");
    let asked = desk.asked();
    assert_eq!(asked.len(), 4);
    // Refused is what was not asked.
    for asked in [&asked[0], &asked[2], &asked[3]] {
        assert_eq!(
            (asked.line.as_str(), asked.idempotency_key.as_deref()),
            ("POST /api/v1/orders", Some("mine"))
        );
        assert_eq!(asked.body, asked_for_json());
    }
}

fn asked_for_json() -> String {
    serde_json::to_string(&asked_for()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_order_that_may_be_there_is_never_left_without_its_key() {
    let page = || Deed::Answer(200, "content-type: text/html\r\n", "<h1>no</h1>".into());
    let late = "content-type: application/problem+json\r\nretry-after: 3600\r\n";
    let endings = [
        // The server went away for good, or came back and says no.
        (vec![Deed::Break], 5),
        (vec![Deed::Break, Deed::problem(403, PROBLEM)], 2),
        (vec![Deed::Break, Deed::problem(429, late)], 2),
        // It may have been written before something failed.
        (vec![Deed::problem(500, PROBLEM)], 1),
        (vec![Deed::problem(503, PROBLEM)], 5),
        (vec![Deed::problem(503, late)], 1),
        (vec![Deed::Answer(502, "", String::new())], 5),
        // Somebody answers, who is not the server.
        (vec![page()], 1),
        (vec![Deed::Hang], 5),
    ];
    for (deeds, times) in endings {
        let desk = Desk::that_does(deeds.clone());
        let refused = place(&desk.client(), &asked_for(), "mine").await.unwrap_err();
        assert!(says_the_key(&refused), "{deeds:?}: {refused:#}");
        assert_eq!(desk.asked().len(), times, "{deeds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_ordered_is_said_at_once() {
    for deeds in [vec![], vec![Deed::problem(422, PROBLEM)], vec![Deed::problem(429, PROBLEM)]] {
        let desk = Desk::that_does(deeds.clone());
        let refused = place(&desk.client(), &asked_for(), "mine").await.unwrap_err();
        assert!(!says_the_key(&refused), "{deeds:?}: {refused:#}");
        assert_eq!(desk.asked().len(), 1, "{deeds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_have_arrived_is_sent_again() {
    let desk = Desk::that_does([Deed::Break, Deed::object(200, &object("pending"))]);
    assert_eq!(submit(&desk.client(), "7", "MAM=").await.unwrap().id, "7");
    assert_eq!(desk.lines(), ["PUT /api/v1/orders/7/csr"; 2]);
    assert_eq!(desk.asked()[1].body, r#"{"csr":"MAM="}"#);

    let desk = Desk::that_does([Deed::Break]);
    let unknown = format!("{:#}", submit(&desk.client(), "7", "MAM=").await.unwrap_err());
    assert!(unknown.contains("not known whether the request of the order 7 arrived"), "{unknown}");
    let desk = Desk::that_does([Deed::problem(409, PROBLEM)]);
    let refused = format!("{:#}", submit(&desk.client(), "7", "MAM=").await.unwrap_err());
    assert!(!refused.contains("not known") && desk.asked().len() == 1, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_goes_on_when_the_server_is_back() {
    let waited = [
        Deed::Refuse,
        Deed::Break,
        Deed::Hang,
        Deed::Answer(502, "content-type: text/html\r\n", "<h1>no</h1>".into()),
        Deed::problem(503, PROBLEM),
        Deed::object(200, &object("pending")),
        Deed::Refuse,
        Deed::object(200, &object("issued")),
    ];
    let desk = Desk::that_does(waited);
    let mut order = order("pending");
    until_ended(&desk.client(), &mut order, Limit::UntilEnded).await.unwrap();
    assert_eq!((order.status.as_str(), desk.asked().len()), ("issued", 8));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_server_that_is_gone_ends_in_time() {
    let desk = Desk::that_does([]);
    let (begun, mut order) = (Instant::now(), order("pending"));
    until_ended(&desk.client(), &mut order, Limit::For(Duration::from_secs(60))).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 60);
    assert!(order.status.is_open() && desk.asked().len() > 5, "{:?}", desk.lines());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_server_refuses_names_the_order() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        wait: WaitArgs,
    }
    let Line { wait } = clap::Parser::try_parse_from(["orders", "--wait"]).unwrap();
    let desk = Desk::that_does([Deed::problem(403, PROBLEM)]);
    let refused = wait.follow(&desk.client(), &mut order("pending")).await.unwrap_err();
    assert!(format!("{refused:#}").contains("the order 7 may go on; `orders get 7 --wait`"), "{refused:#}");
    assert_eq!(desk.asked().len(), 1);
}

fn with_key() -> Wanted {
    Wanted { form: FileForm::Pkcs8, passphrase: Some(Zeroizing::new("correct horse".into())) }
}

fn chain() -> Deed {
    Deed::Answer(200, "content-type: application/pem-certificate-chain\r\n", "CHAIN\n".into())
}

const CHAIN: &str = "GET /api/v1/certificates/ab.5C/download?format=fullchain";
const KEY: &str = "POST /api/v1/orders/7/key";

#[tokio::test(start_paused = true)]
async fn a_key_is_not_asked_for_where_its_file_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    fs::write(&file, "of another run").unwrap();
    for file in [file.clone(), folder.path().join("removed").join("key.pem")] {
        let desk = Desk::that_does([chain(), Deed::object(200, &json!({"privateKey": "KEY\n"}))]);
        to_file(&desk.client(), &order("issued"), with_key(), &file).await.unwrap_err();
        assert_eq!(desk.lines(), [CHAIN]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "of another run");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_may_be_gone_is_said_to_be_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    let endings = [
        (Deed::problem(403, PROBLEM), "Some problem"),
        (Deed::Break, "not known whether the key was given"),
        (Deed::problem(503, PROBLEM), "not known whether the key was given"),
        (Deed::object(200, &json!({})), "was given, and is lost"),
    ];
    for (deed, said) in endings {
        let desk = Desk::that_does([chain(), deed.clone()]);
        let refused = to_file(&desk.client(), &order("issued"), with_key(), &file).await.unwrap_err();
        let refused = format!("{refused:#}");
        assert!(refused.contains(said), "{deed:?}: {refused}");
        assert_eq!(refused.contains("order again"), !matches!(deed, Deed::Answer(403, ..)), "{refused}");
        assert!(!file.exists(), "{deed:?}");
        assert_eq!(desk.lines(), [CHAIN, KEY], "a key is asked for once");
    }
    let desk = Desk::that_does([chain(), Deed::object(200, &json!({"privateKey": "KEY\n"}))]);
    to_file(&desk.client(), &order("issued"), with_key(), &file).await.unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "KEY\nCHAIN\n");
}
