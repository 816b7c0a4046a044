//! Chancery as it is measured: on a SQLite file, with two methods.

use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;
use chancery_tests::resources::NAMESPACE;
use chancery_tests::{Resources, Server, Settings};

use super::load::Target;
use super::{Answers, Proof};

/// All names that are ordered are below it.
pub(super) const ZONE: &str = "bench.example";

const PROFILE: &str = "{authorityRef: {name: issuing}, preset: TLSServer, keys: {allowed: [ECDSA-P256]}}";

/// A running server, and how it is asked.
#[derive(Debug)]
pub(super) struct Chancery {
    server: Server,
    proving: Target,
    vouched: Target,
}

impl Chancery {
    /// `directory`: where it keeps everything; is made.
    pub(super) fn start(directory: &Path, binary: &Path, answers: &Answers) -> Result<Self> {
        std::fs::create_dir(directory)?;
        let resources = Resources::base(directory)?;
        let loopback: IpAddr = answers.http.ip();
        let proving = format!(
            "{{challenges: [http-01], validation: \
             {{httpPort: {}, resolvers: ['{}'], allowedNetworks: ['{loopback}/32']}}}}",
            answers.http.port(),
            answers.dns
        );
        resources.acme_method("proving", PROFILE, &proving, Some("{}"))?;
        let names = format!("{{identifiers: {{dns: ['*.{ZONE}']}}}}");
        resources.acme_method(
            "vouched",
            PROFILE,
            "{challenges: [], preAuthorizedNames: Enabled}",
            Some(&names),
        )?;
        let settings = Settings::with_binary(binary.to_owned(), resources.path(), &directory.join("data"));
        let server = Server::start(settings)?;
        let (proving, vouched) = (target(&server, "proving")?, target(&server, "vouched")?);
        Ok(Self { server, proving, vouched })
    }

    pub(super) fn target(&self, proof: Proof) -> Target {
        match proof {
            Proof::Http01Name | Proof::Http01Address => self.proving.clone(),
            Proof::None => self.vouched.clone(),
        }
    }

    pub(super) fn stop(self) -> Result<()> {
        self.server.stop().map(drop)
    }
}

fn target(server: &Server, method: &str) -> Result<Target> {
    let name = format!("{NAMESPACE}/{method}");
    let endpoints = server.endpoints()?;
    let endpoint = endpoints.acme(&name)?;
    let binding = endpoint.binding(&name)?;
    Ok(Target {
        pid: server.pid(),
        directory: endpoint.directory()?.to_owned(),
        binding: Some((binding.kid, binding.hmac)),
        remembers: false,
    })
}
