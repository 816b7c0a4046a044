//! Complete lists, straight from the API server, before anything is removed because something else is gone.
//!
//! A watch may lag: an operator that has just become the leader could else take the key of an authority that was made a
//! moment ago for one that nobody owns.

use std::collections::BTreeSet;

use crds::Kind;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
};

use super::decode;
use crate::context::Scope;

const PAGE: u32 = 500;

/// The UIDs of all resources of a kind that exist now.
///
/// # Errors
/// Where any page cannot be read: nothing is known then about what does not exist.
pub async fn uids(client: &Client, scope: &Scope, kind: Kind) -> Result<BTreeSet<String>, kube::Error> {
    let resource = decode::api_resource(kind);
    let apis: Vec<Api<DynamicObject>> = match scope {
        Scope::Namespaces(namespaces) if kind.is_namespaced() => {
            let one = |namespace: &String| Api::namespaced_with(client.clone(), namespace, &resource);
            namespaces.iter().map(one).collect()
        }
        Scope::Cluster | Scope::Namespaces(_) => vec![Api::all_with(client.clone(), &resource)],
    };
    let mut found = BTreeSet::new();
    for api in apis {
        let mut parameters = ListParams::default().limit(PAGE);
        loop {
            let page = api.list_metadata(&parameters).await?;
            found.extend(page.items.into_iter().filter_map(|object| object.metadata.uid));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => break,
            }
        }
    }
    Ok(found)
}
