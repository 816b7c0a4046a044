//! Reports: which rows, in which form, of whom.

use issuance::{
    identity::ResourceName,
    rest::RestAction,
    store::{CertificateRow, CertificateStatus},
};
use pki::{extension::ReasonCode, time::Time};
use serde_json::{Value, json};

use super::{
    desk::{accepting, certificate, insert},
    scene::Scene,
};

const DAY: i64 = 86_400;

struct Reports {
    scene: Scene,
    now: Time,
}

impl Reports {
    /// Certificates 1 to 6 of the method, and 7 of another.
    async fn new() -> Self {
        let scene = Scene::new().await;
        let now = scene.app.engine.clock().now();
        let days = |days: i64| now.plus_seconds(days * DAY);
        let revoked =
            |at| CertificateStatus::Revoked { at, reason: ReasonCode::KeyCompromise, invalidity_date: None };
        let rows = [
            CertificateRow { not_after: days(-5), ..certificate(&scene, 1, days(-10)) },
            CertificateRow { not_after: days(10), ..certificate(&scene, 2, days(-9)) },
            CertificateRow {
                not_after: days(90),
                status: revoked(days(-2)),
                ..certificate(&scene, 3, days(-8))
            },
            CertificateRow {
                not_after: days(20),
                status: CertificateStatus::Held { at: days(-1) },
                ..certificate(&scene, 4, days(-7))
            },
            CertificateRow {
                not_after: days(200),
                profile: ResourceName::new("lab", "short"),
                ..certificate(&scene, 5, days(-6))
            },
            CertificateRow { not_after: days(300), authority: None, ..certificate(&scene, 6, now) },
            CertificateRow { method: scene.other_method.name.clone(), ..certificate(&scene, 7, days(-3)) },
        ];
        insert(&scene, rows).await;
        Self { scene, now }
    }

    fn days(&self, days: i64) -> String {
        self.now.plus_seconds(days * DAY).to_string()
    }

    /// The numbers of the certificates.
    async fn numbers(&self, report: &str) -> Vec<u64> {
        let rows = self.scene.get(&format!("/reports/{report}")).await.ok(200).json();
        let number = |row: &Value| row["subject"].as_str()?.strip_prefix("CN=device-")?.parse().ok();
        rows.as_array().unwrap().iter().map(|row| number(row).unwrap()).collect()
    }
}

#[tokio::test]
async fn each_report_has_the_certificates_of_its_period_and_filters() {
    let reports = Reports::new().await;
    let (from, to) = (reports.days(-8), reports.days(-6));
    for (report, expected) in [
        ("inventory".to_owned(), vec![1, 2, 3, 4, 5, 6]),
        ("issued".into(), vec![1, 2, 3, 4, 5, 6]),
        (format!("issued?from={from}"), vec![3, 4, 5, 6]),
        (format!("issued?to={to}"), vec![1, 2, 3, 4]),
        (format!("inventory?from={from}&to={to}"), vec![3, 4]),
        (format!("issued?from={from}&to={from}"), vec![]),
        ("issued?to=2999-01-01T00:00:00Z".into(), vec![1, 2, 3, 4, 5, 6]),
        ("issued?profile=lab/short".into(), vec![5]),
        ("issued?authority=lab/root".into(), vec![1, 2, 3, 4, 5]),
        ("issued?authority=lab/gone".into(), vec![]),
        ("issued?namespace=lab".into(), vec![1, 2, 3, 4, 5, 6]),
        ("issued?namespace=kube".into(), vec![]),
        ("issued?method=lab/api".into(), vec![1, 2, 3, 4, 5, 6]),
        ("expiring".into(), vec![2]),
        (format!("expiring?to={}", reports.days(250)), vec![2, 5]),
        (format!("expiring?from={}", reports.days(190)), vec![5]),
        (format!("expiring?from={}&to={}", reports.days(10), reports.days(11)), vec![2]),
        (format!("expiring?from={}&to={}", reports.days(9), reports.days(10)), vec![]),
        (format!("expiring?from={}", reports.days(-6)), vec![1, 2]),
        ("revoked".into(), vec![3, 4]),
        (format!("revoked?from={}", reports.days(-1)), vec![4]),
        (format!("revoked?to={}", reports.days(-1)), vec![3]),
    ] {
        assert_eq!(reports.numbers(&report).await, expected, "{report}");
    }
}

