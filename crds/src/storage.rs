//! Where an EnrollmentServer keeps its rows.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{common::SecretKeyRef, string_enum::string_enum};

/// Where rows are kept: exactly one of `sqlite` and `postgres`. In standalone mode the option `--database` of the server
/// decides instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.sqlite) != has(self.postgres)").message("give exactly one storage: sqlite or postgres"),
    validation = Rule::new("has(self.sqlite) == has(oldSelf.sqlite)")
        .message("the storage of a server cannot change: rows do not move by themselves"),
)]
pub struct Storage {
    /// A SQLite database on a volume of its own; for one replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlite: Option<SqliteStorage>,
    /// A PostgreSQL database; for any number of replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresStorage>,
}

/// A SQLite database. The volume outlives the EnrollmentServer: whoever wants the rows gone deletes the PersistentVolumeClaim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new(
        "has(self.storageClassName) == has(oldSelf.storageClassName) \
         && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)"
    ).message("storageClassName cannot change: a volume stays where it is").field_path(".storageClassName"),
)]
pub struct SqliteStorage {
    /// Size of the volume. It can grow where the storage class lets volumes grow, and never shrink.
    #[serde(default = "one_gibibyte")]
    #[schemars(schema_with = "size_schema")]
    pub size: Quantity,
    /// The StorageClass of the volume. Absent: the cluster's default. It cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// Who may mount the volume. It cannot change.
    #[serde(default = "one_pod")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("accessMode cannot change: a volume keeps its own"))]
    pub access_mode: VolumeAccessMode,
}

impl Default for SqliteStorage {
    fn default() -> Self {
        Self { size: one_gibibyte(), storage_class_name: None, access_mode: one_pod() }
    }
}

string_enum! {
    /// Who may mount a volume, as Kubernetes spells it.
    pub enum VolumeAccessMode {
        /// One pod in the whole cluster: two servers never write one database. The volume must be of a CSI driver that can do
        /// that.
        ReadWriteOncePod = "ReadWriteOncePod",
        /// All pods of one node; for volumes that know nothing better. That there is one pod is then seen to by the StatefulSet
        /// alone.
        ReadWriteOnce = "ReadWriteOnce",
    }
}

/// A PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostgresStorage {
    /// A Secret in the same namespace with the URL of the database, which holds its password:
    /// `postgres://user:password@host/database?sslmode=verify-full`. `key` is `url` if absent. In a cluster its keys
    /// `ca.crt`, `tls.crt` and `tls.key`, as far as it has them, are files beside the server, which the URL can name:
    /// `sslrootcert=/etc/chancery/database/ca.crt`. The pods are replaced whenever the Secret changes.
    pub secret_ref: SecretKeyRef,
}

impl PostgresStorage {
    /// The key of a Secret that holds the URL, where none is named.
    pub const DEFAULT_KEY: &'static str = "url";
}

/// Where rows are kept, as one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StorageKind<'a> {
    Sqlite(&'a SqliteStorage),
    Postgres(&'a PostgresStorage),
}

impl Storage {
    /// The storage; `None` unless exactly one is given.
    pub fn kind(&self) -> Option<StorageKind<'_>> {
        match (&self.sqlite, &self.postgres) {
            (Some(sqlite), None) => Some(StorageKind::Sqlite(sqlite)),
            (None, Some(postgres)) => Some(StorageKind::Postgres(postgres)),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { sqlite: Some(SqliteStorage::default()), postgres: None }
    }
}

/// The sizes that people write for volumes; Kubernetes knows more ways.
fn size_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[1-9][0-9]*(Mi|Gi|Ti|M|G|T)$", "maxLength": 16 })
}

fn one_gibibyte() -> Quantity {
    Quantity("1Gi".to_owned())
}

fn one_pod() -> VolumeAccessMode {
    VolumeAccessMode::ReadWriteOncePod
}
