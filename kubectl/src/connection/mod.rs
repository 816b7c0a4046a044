//! From the command line to a client of a server.
//!
//! | file | what |
//! | --- | --- |
//! | `files.rs` | what files and the environment say |
//! | `cluster.rs` | what resources of a cluster say |
//! | `port_forward.rs` | a way to a server that leads through the API server |

mod cluster;
mod files;
mod port_forward;

pub(crate) use self::files::{contents, passphrase};

use std::path::PathBuf;

use clap::Args;
use client::rest::{BearerToken, Client, ClientIdentity, Endpoint, Query, Trust};

use self::{cluster::Found, port_forward::PortForward};
use crate::{
    cli::{Context, Usage},
    kubernetes::Cluster,
};

/// Which server, and who asks it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Server options")]
pub(crate) struct ServerArgs {
    /// The URL of the server, https://host:port.
    #[arg(long = "server", global = true, env = "CHANCERY_URL", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// PEM certificates of the authorities that vouch for the server. Without it those of the system; in a cluster the authority
    /// of the server's certificate.
    #[arg(long, global = true, env = "CHANCERY_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The file with the access key, or with a token of a service account. CHANCERY_ACCESS_KEY can hold the key itself.
    #[arg(long, global = true, env = "CHANCERY_ACCESS_KEY_FILE", value_name = "FILE")]
    pub(crate) access_key_file: Option<PathBuf>,
    /// PEM: a certificate to show in place of an access key, then those above it.
    #[arg(long, global = true, env = "CHANCERY_CLIENT_CERTIFICATE_FILE", value_name = "FILE")]
    #[arg(requires = "client_key_file")]
    pub(crate) client_certificate_file: Option<PathBuf>,
    /// PEM: the private key of that certificate.
    #[arg(long, global = true, env = "CHANCERY_CLIENT_KEY_FILE", value_name = "FILE")]
    #[arg(requires = "client_certificate_file")]
    pub(crate) client_key_file: Option<PathBuf>,
    /// The EnrollmentMethod that speaks REST: where to ask, if there is no URL.
    #[arg(long, global = true, env = "CHANCERY_METHOD", value_name = "[NAMESPACE/]NAME")]
    pub(crate) method: Option<String>,
    /// The EnrollmentCredential, in the namespace of the method, whose Secret holds the access key.
    #[arg(long, global = true, env = "CHANCERY_CREDENTIAL", value_name = "NAME")]
    pub(crate) credential: Option<String>,
    /// Goes through the API server to a pod of the server, where its URL cannot be reached from here.
    #[arg(long, global = true)]
    pub(crate) port_forward: bool,
    /// Asks about this EnrollmentMethod: one that the credential administers, or one of several that take the certificate shown.
    #[arg(long = "of", global = true, value_name = "NAMESPACE/NAME")]
    pub(crate) of: Option<String>,
}

/// A namespace and a name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MethodName {
    namespace: String,
    name: String,
}

impl MethodName {
    /// `namespace/name`, or a name in the namespace of the context.
    fn parse(text: &str, namespace: &str) -> anyhow::Result<Self> {
        let (namespace, name) = text.split_once('/').unwrap_or((namespace, text));
        if namespace.is_empty() || name.is_empty() || name.contains('/') {
            return Err(Usage::error("--method is the name of an EnrollmentMethod, or namespace/name"));
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl Context {
    /// The server that the command line names.
    pub(crate) async fn server(&self) -> anyhow::Result<Client> {
        let args = &self.server;
        args.check()?;
        let identity = args.identity()?;
        let needs_cluster = args.url.is_none() || args.credential.is_some() || args.port_forward;
        let found = match &args.method {
            Some(method) if needs_cluster => {
                let cluster = self.cluster.cluster().await?;
                let method = MethodName::parse(method, &cluster.namespace)?;
                let found = cluster::find(&cluster, &method).await?;
                let token = match &args.credential {
                    Some(credential) => Some(cluster::token(&cluster, &method.namespace, credential).await?),
                    None => args.token()?,
                };
                Asked {
                    token,
                    forward: args.port_forward.then_some((cluster, found.server.clone())),
                    found: Some(found),
                }
            }
            Some(_) | None => Asked { token: args.token()?, forward: None, found: None },
        };
        if found.token.is_none() && identity.is_none() {
            return Err(Usage::error(
                "there is nothing to show to the server: give --access-key-file, --credential or --client-certificate-file",
            ));
        }
        connect(args, identity.as_ref(), found)
    }

    /// What every list begins with.
    pub(crate) fn query(&self) -> Query {
        Query::default()
    }
}

struct Asked {
    token: Option<BearerToken>,
    forward: Option<(Cluster, (String, String))>,
    found: Option<Found>,
}

fn connect(args: &ServerArgs, identity: Option<&ClientIdentity>, asked: Asked) -> anyhow::Result<Client> {
    let Asked { token, forward, found } = asked;
    let endpoint: Endpoint = match (&args.url, &found) {
        (Some(url), _) => url.parse()?,
        (None, Some(found)) => found.url.parse()?,
        (None, None) => {
            return Err(Usage::error("there is no server: give --server, or --method in a cluster"));
        }
    };
    let trust = match (args.authorities()?, found.and_then(|found| found.authority)) {
        (Some(given), _) => Trust::Authorities(given),
        (None, Some(authority)) => Trust::Authorities(authority.into_bytes()),
        (None, None) => Trust::System,
    };
    let mut client = Client::new(endpoint, &trust, identity)?;
    if let Some(token) = token {
        client = client.with_token(token);
    }
    if let Some((cluster, (namespace, name))) = forward {
        client = client.through(PortForward::new(cluster, namespace, name));
    }
    Ok(match &args.of {
        Some(of) => client.with_method(of.clone()),
        None => client,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_in_the_namespace_of_the_context_unless_it_says_otherwise() {
        let parse =
            |text: &str| MethodName::parse(text, "here").map(|method| (method.namespace, method.name));
        assert_eq!(parse("desk").unwrap(), ("here".to_owned(), "desk".to_owned()));
        assert_eq!(parse("there/desk").unwrap(), ("there".to_owned(), "desk".to_owned()));
        for bad in ["", "/", "/desk", "there/", "a/b/c"] {
            assert!(parse(bad).unwrap_err().is::<Usage>(), "{bad}");
        }
    }
}