#[tokio::test]
async fn a_row_says_what_is_known_of_a_certificate() {
    let reports = Reports::new().await;
    let rows = reports.scene.get("/reports/revoked").await.ok(200).json();
    let row = &rows[0];
    assert_eq!(row["id"], format!("{}.{}", "01".repeat(20), row["serial"].as_str().unwrap()));
    for (member, expected) in [
        ("status", json!("revoked")),
        ("subjectAltNames", json!(["dns:device-3.acme.example"])),
        ("profile", json!("lab/default")),
        ("authority", json!("lab/root")),
        ("method", json!("lab/api")),
        ("protocol", json!("rest")),
        ("requester", json!("lab/all")),
        ("credential", json!(reports.scene.credential.id)),
        ("owner", json!("group:workshop")),
        ("notAfter", json!(reports.days(90))),
        ("issuedAt", json!(reports.days(-8))),
        ("revokedAt", json!(reports.days(-2))),
        ("revocationReason", json!("keyCompromise")),
        ("publicKeySha256", json!("03".repeat(32))),
        ("serverKey", json!(false)),
    ] {
        assert_eq!(row[member], expected, "{member}");
    }
    assert_eq!(
        (&rows[1]["status"], &rows[1]["revocationReason"]),
        (&json!("held"), &json!("certificateHold"))
    );
    let statuses: Vec<Value> = reports
        .scene
        .get("/reports/issued")
        .await
        .ok(200)
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["status"].clone())
        .collect();
    assert_eq!(statuses, ["expired", "valid", "revoked", "held", "valid", "valid"]);
}

#[tokio::test]
async fn a_report_is_a_table_that_no_spreadsheet_computes() {
    let reports = Reports::new().await;
    let hostile = CertificateRow {
        subject: "=HYPERLINK(\"https://evil.example\")".into(),
        subject_alt_names: vec!["dns:a.acme.example".into(), "dns:b.acme.example".into()],
        requester: "@SUM(A1)".into(),
        authority: None,
        ..certificate(&reports.scene, 8, reports.now)
    };
    insert(&reports.scene, [hostile]).await;
    for report in ["issued", "inventory"] {
        let path = format!("/reports/{report}");
        let table = accepting(&reports.scene, &reports.scene.key, &path, "text/csv").await.ok(200);
        assert_eq!(table.headers["content-disposition"], format!("attachment; filename=\"{report}.csv\""));
        let text = table.text();
        assert_eq!(text, reports.scene.get(&format!("{path}?format=csv")).await.ok(200).text());
        let lines: Vec<_> = text.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 8);
        assert!(
            lines[0].starts_with("id,serial,status,subject,subjectAltNames,profile,authority,"),
            "{}",
            lines[0]
        );
        let last = lines[7];
        assert!(last.contains(",\"'=HYPERLINK(\"\"https://evil.example\"\")\","), "{last}");
        assert!(
            last.contains(",dns:a.acme.example dns:b.acme.example,lab/default,,lab/api,rest,'@SUM(A1),"),
            "{last}"
        );
    }
}

