//! The folder of YAML that a standalone server reads.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The namespace of everything that [`Resources::base`] and its helpers write.
pub const NAMESPACE: &str = "test";

/// A server, a root and an authority that issues, for methods to be added to.
const BASE: &str = "\
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentServer
metadata: {name: server, namespace: test}
spec:
  publicBaseUrl: http://127.0.0.1:8080
  tls: {authorityRef: {name: root}, ipAddresses: [127.0.0.1], dnsNames: [localhost]}
---
apiVersion: chancery.dev/v1alpha1
kind: CertificateAuthority
metadata: {name: root, namespace: test}
spec:
  selfSigned: {}
  subject: {commonName: Test Root}
---
apiVersion: chancery.dev/v1alpha1
kind: CertificateAuthority
metadata: {name: issuing, namespace: test}
spec:
  intermediate: {parentRef: {name: root}}
  subject: {commonName: Test Issuing}
";

/// A folder of resources that a test writes and changes.
#[derive(Clone, Debug)]
pub struct Resources {
    directory: PathBuf,
}

impl Resources {
    /// An empty folder `resources` in another one.
    pub fn empty(parent: &Path) -> Result<Self> {
        let directory = parent.join("resources");
        std::fs::create_dir(&directory).context("cannot make the folder of resources")?;
        Ok(Self { directory })
    }

    /// A copy of `examples/quickstart`: what a newcomer runs first is what is tested.
    pub fn quickstart(parent: &Path) -> Result<Self> {
        Self::example(parent, "quickstart")
    }

    /// A copy of one folder of `examples`.
    pub fn example(parent: &Path, name: &str) -> Result<Self> {
        let resources = Self::empty(parent)?;
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("examples").join(name);
        for entry in std::fs::read_dir(&examples).with_context(|| format!("no {}", examples.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let name = path.file_name().context("a file without a name")?;
                std::fs::copy(&path, resources.directory.join(name))?;
            }
        }
        Ok(resources)
    }

    /// One server, a root `root` and an intermediate `issuing`, all in [`NAMESPACE`].
    pub fn base(parent: &Path) -> Result<Self> {
        let resources = Self::empty(parent)?;
        resources.write("base.yaml", BASE)?;
        Ok(resources)
    }

    /// Adds a profile, an EST method on it and the method's passphrase, all of this name.
    ///
    /// `spec` is the profile's, in YAML flow style: `{authorityRef: {name: issuing}, preset: Device}`.
    pub fn est_method(&self, name: &str, spec: &str) -> Result<()> {
        self.est_method_with(name, spec, "{}")
    }

    /// The same with `est` as the method's `spec.est`, in YAML flow style.
    pub fn est_method_with(&self, name: &str, spec: &str, est: &str) -> Result<()> {
        let yaml = format!(
            "\
apiVersion: chancery.dev/v1alpha1
kind: CertificateProfile
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec: {spec}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentMethod
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec: {{profileRef: {{name: {name}}}, est: {est}}}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentCredential
metadata: {{name: {name}-passphrase, namespace: {NAMESPACE}}}
spec: {{methodRef: {{name: {name}}}, est: {{}}, owner: {{group: testers}}}}
"
        );
        self.write(&format!("{name}.yaml"), &yaml)
    }

    /// Adds a profile and an ACME method on it, and where `credential` is given the key that its accounts are bound to, all of
    /// this name.
    ///
    /// `spec` is the profile's, `acme` the method's `spec.acme`, `credential` that of the credential, all in YAML flow style.
    pub fn acme_method(&self, name: &str, spec: &str, acme: &str, credential: Option<&str>) -> Result<()> {
        let mut yaml = format!(
            "\
apiVersion: chancery.dev/v1alpha1
kind: CertificateProfile
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec: {spec}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentMethod
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec: {{profileRef: {{name: {name}}}, acme: {acme}}}
"
        );
        if let Some(credential) = credential {
            yaml.push_str(&format!(
                "\
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentCredential
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec: {{methodRef: {{name: {name}}}, acme: {credential}, owner: {{group: testers}}}}
"
            ));
        }
        self.write(&format!("{name}.yaml"), &yaml)
    }

    /// Says where the public listener is reached; the URL is baked into every certificate.
    pub fn public_base_url(&self, url: &str) -> Result<()> {
        const KEY: &str = "publicBaseUrl:";
        for entry in std::fs::read_dir(&self.directory)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let text = self.read(&name)?;
            let Some(line) = text.lines().find(|line| line.trim_start().starts_with(KEY)) else { continue };
            let indent = line.len() - line.trim_start().len();
            let new = format!("{}{KEY} {url}", " ".repeat(indent));
            return self.write(&name, &text.replace(line, &new));
        }
        anyhow::bail!("no resource has a {KEY} line")
    }

    /// Writes one file in one step, as an editor or a volume mount does, so that the server never reads half of it.
    pub fn write(&self, name: &str, yaml: &str) -> Result<()> {
        let target = self.directory.join(name);
        let draft = self.directory.join(format!(".{name}.draft"));
        std::fs::write(&draft, yaml).with_context(|| format!("cannot write {}", draft.display()))?;
        std::fs::rename(&draft, &target).with_context(|| format!("cannot write {}", target.display()))
    }

    /// Reads one file back.
    pub fn read(&self, name: &str) -> Result<String> {
        let path = self.directory.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Replaces text in one file; an error if it is not there.
    pub fn replace(&self, name: &str, from: &str, to: &str) -> Result<()> {
        let text = self.read(name)?;
        anyhow::ensure!(text.contains(from), "{name} does not hold `{from}`:\n{text}");
        self.write(name, &text.replace(from, to))
    }

    /// Removes one file.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.directory.join(name);
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.directory
    }
}
