//! The commands of the pages for a cluster, run as they stand there and in the order in which a year goes by.

use anyhow::{Context, Result, ensure};
use chancery_tests::cluster::page::{Shell, commands};
use chancery_tests::openssl;
use serde_json::Value;

use crate::empty::from_empty;

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn the_commands_of_the_pages_do_what_they_say() -> Result<()> {
    from_empty(|cluster| {
        let enrollment = cluster.kubectl().in_namespace("enrollment");
        let domain = cluster.domain.as_deref().context("no names lead to an ingress controller")?;
        let class = cluster.ingress_class.as_deref().context("the cluster serves no Ingress")?;
        let (domain, class) = (format!("shop.{domain}"), format!("ingressClassName: {class}"));
        let here = [("shop.example.com", domain.as_str()), ("ingressClassName: nginx", class.as_str())];
        let shell = Shell::new(cluster, &here)?;
        let fingerprint = || -> Result<String> {
            let root: Value = enrollment.get("certificateauthority/root")?;
            root["status"]["fingerprint"].as_str().map(ToOwned::to_owned).context("no fingerprint")
        };
        shell.run("installing", &commands("install.md", "")?)?;
        shell.run("enrolling", &commands("devices.md", "")?)?;
        ensure!(openssl::is_for_key(&shell.workspace.file("next.pem"), &shell.workspace.file("next.key"))?);
        shell.run("looking", &commands("troubleshooting.md", "")?)?;
        shell.run("issuing for cert-manager", &commands("cert-manager.md", "")?)?;
        shell.run("issuing over ACME", &commands("cert-manager.md", "acme")?)?;
        shell.run("upgrading and rolling back", &commands("upgrade.md", "")?)?;
        let before = fingerprint()?;
        shell.run("backing up", &commands("backup.md", "")?)?;

        shell.run("uninstalling", &commands("install.md", "uninstall")?)?;
        shell.run("removing everything", &commands("install.md", "everything")?)?;
        shell.run("losing the rest", "kubectl delete namespace enrollment")?;
        // The resources of the chart's own server come back, too.
        shell.run(
            "restoring",
            &format!("kubectl create namespace chancery-server\n{}", commands("backup.md", "restore")?),
        )?;
        ensure!(fingerprint()? == before, "another authority than before");

        shell.run("enrolling after that", &commands("devices.md", "")?)?;
        shell.run("removing a server", &commands("install.md", "remove")?)
    })
}
