//! The cluster of the kubeconfig.

use anyhow::{Context as _, bail};
use clap::Args;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config,
    api::{ApiResource, DynamicObject},
    config::{KubeConfigOptions, Kubeconfig},
    core::GroupVersionKind,
};
use serde_json::Value;
use zeroize::Zeroizing;

/// Which cluster, and where in it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Cluster options")]
pub(crate) struct ClusterArgs {
    /// The kubeconfig file; without it KUBECONFIG, ~/.kube/config, or the pod's own account.
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<std::path::PathBuf>,
    /// The context of the kubeconfig.
    #[arg(long, global = true)]
    context: Option<String>,
    /// The namespace; without it that of the context.
    #[arg(long, short, global = true)]
    pub(crate) namespace: Option<String>,
}

/// A cluster, as whoever the kubeconfig says.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// That of the command line, or of the context.
    pub(crate) namespace: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl ClusterArgs {
    /// Nothing is asked yet.
    pub(crate) async fn cluster(&self) -> anyhow::Result<Cluster> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = match &self.kubeconfig {
            Some(file) => Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &options).await?,
            None if self.context.is_some() => Config::from_kubeconfig(&options).await?,
            None => {
                Config::infer().await.context("there is no cluster: give --kubeconfig, or set KUBECONFIG")?
            }
        };
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok(Cluster { client: Client::try_from(config)?, namespace })
    }
}

impl Cluster {
    /// Objects of one of our kinds in a namespace, or in all of them. They are read loosely, so that a newer release's can be
    /// shown.
    pub(crate) fn objects(&self, kind: crds::Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(crds::GROUP, crds::VERSION, kind.as_str()));
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        }
    }

    /// One of them.
    pub(crate) async fn object(
        &self,
        kind: crds::Kind,
        namespace: &str,
        name: &str,
    ) -> anyhow::Result<DynamicObject> {
        let found = self.objects(kind, Some(namespace)).get(name).await;
        found.with_context(|| format!("cannot read the {} {namespace}/{name}", kind.as_str()))
    }

    /// What a Secret holds under a key.
    pub(crate) async fn secret(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let read = secrets.get(name).await;
        let read = read.with_context(|| format!("cannot read the Secret {namespace}/{name}"))?;
        match read.data.and_then(|mut data| data.remove(key)) {
            Some(value) => Ok(Zeroizing::new(value.0)),
            None => bail!("the Secret {namespace}/{name} holds no {key}"),
        }
    }
}

/// Text at a JSON Pointer of an object.
pub(crate) fn text<'a>(object: &'a DynamicObject, pointer: &str) -> Option<&'a str> {
    object.data.pointer(pointer).and_then(Value::as_str)
}

/// Name and namespace of what a reference at a JSON Pointer names; the namespace is the object's own where it says none.
pub(crate) fn reference(object: &DynamicObject, pointer: &str, own: &str) -> Option<(String, String)> {
    let name = text(object, &format!("{pointer}/name"))?;
    let namespace = text(object, &format!("{pointer}/namespace")).unwrap_or(own);
    Some((namespace.to_owned(), name.to_owned()))
}
