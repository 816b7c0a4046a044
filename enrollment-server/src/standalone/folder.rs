//! The folder of YAML: read, admitted by the rules an API server would apply, and told what in it is wrong.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crds::{
    Kind, Resource,
    admission::{Admission, AdmissionError},
};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use serde::Deserialize as _;
use serde_json::Value;

/// Most bytes of one file.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Most files of one folder.
const MAX_FILES: usize = 10_000;

/// Where an object without a namespace is.
const DEFAULT_NAMESPACE: &str = "default";

/// Why a folder is not taken. The first thing that is wrong, with its file.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{0} holds more than 10000 YAML files")]
    TooManyFiles(PathBuf),
    #[error("{0} is larger than 4 MiB")]
    TooLarge(PathBuf),
    #[error("{path}: not YAML: {source}")]
    Yaml { path: PathBuf, source: serde_yaml_ng::Error },
    #[error("{path}: {object}: {source}")]
    Refused { path: PathBuf, object: String, source: AdmissionError },
    #[error("{path}: {object}: {source}")]
    Object { path: PathBuf, object: String, source: serde_json::Error },
    #[error("{path}: {object} stands in {first} already")]
    Twice { path: PathBuf, object: String, first: PathBuf },
    #[error("{0}: an object without metadata.name")]
    Nameless(PathBuf),
    /// Left alone it would seem to have revoked something.
    #[error("{path}: {object}: needs a cluster; here, say chancery-server certificates revoke")]
    Revocation { path: PathBuf, object: String },
}

/// Which object, for people and as a key.
type Key = (String, String, String);

/// All objects of a folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Folder {
    pub(super) resources: BTreeMap<(Kind, String, String), Resource>,
    pub(super) secrets: Vec<Secret>,
    pub(super) namespaces: Vec<Namespace>,
    /// The documents as read, for the snapshot of the last good configuration.
    pub(super) documents: Vec<Value>,
    /// Objects that are none of ours, left alone.
    pub(super) ignored: Vec<String>,
}

/// Reads folders.
#[derive(Debug, Default)]
pub(super) struct Reader {
    admission: Admission,
}

impl Reader {
    /// Reads `*.yaml`, `*.yml` and `*.json` of the folder, in the order of their names. `before` is what was in force,
    /// for the rules that say what cannot change.
    ///
    /// # Errors
    /// Where anything is wrong with any of them: a folder is taken whole or not at all.
    pub(super) fn read(&self, path: &Path, before: &Folder) -> Result<Folder, FolderError> {
        let mut folder = Folder::default();
        let mut seen = BTreeMap::new();
        for file in files(path)? {
            for document in documents(&file)? {
                self.add(&mut folder, &mut seen, before, &file, document)?;
            }
        }
        Ok(folder)
    }

    /// Takes documents from a snapshot.
    ///
    /// # Errors
    /// As [`Reader::read`]; the path names the snapshot.
    pub(super) fn restore(&self, path: &Path, documents: Vec<Value>) -> Result<Folder, FolderError> {
        let (mut folder, mut seen) = (Folder::default(), BTreeMap::new());
        for document in documents {
            self.add(&mut folder, &mut seen, &Folder::default(), path, document)?;
        }
        Ok(folder)
    }

