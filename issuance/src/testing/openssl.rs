//! The `openssl` program as a second opinion on what we wrote.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// Files that end with the value.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("chancery-issuance-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, contents: &[u8]) -> String {
        let path = self.0.join(name);
        fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs it; standard output where it was content, standard error where not.
pub(crate) fn openssl(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("openssl").args(arguments).output().expect("openssl must be installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("openssl {arguments:?}: {}{}", text(&output.stdout), text(&output.stderr)))
    }
}

/// What `openssl x509 -text` says of a certificate.
pub(crate) fn certificate_text(der: &[u8]) -> String {
    let folder = Folder::new();
    let path = folder.write("certificate.der", der);
    openssl(&[
        "x509",
        "-inform",
        "DER",
        "-in",
        &path,
        "-noout",
        "-text",
        "-nameopt",
        "utf8,esc_ctrl,dn_rev,sep_comma_plus,sname",
    ])
    .unwrap()
}

/// Whether `openssl verify` trusts the certificate by this root at this time, in Unix seconds.
pub(crate) fn verify(root: &[u8], der: &[u8], at: i64, further: &[&str]) -> Result<String, String> {
    let folder = Folder::new();
    let pem =
        |bytes: &[u8], name: &str| folder.write(name, pki::pem::encode("CERTIFICATE", bytes).as_bytes());
    let (root, leaf, at) = (pem(root, "root.pem"), pem(der, "leaf.pem"), at.to_string());
    let mut arguments = vec!["verify", "-x509_strict", "-check_ss_sig", "-attime", &at, "-CAfile", &root];
    arguments.extend(further);
    arguments.push(&leaf);
    openssl(&arguments)
}
