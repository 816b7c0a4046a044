//! Objects → resources, one by one: what cannot be read takes nothing else down.

use crds::{Kind, Resource};
use kube::{
    api::DynamicObject,
    core::{ApiResource, ObjectMeta},
};

use super::snapshot::{Entry, Object};

/// Longest explanation that is kept, in characters.
const MAX_REASON: usize = 1024;

/// How the API server calls resources of this kind.
pub(crate) fn api_resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::CertificateAuthority => ApiResource::erase::<crds::CertificateAuthority>(&()),
        Kind::CertificateProfile => ApiResource::erase::<crds::CertificateProfile>(&()),
        Kind::EnrollmentMethod => ApiResource::erase::<crds::EnrollmentMethod>(&()),
        Kind::EnrollmentCredential => ApiResource::erase::<crds::EnrollmentCredential>(&()),
        Kind::EnrollmentServer => ApiResource::erase::<crds::EnrollmentServer>(&()),
        Kind::ChanceryIssuer => ApiResource::erase::<crds::ChanceryIssuer>(&()),
        Kind::ChanceryClusterIssuer => ApiResource::erase::<crds::ChanceryClusterIssuer>(&()),
        Kind::CertificateRevocation => ApiResource::erase::<crds::CertificateRevocation>(&()),
    }
}

/// The resource, or why it cannot be read.
pub(super) fn entry(kind: Kind, mut object: DynamicObject) -> Entry {
    object.metadata.managed_fields = None;
    let meta = object.metadata.clone();
    let read = serde_json::to_value(object).and_then(|document| Resource::from_value(kind, document));
    match read {
        Ok(resource) => Entry::Read(resource),
        Err(error) => {
            let reason: String = error.to_string().chars().take(MAX_REASON).collect();
            Entry::Undecodable { meta: Box::new(meta), reason }
        }
    }
}

/// What is kept of the metadata of any object.
pub(super) fn object(meta: ObjectMeta) -> Object {
    Object {
        uid: meta.uid.unwrap_or_default(),
        resource_version: meta.resource_version.unwrap_or_default(),
        labels: meta.labels.unwrap_or_default(),
        annotations: meta.annotations.unwrap_or_default(),
        deleting: meta.deletion_timestamp.is_some(),
    }
}

/// Whether the loop has to look at the resource anew: not where only its status changed, which most often the operator wrote
/// itself. Of a revocation the status alone says what is revoked.
pub(super) fn is_news(kind: Kind, old: &ObjectMeta, new: &ObjectMeta) -> bool {
    if kind == Kind::CertificateRevocation {
        return old.resource_version != new.resource_version;
    }
    let matters = |meta: &ObjectMeta| {
        let meta = meta.clone();
        (meta.uid, meta.generation, meta.labels, meta.annotations, meta.finalizers, meta.deletion_timestamp)
    };
    matters(old) != matters(new)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn profile(spec: serde_json::Value) -> Entry {
        let document = json!({
            "apiVersion": crds::API_VERSION, "kind": "CertificateProfile",
            "metadata": { "name": "p", "namespace": "a", "generation": 3, "managedFields": [{}] },
            "spec": spec,
        });
        entry(Kind::CertificateProfile, serde_json::from_value(document).unwrap())
    }

    #[test]
    fn what_a_newer_release_wrote_is_kept_with_the_reason_it_cannot_be_read() {
        let Entry::Undecodable { meta, reason } =
            profile(json!({ "authorityRef": { "name": "a" }, "quantum": 1 }))
        else {
            panic!("read")
        };
        assert!(reason.contains("quantum"), "{reason}");
        assert_eq!((meta.name.as_deref(), meta.generation), (Some("p"), Some(3)));
    }

    #[test]
    fn a_reason_is_short_whatever_the_object_holds() {
        let Entry::Undecodable { reason, .. } = profile(json!({ "x".repeat(5000): 1 })) else {
            panic!("read")
        };
        assert!(reason.chars().count() <= MAX_REASON);
    }

    #[test]
    fn a_status_alone_is_no_news_unless_it_says_what_is_revoked() {
        let old =
            ObjectMeta { generation: Some(1), resource_version: Some("1".into()), ..ObjectMeta::default() };
        let status = ObjectMeta { resource_version: Some("2".into()), ..old.clone() };
        assert!(!is_news(Kind::CertificateProfile, &old, &status));
        assert!(is_news(Kind::CertificateRevocation, &old, &status));
        assert!(is_news(
            Kind::CertificateProfile,
            &old,
            &ObjectMeta { generation: Some(2), ..status.clone() }
        ));
        assert!(is_news(
            Kind::CertificateProfile,
            &old,
            &ObjectMeta { labels: Some([("a".into(), "b".into())].into()), ..status }
        ));
    }
}
