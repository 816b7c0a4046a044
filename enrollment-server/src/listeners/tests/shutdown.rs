use super::*;

/// Waits until nobody listens any more.
async fn refused(address: SocketAddr) {
    soon(async { while TcpStream::connect(address).await.is_ok() {} }).await;
}

#[tokio::test]
async fn a_request_in_flight_is_answered_and_no_new_connection_is_taken() {
    let mut server = Server::plain(Limits::default()).await;
    let mut idle = server.connect().await;
    ask(&mut idle, "/who", "tls=none").await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.gate.entered().await;

    server.shutdown.cancel();

    assert_eq!(to_end(idle).await, "", "an idle connection is closed at once");
    refused(server.address).await;
    server.gate.open();
    assert!(to_end(slow).await.ends_with("waited"));
    assert_eq!(soon(&mut server.running).await.unwrap(), Drained::Completely);
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_timeout_is_cut() {
    let mut server = Server::plain(Limits { drain_timeout: SHORT, ..Limits::default() }).await;
    let mut stuck = server.connect().await;
    stuck.write_all(get_closing("/wait").as_bytes()).await.unwrap();
    server.gate.entered().await;

    server.shutdown.cancel();

    assert_eq!(soon(&mut server.running).await.unwrap(), Drained::Cut(1));
    assert_eq!(soon(stuck.read(&mut [0; 16])).await.unwrap_or(0), 0);
    assert_eq!(server.metric(r#"chancery_connections_cut_total{listener="device",reason="drain"}"#), 1);
    assert_eq!(server.metric(r#"chancery_connections_open{listener="device"}"#), 0);
}

#[tokio::test]
async fn a_handshake_does_not_hold_up_the_shutdown() {
    let certificate = certificate("localhost");
    let tls = TlsSettings { certificate: server_certificate(&certificate) }.build().unwrap();
    let limits = Limits { handshake_timeout: HANG * 2, drain_timeout: HANG * 2, ..Limits::default() };
    let mut server = Server::start(Some(tls), limits).await;
    let half_open = server.connect().await;
    let open = r#"chancery_connections_open{listener="device"}"#;
    soon(async {
        while server.metric(open) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    server.shutdown.cancel();

    assert_eq!(soon(&mut server.running).await.unwrap(), Drained::Completely);
    drop(half_open);
}
