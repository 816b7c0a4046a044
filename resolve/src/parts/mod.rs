//! A compiled configuration on its way to a server: split into parts, one per object, and put together again.
//!
//! ```text
//! Compiled, keys, lists ─split─► parts ─┬─ to_json ─► one Secret each                ┌─► Compiled, keys, lists
//!                                       └─ Manifest ─► signed, its lists  ─assemble──┴─► what failed
//! ```
//!
//! A Secret holds at most 1 MiB, and a change of one object should not rewrite the others: hence parts. They arrive one by one, so
//! the manifest says which belong together, by hash. It is signed, and whoever reads one checks the signature before anything
//! else here: this module is pure, and knows no keys. docs/adr/0011 says why it is so.
//!
//! | file | what |
//! | --- | --- |
//! | `part.rs` | a part and its JSON |
//! | `manifest.rs` | which parts belong together |
//! | `index.rs` | a manifest as it is written, however many parts it lists |
//! | `assemble.rs` | parts to a configuration that holds together |

mod assemble;
mod index;
mod manifest;
mod part;

use std::collections::BTreeMap;

use crds::Kind;
use issuance::{identity::ResourceName, secret::Secret};

use crate::{Compiled, Resolution};

pub use self::{
    assemble::{AssembleError, Assembled, assemble},
    index::{ManifestIndex, WrittenManifest},
    manifest::{Manifest, ManifestError, PartEntry},
    part::{MAX_PART_BYTES, Part, PartContent, PartError, PartKind, part_secret_name, sha256_hex},
};

/// Splits what is to be served into parts, sorted by kind and name. `compiled` is that of the resolution, or what has become of it since:
/// the operator puts values of credentials and the internal listener into it.
///
/// `keys` are PKCS#8 DER, `lists` revocation lists in DER; both may hold more than is needed. A key goes only where the server
/// issues with it, whatever `keys` holds.
pub fn split(
    resolution: &Resolution,
    compiled: &Compiled,
    keys: &BTreeMap<ResourceName, Secret>,
    lists: &BTreeMap<ResourceName, Vec<u8>>,
) -> Vec<Part> {
    let of = resolution.statuses.iter();
    let generations: BTreeMap<(Kind, &ResourceName), Option<i64>> =
        of.map(|status| ((status.kind, &status.name), status.generation)).collect();
    let generation = |kind, name: &ResourceName| *generations.get(&(kind, name))?;
    let plain = |generation, content| Part { generation, content, key: None, crl: None };
    let mut parts = vec![plain(
        generation(Kind::EnrollmentServer, &compiled.server.name),
        PartContent::Server(Box::new(compiled.server.clone())),
    )];
    for authority in &compiled.authorities {
        let name = &authority.name;
        let issues = resolution.issuing.contains(name);
        parts.push(Part {
            generation: generation(Kind::CertificateAuthority, name),
            key: keys.get(name).filter(|_| issues).cloned(),
            crl: lists.get(name).cloned(),
            content: PartContent::Authority(Box::new(authority.clone())),
        });
    }
    for profile in &compiled.profiles {
        let generation = generation(Kind::CertificateProfile, &profile.name);
        parts.push(plain(generation, PartContent::Profile(Box::new(profile.clone()))));
    }
    for method in &compiled.methods {
        let (kind, name) = method.resource();
        parts.push(plain(generation(kind, &name), PartContent::Method(Box::new(method.clone()))));
    }
    for credential in &compiled.credentials {
        let generation = generation(Kind::EnrollmentCredential, &credential.name);
        parts.push(plain(generation, PartContent::Credential(Box::new(credential.clone()))));
    }
    parts
}
