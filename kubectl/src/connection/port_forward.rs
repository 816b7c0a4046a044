//! Through the API server to a pod. TLS ends at the server all the same: the API server sees nothing but its octets.

use std::{fmt, io};

use async_trait::async_trait;
use client::rest::{Connect, Stream};
use crds::labels;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};

use crate::kubernetes::Cluster;

/// To any ready pod of an EnrollmentServer.
pub(super) struct PortForward {
    cluster: Cluster,
    namespace: String,
    server: String,
}

impl PortForward {
    pub(super) fn new(cluster: Cluster, namespace: String, server: String) -> Self {
        Self { cluster, namespace, server }
    }

    async fn pod(&self, pods: &Api<Pod>) -> io::Result<String> {
        let of_server = ListParams::default().labels(&format!("{}={}", labels::SERVER, self.server));
        let found = pods.list(&of_server).await.map_err(io::Error::other)?;
        let ready = found.items.into_iter().find(is_ready);
        let name = ready.and_then(|pod| pod.metadata.name);
        name.ok_or_else(|| {
            let sentence =
                format!("no pod of the EnrollmentServer {}/{} is ready", self.namespace, self.server);
            io::Error::other(sentence)
        })
    }
}

impl fmt::Debug for PortForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortForward")
            .field("namespace", &self.namespace)
            .field("server", &self.server)
            .finish()
    }
}

#[async_trait]
impl Connect for PortForward {
    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        let pod = self.pod(&pods).await?;
        let forwarded = pods.portforward(&pod, &[labels::DEVICE_PORT]).await;
        let mut forwarded = forwarded.map_err(io::Error::other)?;
        let stream = forwarded.take_stream(labels::DEVICE_PORT);
        // What carries the octets runs on its own, and ends when the stream does.
        tokio::spawn(forwarded.join());
        Ok(Box::new(stream.ok_or_else(|| io::Error::other("the API server forwards no port"))?))
    }
}

fn is_ready(pod: &Pod) -> bool {
    let leaving = pod.metadata.deletion_timestamp.is_some();
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = |condition: &k8s_openapi::api::core::v1::PodCondition| {
        condition.type_ == "Ready" && condition.status == "True"
    };
    !leaving && conditions.is_some_and(|conditions| conditions.iter().any(ready))
}