    fn add(
        &self,
        folder: &mut Folder,
        seen: &mut BTreeMap<Key, PathBuf>,
        before: &Folder,
        path: &Path,
        mut document: Value,
    ) -> Result<(), FolderError> {
        let text =
            |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
        let ours = version.starts_with("chancery.dev/");
        // Requests of a cluster's API do not come here, so there is nothing that an issuer could be right or wrong about.
        let known: Option<Kind> = kind.parse().ok().filter(|_| ours);
        if matches!(known, Some(Kind::ChanceryIssuer | Kind::ChanceryClusterIssuer)) {
            folder.ignored.push(format!("{version} {kind} {name}"));
            return Ok(());
        }
        let core = version == "v1" && matches!(kind.as_str(), "Secret" | "Namespace");
        if version == "v1" && kind == "List" {
            let items = document.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
            for item in items.unwrap_or_default() {
                self.add(folder, seen, before, path, item)?;
            }
            return Ok(());
        }
        if !ours && !core {
            folder.ignored.push(format!("{version} {kind} {name}"));
            return Ok(());
        }
        if name.is_empty() {
            return Err(FolderError::Nameless(path.into()));
        }
        let namespace = match text("/metadata/namespace") {
            namespace if namespace.is_empty() => DEFAULT_NAMESPACE.to_owned(),
            namespace => namespace,
        };
        if let Some(Value::Object(metadata)) = document.get_mut("metadata")
            && kind != "Namespace"
        {
            metadata.insert("namespace".into(), Value::String(namespace.clone()));
        }
        let object = format!("{kind} {namespace}/{name}");
        if known == Some(Kind::CertificateRevocation) {
            return Err(FolderError::Revocation { path: path.into(), object });
        }
        let key = (kind.clone(), namespace.clone(), name.clone());
        if let Some(first) = seen.insert(key, path.into()) {
            return Err(FolderError::Twice { path: path.into(), object, first });
        }
        let unreadable = |source| FolderError::Object { path: path.into(), object: object.clone(), source };
        if ours {
            let old = kind
                .parse()
                .ok()
                .and_then(|kind: Kind| before.resources.get(&(kind, namespace.clone(), name.clone())));
            let resource = self.admission.admit(&document, old).map_err(|source| FolderError::Refused {
                path: path.into(),
                object: object.clone(),
                source,
            })?;
            folder.resources.insert((resource.kind(), namespace, name), resource);
        } else if kind == "Secret" {
            folder.secrets.push(serde_json::from_value(document.clone()).map_err(unreadable)?);
        } else {
            folder.namespaces.push(serde_json::from_value(document.clone()).map_err(unreadable)?);
        }
        folder.documents.push(document);
        Ok(())
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let io = |source| FolderError::Io { path: folder.into(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let known =
            path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json");
        if known && !hidden && path.is_file() {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(FolderError::TooManyFiles(folder.into()));
        }
    }
    files.sort();
    Ok(files)
}

fn documents(path: &Path) -> Result<Vec<Value>, FolderError> {
    let io = |source| FolderError::Io { path: path.into(), source };
    if fs::metadata(path).map_err(io)?.len() > MAX_FILE {
        return Err(FolderError::TooLarge(path.into()));
    }
    let text = fs::read_to_string(path).map_err(io)?;
    let yaml = |source| FolderError::Yaml { path: path.into(), source };
    let mut documents = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(&text) {
        let value = serde_yaml_ng::Value::deserialize(document).map_err(yaml)?;
        if !value.is_null() {
            documents.push(serde_yaml_ng::from_value(value).map_err(yaml)?);
        }
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Folder, FolderError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Reader::default().read(folder.path(), &Folder::default())
    }

    const METHOD: &str = "apiVersion: chancery.dev/v1alpha1\nkind: EnrollmentMethod\nmetadata: {name: m}\nspec: {profileRef: {name: p}, est: {}}\n";

    fn refuses(files: &[(&str, &str)], sentence: &str) {
        let error = read(files).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }

    #[test]
    fn objects_of_others_are_left_alone() {
        let foreign = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n";
        let folder = read(&[
            ("a.yaml", &format!("{METHOD}---\n{foreign}---\n")),
            (".hidden.yaml", "}"),
            ("b.txt", "}"),
        ])
        .unwrap();
        assert_eq!(folder.resources.len(), 1);
        assert_eq!(folder.ignored, ["apps/v1 Deployment d"]);
        let key = folder.resources.keys().next().unwrap();
        assert_eq!((key.1.as_str(), key.2.as_str()), ("default", "m"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file() {
        refuses(&[("a.yaml", "a: [")], "a.yaml: not YAML");
        refuses(&[("a.yaml", METHOD), ("b.yaml", METHOD)], "EnrollmentMethod default/m stands in");
        refuses(&[("a.yaml", &METHOD.replace("est: {}", ""))], "give exactly one protocol");
        refuses(&[("a.yaml", &METHOD.replace("est: {}", "est: {}, oops: 1"))], "oops");
        refuses(&[("a.yaml", &METHOD.replace("EnrollmentMethod", "EnrolmentMethod"))], "EnrolmentMethod");
        refuses(&[("a.yaml", &METHOD.replace("{name: m}", "{}"))], "without metadata.name");
    }

    #[test]
    fn issuers_are_left_alone_and_revocations_refused() {
        let of = |kind: &str, spec: &str| {
            format!("apiVersion: chancery.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n")
        };
        let issuer = of("ChanceryIssuer", "{profileRef: {name: p}}");
        let cluster = of("ChanceryClusterIssuer", "{profileRef: {name: p, namespace: n}}");
        let folder = read(&[("a.yaml", METHOD), ("b.yaml", &issuer), ("c.yaml", &cluster)]).unwrap();
        assert_eq!((folder.resources.len(), folder.documents.len()), (1, 1));
        assert_eq!(folder.ignored.len(), 2);
        let revocation = of("CertificateRevocation", "{secretRef: {name: s}}");
        refuses(&[("a.yaml", &revocation)], "say chancery-server certificates revoke");
    }

    #[test]
    fn what_cannot_change_is_compared_with_what_was_in_force() {
        let credential = |method: &str| {
            format!(
                "apiVersion: chancery.dev/v1alpha1\nkind: EnrollmentCredential\nmetadata: {{name: c}}\nspec: {{methodRef: {{name: {method}}}, owner: {{user: ann}}, est: {{}}}}\n"
            )
        };
        let before = read(&[("c.yaml", &credential("one"))]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("c.yaml"), credential("two")).unwrap();
        let error = Reader::default().read(folder.path(), &before).unwrap_err().to_string();
        assert!(error.contains("methodRef cannot change"), "{error}");
    }
}
