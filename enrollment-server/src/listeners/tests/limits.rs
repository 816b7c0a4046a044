use std::time::Instant;

use super::*;

fn chunked(path: &str, chunks: usize) -> String {
    let chunk = format!("{:x}\r\n{}\r\n", 500, "x".repeat(500));
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(chunks)
    )
}

fn declared(path: &str, length: usize, sent: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{}", "x".repeat(sent))
}

async fn assert_status(server: &Server, request: &str, expected: &str) {
    let mut stream = server.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        assert_ne!(soon(stream.read_buf(&mut answer)).await.unwrap(), 0, "closed instead of an answer");
    }
    assert_eq!(status(&String::from_utf8(answer).unwrap()), expected);
}

#[tokio::test]
async fn a_body_within_the_limits_is_read() {
    let server = Server::plain(Limits::default()).await;
    for path in ["/read", "/extract"] {
        assert_status(&server, &declared(path, 1000, 1000), "200").await;
        assert_status(&server, &chunked(path, 2), "200").await;
    }
}

#[tokio::test]
async fn a_body_declared_too_large_is_refused_before_it_is_sent() {
    let server = Server::plain(Limits { body_bytes: 2000, ..Limits::default() }).await;
    for path in ["/read", "/extract", "/who"] {
        assert_status(&server, &declared(path, 2001, 0), "413").await;
    }
    // The protocol's own limit, below that of the listener.
    assert_status(&server, &declared("/read", 1001, 0), "413").await;
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_refused() {
    let server = Server::plain(Limits { body_bytes: 2000, ..Limits::default() }).await;
    assert_status(&server, &chunked("/read", 3), "413").await;
    assert_status(&server, &chunked("/extract", 5), "413").await;
}

#[tokio::test]
async fn the_refusal_of_a_large_body_reaches_a_peer_that_is_still_sending() {
    let server = Server::plain(Limits { body_bytes: 2000, ..Limits::default() }).await;
    let mut stream = server.connect().await;
    stream.write_all(declared("/read", 200_000, 0).as_bytes()).await.unwrap();
    soon(stream.readable()).await.unwrap();
    // The answer is there and not read yet. A socket closed at the other end would answer the first of these with a
    // reset, and the next would fail.
    for _ in 0..10 {
        stream.write_all(&[b'x'; 20_000]).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    let answer = to_end(stream).await;
    assert_eq!(status(&answer), "413");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_refused() {
    // By the handler, and by the listener where the handler sets no time.
    let patient = Server::plain(Limits::default()).await;
    assert_status(&patient, &declared("/read", 10, 5), "408").await;
    let strict = Server::plain(Limits { read_timeout: Duration::from_millis(1), ..Limits::default() }).await;
    assert_status(&strict, &declared("/read", 10, 5), "408").await;
    assert_status(&strict, &declared("/extract", 10, 5), "400").await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_taken_for_whole() {
    let server = Server::plain(Limits::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(declared("/read", 10, 5).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = to_end(stream).await;
    assert!(answer.is_empty() || status(&answer) == "400", "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Server::plain(Limits::default()).await;
    let header = "x".repeat(17 * 1024);
    let request = format!("GET /who HTTP/1.1\r\nhost: x\r\nx: {header}\r\n\r\n");
    assert_status(&server, &request, "431").await;
}

#[tokio::test]
async fn a_head_that_is_sent_slowly_is_cut() {
    let server = Server::plain(Limits { header_timeout: SHORT, ..Limits::default() }).await;
    let began = Instant::now();
    assert_eq!(exchange(server.connect().await, "GET /who HTTP/1.1\r\nhost:").await, "");
    assert!(began.elapsed() >= SHORT);
    assert_eq!(to_end(server.connect().await).await, "", "a peer that sends nothing at all");
    assert_eq!(server.metric(r#"chancery_connections_cut_total{listener="device",reason="slow_header"}"#), 2);
}

#[tokio::test]
async fn a_second_head_that_is_sent_slowly_is_cut_too() {
    let limits = Limits { header_timeout: SHORT, idle_timeout: HANG * 2, ..Limits::default() };
    let server = Server::plain(limits).await;
    let mut stream = server.connect().await;
    ask(&mut stream, "/who", "tls=none").await;
    assert_eq!(exchange(stream, "GET /who").await, "");
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_timeout_and_ends_at_the_idle_timeout() {
    let limits = Limits { header_timeout: SHORT, idle_timeout: SHORT * 4, ..Limits::default() };
    let server = Server::plain(limits).await;
    let mut stream = server.connect().await;
    ask(&mut stream, "/who", "tls=none").await;
    let idle_since = Instant::now();
    assert_eq!(to_end(stream).await, "");
    assert!(idle_since.elapsed() >= SHORT * 3, "{:?}", idle_since.elapsed());
}

#[tokio::test]
async fn a_request_that_takes_longer_than_the_idle_timeout_is_not_cut() {
    let limits = Limits { idle_timeout: SHORT, ..Limits::default() };
    let server = Server::plain(limits).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.gate.entered().await;
    // A connection that goes idle only now ends at its own timeout: by then the slow one has passed it.
    let mut idle = server.connect().await;
    ask(&mut idle, "/who", "tls=none").await;
    to_end(idle).await;
    server.gate.open();
    // Its answer comes, and leaves the connection open for another.
    let answers = ask(&mut slow, "/who", "tls=none").await;
    assert!(answers.contains("waited"), "{answers}");
}

#[tokio::test]
async fn connections_above_the_cap_wait_until_one_ends() {
    let server = Server::plain(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = server.connect().await;
    ask(&mut first, "/who", "tls=none").await;
    let mut second = server.connect().await;
    second.write_all(get_closing("/who").as_bytes()).await.unwrap();
    let mut byte = [0];
    tokio::select! {
        biased;
        _ = second.read(&mut byte) => panic!("the second connection was served"),
        () = async { for _ in 0..50 { ask(&mut first, "/who", "tls=none").await; } } => {}
    }
    assert_eq!(server.metric(r#"chancery_connections_held_back_total{listener="device"}"#), 1);

    drop(first);

    assert_eq!(status(&to_end(second).await), "200");
}

#[tokio::test]
async fn a_request_above_the_limit_in_flight_is_told_to_come_back() {
    let server = Server::plain(Limits { requests_in_flight: 1, ..Limits::default() }).await;
    let mut slow = server.connect().await;
    slow.write_all(get_closing("/wait").as_bytes()).await.unwrap();
    server.gate.entered().await;

    let refused = exchange(server.connect().await, &get_closing("/who")).await;

    assert_eq!(status(&refused), "503");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    server.gate.open();
    assert_eq!(status(&to_end(slow).await), "200");
    assert_eq!(status(&exchange(server.connect().await, &get_closing("/who")).await), "200");
    assert_eq!(server.metric(r#"chancery_requests_in_flight{listener="device"}"#), 0);
    assert_eq!(server.metric(r#"chancery_requests_overloaded_total{listener="device"}"#), 1);
}

#[tokio::test]
async fn a_peer_that_leaves_gives_its_place_back() {
    let server = Server::plain(Limits { requests_in_flight: 1, connections: 1, ..Limits::default() }).await;
    let mut gone = server.connect().await;
    gone.write_all(get_closing("/wait").as_bytes()).await.unwrap();
    server.gate.entered().await;
    drop(gone);
    assert_eq!(status(&exchange(server.connect().await, &get_closing("/who")).await), "200");
}

#[tokio::test]
async fn forwarded_headers_do_not_change_the_peer() {
    let server = Server::plain(Limits::default()).await;
    let request = "GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\nforwarded: for=192.0.2.1\r\n\
                   x-forwarded-for: 192.0.2.1\r\nx-forwarded-client-cert: Cert=\"MIIB\"\r\nx-real-ip: 192.0.2.1\r\n\r\n";
    let answer = exchange(server.connect().await, request).await;
    assert!(answer.ends_with("ip=127.0.0.1 certificates=0 tls=none"), "{answer}");
}
