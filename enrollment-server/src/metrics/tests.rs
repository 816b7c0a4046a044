use std::time::Duration;

use super::*;

/// `name{label="value",…} number`, as OpenMetrics 1.0.0 §ABNF has it, for the labels we use.
fn assert_sample(line: &str) {
    let (series, value) = line.rsplit_once(' ').expect("a value after a space");
    value.parse::<f64>().unwrap_or_else(|_| panic!("{line}: not a number"));
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').expect("closed braces")),
        None => (series, ""),
    };
    assert!(name.starts_with("chancery_"), "{line}");
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (key, value) = label.split_once("=\"").expect("a quoted value");
        assert!(key.chars().all(|c| c.is_ascii_lowercase()), "{line}");
        assert!(value.ends_with('"'), "{line}");
    }
}

#[test]
fn every_line_of_the_text_is_a_comment_or_a_sample() {
    let metrics = Metrics::new();
    metrics
        .operation(Protocol::Est, Operation::SimpleEnroll)
        .ended(Outcome::Issued, Duration::from_millis(1));
    metrics.listener(ListenerKind::Device).cut(Cut::Idle);
    metrics.store_committed(Duration::from_millis(3), 17);
    metrics.serves_generation(4);

    let text = metrics.encode().unwrap();

    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.last(), Some(&"# EOF"));
    lines.iter().filter(|line| !line.starts_with('#')).for_each(|line| assert_sample(line));
    for expected in [
        r#"chancery_requests_total{protocol="est",operation="simple_enroll",outcome="issued"} 1"#,
        r#"chancery_requests_total{protocol="est",operation="simple_enroll",outcome="refused"} 0"#,
        r#"chancery_request_duration_seconds_count{protocol="est",operation="simple_enroll"} 1"#,
        r#"chancery_connections_cut_total{listener="device",reason="idle"} 1"#,
        r#"chancery_store_commit_batch_size_sum 17.0"#,
        r#"chancery_configuration_generation 4"#,
    ] {
        assert!(lines.contains(&expected), "{expected} is missing in\n{text}");
    }
}

#[test]
fn each_outcome_counts_in_its_own_series() {
    let metrics = Metrics::new();
    let operation = metrics.operation(Protocol::Est, Operation::CaCerts);
    for outcome in Outcome::ALL {
        operation.ended(*outcome, Duration::ZERO);
    }
    let text = metrics.encode().unwrap();
    for outcome in Outcome::ALL {
        let series = format!(
            r#"chancery_requests_total{{protocol="est",operation="ca_certs",outcome="{outcome}"}} 1"#
        );
        assert!(text.contains(&series), "{series}\n{text}");
    }
}

#[test]
fn counts_by_label_are_kept_apart() {
    let metrics = Metrics::new();
    metrics.issuance(Protocol::Scep, Issuance::Pending);
    metrics.authentication_failed(Protocol::Cmp, AuthenticationFailure::Signature);
    metrics.authentication_failed(Protocol::Cmp, AuthenticationFailure::Signature);
    metrics.throttled(Protocol::Est);
    metrics.handshake(TlsVersionLabel::Tls13, HandshakeOutcome::Completed);
    metrics.job(JobKind::Crl, JobOutcome::Retried);
    metrics.reloaded(ReloadOutcome::Rejected);

    let text = metrics.encode().unwrap();

    for expected in [
        r#"chancery_issuances_total{protocol="scep",outcome="pending"} 1"#,
        r#"chancery_authentication_failures_total{protocol="cmp",kind="signature"} 2"#,
        r#"chancery_throttled_total{protocol="est"} 1"#,
        r#"chancery_tls_handshakes_total{version="1.3",outcome="completed"} 1"#,
        r#"chancery_jobs_total{kind="crl",outcome="retried"} 1"#,
        r#"chancery_configuration_reloads_total{outcome="rejected"} 1"#,
    ] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
}
