//! A whole process, from its sockets to its end.

use std::{net::SocketAddr, path::Path, time::Duration};

use issuance::sealing::SealingKeys;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
};

use super::{
    super::run::{Options, Running},
    api::FakeApi,
    operator::{FakeOperator, server},
    scene::soon,
};
use crate::store::DatabaseUrl;

fn options(operator: &FakeOperator, folder: &Path) -> Options {
    let sealing_key_file = folder.join("keys");
    if !sealing_key_file.exists() {
        std::fs::write(&sealing_key_file, SealingKeys::generate_line().unwrap().as_bytes()).unwrap();
    }
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Options {
        server: server(),
        manifest_key: operator.key(),
        data: Some(folder.join("data")),
        database: None,
        sealing_key_file,
        device: any,
        public: any,
        private: any,
        internal: any,
        drain_delay: Duration::from_secs(60),
    }
}

/// What a plain listener answers.
async fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await?;
    Ok(answer)
}

/// Asks until the answer begins so.
async fn becomes(address: SocketAddr, path: &str, beginning: &str) {
    let asked = async {
        while !get(address, path).await.is_ok_and(|answer| answer.starts_with(beginning)) {
            tokio::task::yield_now().await;
        }
    };
    soon(asked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_is_ready_with_its_first_configuration_and_stops_in_order() {
    let (api, mut operator) = (FakeApi::new(), FakeOperator::new());
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(options(&operator, folder.path()), &api.client()).await.unwrap();
    let (private, public) = (running.addresses.private, running.addresses.public);
    let (stop, stopped) = oneshot::channel::<()>();
    let (at_once, now) = oneshot::channel::<()>();
    let process = tokio::spawn(async move {
        running.serve(async { drop(stopped.await) }).await.unwrap();
        running.stop(async { drop(now.await) }).await.unwrap();
    });
    becomes(private, "/healthz", "HTTP/1.1 200").await;
    assert!(get(private, "/readyz").await.unwrap().starts_with("HTTP/1.1 503"));
    api.put(&operator.publish().await);
    becomes(private, "/readyz", "HTTP/1.1 200").await;

    stop.send(()).unwrap();
    becomes(private, "/readyz", "HTTP/1.1 503").await;
    let key_id = "00".repeat(20);
    let answer = get(public, &format!("/pki/{key_id}/crl")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "connections are still taken: {answer}");
    at_once.send(()).unwrap();
    soon(process).await.unwrap();
    assert!(get(private, "/healthz").await.is_err());
}

#[tokio::test]
async fn what_a_process_cannot_begin_without_is_said() {
    let (api, operator) = (FakeApi::new(), FakeOperator::new());
    let folder = tempfile::tempdir().unwrap();
    let good = || options(&operator, folder.path());
    let fails = async |options: Options, words: &str| match Running::start(options, &api.client()).await {
        Ok(_) => panic!("started without {words}"),
        Err(error) => assert!(format!("{error:#}").contains(words), "{words}: {error:#}"),
    };
    fails(Options { sealing_key_file: folder.path().join("none"), ..good() }, "sealing key").await;
    fails(Options { data: None, ..good() }, "CHANCERY_DATABASE_URL").await;
    let elsewhere: DatabaseUrl = "postgres://nobody@127.0.0.1:1/none".parse().unwrap();
    fails(Options { database: Some(elsewhere), ..good() }, "127.0.0.1:1").await;
    let running = Running::start(good(), &api.client()).await.unwrap();
    fails(good(), "in use").await;
    fails(
        Options { data: Some(folder.path().join("other")), device: running.addresses.device, ..good() },
        "--listen",
    )
    .await;
}
