//! The custom resource definitions of this release, put in force: Helm does that when the chart is installed and never again.

use std::time::Duration;

use anyhow::Context as _;
use crds::{generate::all_crds, labels::FIELD_MANAGER};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt as _,
    api::PostParams,
    runtime::wait::{await_condition, conditions},
};

/// How long the API server may take to serve a definition that it has taken.
const ESTABLISHED: Duration = Duration::from_secs(60);

/// How often an object that somebody else changes at the same time is read again.
const ATTEMPTS: u32 = 5;

/// What was done about one definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Created,
    Replaced,
    /// It was as it should be.
    None,
}

/// Creates or replaces every definition, and returns when the API server serves them all.
///
/// The spec is replaced as a whole and not applied: what a release drops from a schema would stay for as long as whoever
/// installed it, most often Helm, is said to own it.
///
/// # Errors
/// Where the API server refuses one, or does not serve it in time.
pub async fn install(client: &Client) -> anyhow::Result<Vec<(String, Change)>> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut changes = Vec::new();
    for wanted in all_crds()? {
        let name = wanted.name_any();
        let change = install_one(&api, &wanted).await.with_context(|| format!("{name} cannot be written"))?;
        changes.push((name, change));
    }
    for (name, _) in &changes {
        let established = await_condition(api.clone(), name, conditions::is_crd_established());
        tokio::time::timeout(ESTABLISHED, established)
            .await
            .with_context(|| format!("{name} is not served in time"))?
            .with_context(|| format!("{name} cannot be watched"))?;
    }
    Ok(changes)
}

async fn install_one(
    api: &Api<CustomResourceDefinition>,
    wanted: &CustomResourceDefinition,
) -> Result<Change, kube::Error> {
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let name = wanted.name_any();
    let mut attempt = 0;
    loop {
        attempt += 1;
        let written = match api.get_opt(&name).await? {
            None => api.create(&parameters, wanted).await.map(|_| Change::Created),
            Some(found) if is_as_wanted(&found, wanted) => return Ok(Change::None),
            Some(mut found) => {
                // What stands there on labels and annotations is others' business; a conversion is not ours to keep.
                found.spec = wanted.spec.clone();
                api.replace(&name, &parameters, &found).await.map(|_| Change::Replaced)
            }
        };
        match written {
            Err(kube::Error::Api(status)) if status.code == 409 && attempt < ATTEMPTS => {}
            outcome => return outcome,
        }
    }
}

/// Whether the same would be stored: the API server fills in defaults, so a member that was not asked for is no difference.
fn is_as_wanted(found: &CustomResourceDefinition, wanted: &CustomResourceDefinition) -> bool {
    let (found, wanted) = (&found.spec, &wanted.spec);
    found.versions == wanted.versions && found.group == wanted.group && found.scope == wanted.scope && {
        let (found, wanted) = (&found.names, &wanted.names);
        found.kind == wanted.kind
            && found.plural == wanted.plural
            && found.short_names == wanted.short_names
            && found.categories == wanted.categories
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::wait::Condition as _;

    use super::*;
    use crate::testing::FakeApi;

    /// The fake API server establishes nothing by itself.
    fn establish(api: &FakeApi) {
        for mut definition in api.all::<CustomResourceDefinition>() {
            definition.status = serde_json::from_value(serde_json::json!({
                "acceptedNames": {"kind": definition.spec.names.kind, "plural": definition.spec.names.plural},
                "conditions": [{"type": "Established", "status": "True", "reason": "InitialNamesAccepted"}],
                "storedVersions": ["v1alpha1"],
            }))
            .unwrap();
            assert!(conditions::is_crd_established().matches_object(Some(&definition)));
            api.put(&definition);
        }
    }

    async fn installed(api: &FakeApi) -> Vec<(String, Change)> {
        let (client, served) = (api.client(), api.clone());
        let serve = async move {
            loop {
                if served.all::<CustomResourceDefinition>().len() == crds::Kind::ALL.len() {
                    establish(&served);
                    return std::future::pending::<()>().await;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            changes = install(&client) => changes.unwrap(),
            () = serve => unreachable!(),
        }
    }

    #[tokio::test]
    async fn all_definitions_are_created_and_nothing_is_written_the_second_time() {
        let api = FakeApi::new();
        let first = installed(&api).await;
        assert_eq!(first.len(), crds::Kind::ALL.len());
        assert!(first.iter().all(|(_, change)| *change == Change::Created), "{first:?}");
        api.forget_calls();
        let second = installed(&api).await;
        assert!(second.iter().all(|(_, change)| *change == Change::None), "{second:?}");
        assert_eq!(api.writes(), []);
    }

    #[tokio::test]
    async fn a_definition_of_another_release_is_replaced_as_a_whole_and_keeps_its_annotations() {
        let api = FakeApi::new();
        installed(&api).await;
        let mut old: CustomResourceDefinition = api.get(None, "chanceryissuers.chancery.dev").unwrap();
        old.metadata.annotations = Some([("of".to_owned(), "somebody".to_owned())].into());
        old.spec.names.short_names = Some(vec!["former".to_owned()]);
        let before = old.spec.clone();
        api.put(&old);
        api.refuse("PUT", "chanceryissuers", 409, "Conflict", 1);
        let changes = installed(&api).await;
        let replaced: Vec<_> =
            changes.iter().filter(|(_, change)| *change == Change::Replaced).map(|(name, _)| name).collect();
        assert_eq!(replaced, ["chanceryissuers.chancery.dev"]);
        let now: CustomResourceDefinition = api.get(None, "chanceryissuers.chancery.dev").unwrap();
        assert_ne!(now.spec, before);
        assert_eq!(now.spec.names.short_names.as_deref(), Some(["cissuer".to_owned()].as_slice()));
        assert!(now.metadata.annotations.is_some_and(|annotations| annotations.contains_key("of")));
    }

    #[tokio::test]
    async fn a_refusal_names_the_definition() {
        let api = FakeApi::new();
        api.refuse("POST", "customresourcedefinitions", 403, "Forbidden", 1);
        let error = install(&api.client()).await.unwrap_err();
        assert!(
            format!("{error:#}").contains("certificateauthorities.chancery.dev cannot be written"),
            "{error:#}"
        );
    }
}
