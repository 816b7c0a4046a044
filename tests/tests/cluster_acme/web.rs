//! A team's web server behind an Ingress, and what it shows to whoever comes.

use anyhow::{Context, Result, ensure};
use chancery_tests::Workspace;
use chancery_tests::cluster::{Kubectl, Namespace, ToolboxPod};
use chancery_tests::curl::Request;
use chancery_tests::openssl::openssl;
use chancery_tests::server::wait_until;
use pki::certificate::Certificate;
use serde_json::{Value, json};

use crate::office::LIMIT;

/// The Secret of the Ingress; cert-manager gives the Certificate the same name.
pub(crate) const SECRET: &str = "web-tls";

/// `https://HOST/`, served by the ingress controller.
#[derive(Debug)]
pub(crate) struct Web {
    pub(crate) kubectl: Kubectl,
    pub(crate) host: String,
    workspace: Workspace,
}

impl Web {
    /// The namespace that it is in, which is also what its desk is called where several share one.
    pub(crate) fn namespace(&self) -> &str {
        self.host.split('.').next().unwrap_or_default()
    }

    /// Starts it, with an Ingress that has these annotations. Its clients trust `root` (PEM) and nothing else.
    pub(crate) fn open(team: &Namespace, annotations: &Value, root: &str) -> Result<Self> {
        let cluster = team.cluster();
        let domain = cluster.domain.as_deref();
        let domain = domain.context("no names lead to an ingress controller (CHANCERY_CLUSTER_DOMAIN)")?;
        let workspace = Workspace::new()?;
        workspace.write("root.pem", root)?;
        let web = Self { kubectl: team.kubectl(), host: format!("{}.{domain}", team.name()), workspace };
        let pod = ToolboxPod::start(team, "web", "default", &[])?;
        web.kubectl.succeed(&["label", pod.object(), "app=web"], None)?;
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {
            "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}],
        }});
        let ingress = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "web", "annotations": annotations},
            "spec": {
                "ingressClassName": cluster.ingress_class,
                "tls": [{"hosts": [web.host], "secretName": SECRET}],
                "rules": [{"host": web.host, "http": {"paths": [{
                    "path": "/", "pathType": "Prefix",
                    "backend": {"service": {"name": "web", "port": {"number": 80}}},
                }]}}],
            },
        });
        web.kubectl.apply(&format!("{service}\n---\n{ingress}"))?;
        Ok(web)
    }

    /// `certificate/NAME`
    pub(crate) fn certificate(&self) -> String {
        format!("certificate/{SECRET}")
    }

    /// The certificate in the Secret, as soon as it is not `former`.
    pub(crate) fn held(&self, former: Option<&Certificate>) -> Result<Certificate> {
        let what = if former.is_some() { "holds another certificate" } else { "holds a certificate" };
        let object = format!("secret/{SECRET}");
        let found = |secret: &Value| chancery_tests::cluster::secret_data(secret).ok()?.remove("tls.crt");
        let is_new = |secret: &Value| {
            let leaf = found(secret).and_then(|chain| leaf(&chain).ok());
            leaf.is_some_and(|leaf| former.is_none_or(|former| former.der() != leaf.der()))
        };
        let secret = self.kubectl.wait_until(&object, what, LIMIT, is_new)?;
        leaf(&found(&secret).context("the Secret has no tls.crt")?)
    }

    /// Waits until browsers that trust the root get the page, by the certificate in the Secret.
    pub(crate) fn is_served(&self) -> Result<()> {
        wait_until(&format!("https://{}/", self.host), LIMIT, || {
            let answer =
                Request::get(&format!("https://{}/", self.host)).ca(&self.workspace.file("root.pem")).send();
            let is_page = answer
                .is_ok_and(|answer| answer.status == 200 && answer.text().contains("hello from toolbox"));
            Ok(is_page && self.shown()?.der() == self.held(None)?.der())
        })
    }

    /// The certificate that the ingress controller shows in a handshake.
    fn shown(&self) -> Result<Certificate> {
        let address = format!("{}:443", self.host);
        let words = ["s_client", "-connect", &address, "-servername", &self.host];
        let printed = openssl(&words, Some(b""))?;
        Ok(Certificate::from_der(&openssl(&["x509", "-outform", "DER"], Some(&printed))?)?)
    }
}

fn leaf(chain: &[u8]) -> Result<Certificate> {
    let block = pki::pem::decode_all(chain)?.into_iter().next().context("no certificate")?;
    Ok(Certificate::from_der(&block.der)?)
}

/// The only object of a kind in the namespace.
pub(crate) fn only(kubectl: &Kubectl, kind: &str) -> Result<Value> {
    let mut found = kubectl.list(kind, "")?;
    ensure!(found.len() == 1, "{} of {kind}", found.len());
    found.pop().context("none")
}