#[tokio::test]
async fn certificates_are_counted_by_profile_authority_and_status() {
    let reports = Reports::new().await;
    let summary = reports.scene.get("/reports/summary").await.ok(200).json();
    let count = |profile: &str, authority: Option<&str>, numbers: [u64; 4]| {
        let [valid, held, revoked, expired] = numbers;
        let mut count = json!({
            "profile": profile, "valid": valid, "held": held, "revoked": revoked, "expired": expired,
            "total": numbers.iter().sum::<u64>(),
        });
        if let Some(authority) = authority {
            count["authority"] = json!(authority);
        }
        count
    };
    let expected = [
        count("lab/default", None, [1, 0, 0, 0]),
        count("lab/default", Some("lab/root"), [1, 1, 1, 1]),
        count("lab/short", Some("lab/root"), [1, 0, 0, 0]),
    ];
    assert_eq!(summary, json!({"total": 6, "counts": expected}));
    let from = reports.days(-6);
    let summary = reports.scene.get(&format!("/reports/summary?from={from}")).await.ok(200).json();
    assert_eq!((&summary["from"], &summary["total"]), (&json!(from), &json!(2)));
    let table = reports.scene.get("/reports/summary?format=csv&profile=lab/short").await.ok(200).text();
    let header = "profile,authority,valid,held,revoked,expired,total\r\n";
    assert_eq!(table, format!("{header}lab/short,lab/root,1,0,0,0,1\r\n"));
}

#[tokio::test]
async fn a_report_of_many_pages_has_each_certificate_once() {
    let scene = Scene::new().await;
    let now = scene.app.engine.clock().now();
    let number = |number: u32| {
        let mut octets = [1; 16];
        octets[12..].copy_from_slice(&number.to_be_bytes());
        CertificateRow {
            serial: pki::serial::SerialNumber::from_random(octets),
            subject: format!("CN={number}"),
            ..certificate(&scene, 0, now)
        }
    };
    insert(&scene, (0..1111).map(number)).await;
    let expected: Vec<String> = (0..1111).map(|number| format!("CN={number}")).collect();
    let rows = scene.get("/reports/inventory").await.ok(200).json();
    let subjects: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| row["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, expected);
    let table = scene.get("/reports/inventory?format=csv").await.ok(200).text();
    assert_eq!(table.lines().count(), 1112);
    assert_eq!(scene.get("/reports/summary").await.ok(200).json()["total"], 1111);
}

#[tokio::test]
async fn a_report_is_of_ones_own_method_and_for_who_may_see_it() {
    let reports = Reports::new().await;
    let scene = &reports.scene;
    let others: Vec<_> = RestAction::ALL.into_iter().filter(|action| *action != RestAction::Report).collect();
    let (key, _) = scene.another_key(&others).await;
    for report in ["issued", "expiring", "revoked", "inventory", "summary"] {
        let path = format!("/reports/{report}");
        scene.get_with(&key, &path).await.refused(403, "action-not-allowed", "report");
        scene.get_with("", &path).await.refused(401, "unauthenticated", "");
        scene.get(&format!("{path}?method=lab/other")).await.refused(404, "not-found", "method");
    }
    let foreign = scene.get_with(&scene.other_key, "/reports/inventory").await.ok(200).json();
    assert_eq!(foreign.as_array().unwrap().len(), 1);
    assert_eq!(foreign[0]["subject"], "CN=device-7");
}

#[tokio::test]
async fn what_is_asked_for_badly_is_refused() {
    let reports = Reports::new().await;
    for report in ["issued", "expiring", "revoked", "inventory", "summary"] {
        for query in [
            "from=yesterday",
            "from=2026-01-01",
            "to=",
            "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z",
            "profile=short",
            "authority=a/b/c",
            "format=xml",
            "limit=1",
            "status=valid",
            "profile=lab/a&profile=lab/b",
        ] {
            let answer = reports.scene.get(&format!("/reports/{report}?{query}")).await;
            answer.refused(400, "malformed", "the parameter");
        }
        let path = format!("/reports/{report}");
        let answer = accepting(&reports.scene, &reports.scene.key, &path, "application/pdf").await;
        answer.refused(406, "not-acceptable", "application/json");
    }
    reports.scene.get("/reports/all").await.refused(404, "not-found", "path");
}
