//! The harness on a cluster: that what other tests lean on holds.

use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use chancery_tests::cluster::{Cluster, Kubectl, Reach, Route, ToolboxPod, in_namespace};
use chancery_tests::plain_http;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_test_that_fails_or_panics_leaves_no_namespace() -> Result<()> {
    let kubectl = Cluster::current()?.kubectl();
    let mut name = String::new();
    let failed = in_namespace("fails", |namespace| {
        name = namespace.name().to_owned();
        bail!("on purpose")
    });
    ensure!(failed.is_err_and(|error| error.to_string() == "on purpose"), "the error was lost");
    goes_away(&kubectl, &name)?;

    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        in_namespace("panics", |namespace| {
            name = namespace.name().to_owned();
            panic!("on purpose")
        })
    }));
    ensure!(panicked.is_err(), "the panic was lost");
    goes_away(&kubectl, &name)
}

fn goes_away(kubectl: &Kubectl, namespace: &str) -> Result<()> {
    if let Some(found) = kubectl.find(&format!("namespace/{namespace}"))? {
        ensure!(found.pointer("/metadata/deletionTimestamp").is_some(), "{namespace} is not being deleted");
    }
    let limit = format!("--timeout={}s", LIMIT.as_secs());
    kubectl.succeed(&["wait", "--for=delete", &format!("namespace/{namespace}"), &limit], None).map(drop)
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn waiting_ends_with_what_is_there_instead() -> Result<()> {
    in_namespace("waits", |namespace| {
        let kubectl = namespace.kubectl();
        let brief = Duration::from_secs(2);
        let absent = kubectl.wait_until("configmap/x", "exists", brief, |_| true);
        let text = format!("{:#}", absent.err().context("something that is not there was found")?);
        ensure!(text.contains("is not there"), "{text}");
        kubectl.apply(
            r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "1"}}"#,
        )?;
        let other = kubectl.wait_until("configmap/x", "a is 2", brief, |found| found["data"]["a"] == "2");
        let text = format!("{:#}", other.err().context("a value that is not there was found")?);
        ensure!(text.contains(r#""a": "1""#), "{text}");
        kubectl.wait_until("configmap/x", "a is 1", brief, |found| found["data"]["a"] == "1").map(drop)
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_watch_outlives_a_restart_of_the_api_server() -> Result<()> {
    in_namespace("restart", |namespace| {
        let kubectl = namespace.kubectl();
        let config = |value: &str| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": value}})
                .to_string()
        };
        kubectl.apply(&config("before"))?;
        std::thread::scope(|scope| {
            let waiting = kubectl.clone();
            let waiter = scope.spawn(move || {
                waiting.wait_until("configmap/x", "changes", 2 * LIMIT, |found| found["data"]["a"] == "after")
            });
            namespace.cluster().restart_api_server()?;
            kubectl.apply(&config("after"))?;
            waiter.join().map_err(|_| anyhow::anyhow!("the waiting thread panicked"))?.map(drop)
        })
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_test_reaches_services_and_pods_reach_the_test() -> Result<()> {
    in_namespace("routes", |namespace| {
        let (kubectl, cluster) = (namespace.kubectl(), namespace.cluster());
        let pod = ToolboxPod::start(namespace, "web", "default", &[])?;
        kubectl.succeed(&["label", pod.object(), "app=web"], None)?;
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {
            "type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}],
        }});
        kubectl.apply(&service.to_string())?;
        let mut routes = vec![Route::to(cluster, &kubectl, "pod/web", 8080)?];
        routes.push(Route::to(cluster, &kubectl, "service/web", 80)?);
        if cluster.reach == Reach::Direct {
            routes.push(Route::through_load_balancer(cluster, &kubectl, "web", 80, LIMIT)?);
        }
        for route in &routes {
            let url = format!("http://{}/", route.address());
            chancery_tests::server::wait_until(&url, LIMIT, || {
                Ok(plain_http::get(&url).is_ok_and(|answer| answer.text().contains("hello from toolbox")))
            })?;
        }

        let host = cluster.host.context("CHANCERY_CLUSTER_HOST is not set")?;
        let listener = TcpListener::bind((host, 0)).context("cannot listen where pods reach")?;
        let url = format!("http://{}/", listener.local_addr()?);
        let server = std::thread::spawn(move || answer_once(&listener));
        let got = pod.run(&["get", &url])?;
        server.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
        ensure!(got == "200\nfrom the test", "{got:?}");
        Ok(())
    })
}

fn answer_once(listener: &TcpListener) -> Result<()> {
    let (mut stream, _) = listener.accept()?;
    let mut request = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\nfrom the test")?;
    Ok(())
}
