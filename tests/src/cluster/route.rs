//! The way from a test to what runs in the cluster.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Cluster, Kubectl, Reach};

/// How long a forwarded port may take to be there.
const FORWARD_LIMIT: Duration = Duration::from_secs(20);

/// An open way to one port of a Service or pod. Dropping it closes it.
#[derive(Debug)]
pub struct Route {
    address: SocketAddr,
    forward: Option<Child>,
}

impl Route {
    /// To a port of `service/x` (its LoadBalancer address if it has one, else its cluster address) or `pod/x`.
    pub fn to(cluster: &Cluster, kubectl: &Kubectl, object: &str, port: u16) -> Result<Self> {
        match cluster.reach {
            Reach::Direct => {
                let found: Value = kubectl.get(object)?;
                let ip = address_of(&found).with_context(|| format!("{object} has no address"))?;
                Ok(Self { address: SocketAddr::new(ip, port), forward: None })
            }
            Reach::Forward => Self::forward(kubectl, object, port),
        }
    }

    /// By the address that the LoadBalancer of a Service gets, as soon as it has one; an error where the test cannot reach
    /// such addresses.
    pub fn through_load_balancer(
        cluster: &Cluster,
        kubectl: &Kubectl,
        service: &str,
        port: u16,
        limit: Duration,
    ) -> Result<Self> {
        if cluster.reach != Reach::Direct {
            bail!("addresses of LoadBalancers cannot be reached from here (CHANCERY_CLUSTER_REACH)");
        }
        let object = format!("service/{service}");
        let found = kubectl
            .wait_until(&object, "has an address", limit, |service| load_balancer(service).is_some())?;
        let ip = load_balancer(&found).context("the address is gone again")?;
        Ok(Self { address: SocketAddr::new(ip, port), forward: None })
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The value of curl's `--connect-to` that leads every name and port here, so that a URL can hold the name that is in
    /// the server's certificate.
    pub fn connect_to(&self) -> String {
        format!("::{}", self.address)
    }

    fn forward(kubectl: &Kubectl, object: &str, port: u16) -> Result<Self> {
        let mut command = kubectl.command(&["port-forward", object, &format!(":{port}")])?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = command.spawn().context("cannot run kubectl")?;
        let pipe = process.stdout.take().context("no standard output")?;
        let (sender, lines) = mpsc::channel();
        // Reads on for as long as the pipe is open, so that kubectl never blocks on what it prints.
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut route = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), forward: Some(process) };
        let line = lines.recv_timeout(FORWARD_LIMIT).with_context(|| format!("no way to {object}"))?;
        route.address = forwarded(&line).with_context(|| format!("kubectl port-forward printed {line:?}"))?;
        Ok(route)
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        if let Some(process) = &mut self.forward {
            // Fails where it has ended already, which is what is wanted.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn address_of(object: &Value) -> Option<IpAddr> {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str)?.parse().ok();
    load_balancer(object).or_else(|| text("/spec/clusterIP")).or_else(|| text("/status/podIP"))
}

fn load_balancer(service: &Value) -> Option<IpAddr> {
    service.pointer("/status/loadBalancer/ingress/0/ip").and_then(Value::as_str)?.parse().ok()
}

/// `Forwarding from 127.0.0.1:40123 -> 8443`
fn forwarded(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("Forwarding from ")?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_address_of_a_load_balancer_goes_before_that_of_the_cluster() {
        let mut service = json!({"spec": {"clusterIP": "10.96.0.9"}});
        assert_eq!(address_of(&service), Some(IpAddr::from([10, 96, 0, 9])));
        service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.168.77.129"}]}});
        assert_eq!(address_of(&service), Some(IpAddr::from([192, 168, 77, 129])));
        assert_eq!(address_of(&json!({"spec": {"clusterIP": "None"}})), None);
    }

    #[test]
    fn the_forwarded_port_is_read() {
        let line = "Forwarding from 127.0.0.1:40123 -> 8443";
        assert_eq!(forwarded(line), Some(SocketAddr::from(([127, 0, 0, 1], 40123))));
        assert_eq!(forwarded("error: unable to forward"), None);
    }
}
