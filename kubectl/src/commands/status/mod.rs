//! `status`: of a cluster, its resources and whether each can be used; of a server without a cluster, what it says of itself.

mod cluster;
mod server;

use clap::Args;

use crate::cli::{Context, Usage};

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Of all namespaces of a cluster.
    #[arg(long, short = 'A')]
    all_namespaces: bool,
}

impl StatusArgs {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match &context.server.url {
            Some(_) if self.all_namespaces => Err(Usage::error(
                "a server shows what its credential sees: --all-namespaces is for a cluster",
            )),
            Some(_) => server::show(context).await,
            None => cluster::show(context, self.all_namespaces).await,
        }
    }
}
