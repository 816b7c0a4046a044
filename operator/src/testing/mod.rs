//! A Kubernetes API in memory, for tests: objects with resource versions, lists in pages, watches, server-side apply with owners of
//! fields, statuses apart from the rest, deletion with finalizers and owners. No schemas and no admission: those are tested
//! against a real API server.
//!
//! | file | what |
//! | --- | --- |
//! | `objects.rs` | the objects and what may happen to them |
//! | `apply.rs` | server-side apply and merge patches |
//! | `http.rs` | requests → objects → answers |

mod apply;
mod http;
mod objects;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kube::{Client, Resource, core::ApiResource};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::watch;

use self::objects::{Key, Objects};

/// An API server that holds its objects in memory. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct FakeApi {
    state: Arc<Mutex<State>>,
    /// The newest resource version, for watches to wait on, and how often watches were cut.
    news: watch::Sender<(u64, u64)>,
}

#[derive(Debug, Default)]
struct State {
    objects: Objects,
    calls: Vec<Call>,
    faults: Vec<Fault>,
    down: bool,
    /// Documents that are no objects, by their path.
    documents: BTreeMap<String, Value>,
    /// Watches that begin before this version are told that it is too old.
    oldest_watch: u64,
}

/// A request that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Only metadata was asked for.
    pub(crate) metadata_only: bool,
}

impl Call {
    /// Whether it could change something.
    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

/// A refusal that somebody else than the rules below decides.
#[derive(Clone, Debug)]
struct Fault {
    method: String,
    path: String,
    query: String,
    code: u16,
    reason: String,
    /// How many are let through before.
    skip: usize,
    times: usize,
    /// It is done all the same: only the answer says otherwise.
    is_done: bool,
}

impl FakeApi {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), news: watch::channel((0, 0)).0 }
    }

    /// A client of this server.
    pub(crate) fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request| {
            let api = api.clone();
            async move { api.answer(request).await }
        });
        Client::new(service, "default")
    }

    /// Creates an object or replaces it, as a user does; its status too, if it has one.
    pub(crate) fn put<K>(&self, object: &K) -> K
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
    {
        let mut value = serde_json::to_value(object).unwrap();
        value["apiVersion"] = K::api_version(&()).into();
        value["kind"] = K::kind(&()).into();
        let key = key::<K>(object.meta().namespace.as_deref(), object.meta().name.as_deref().unwrap());
        self.put_value(key, value)
    }

    /// As [`put`](Self::put), for objects that our types cannot read.
    pub(crate) fn put_unchecked<K: Resource<DynamicType = ()>>(&self, value: Value) {
        let text = |field: &str| value["metadata"][field].as_str().map(str::to_owned);
        let key = key::<K>(text("namespace").as_deref(), &text("name").unwrap());
        self.put_value::<Value>(key, value);
    }

    /// As [`put_unchecked`](Self::put_unchecked), of a kind that is known only now.
    pub(crate) fn put_dynamic(&self, resource: &ApiResource, value: Value) {
        let text = |field: &str| value["metadata"][field].as_str().map(str::to_owned);
        let key = dynamic_key(resource, text("namespace").as_deref(), &text("name").unwrap());
        self.put_value::<Value>(key, value);
    }

    pub(crate) fn get_dynamic(&self, resource: &ApiResource, namespace: &str, name: &str) -> Option<Value> {
        self.lock().objects.get(&dynamic_key(resource, Some(namespace), name)).cloned()
    }

    pub(crate) fn delete_dynamic(&self, resource: &ApiResource, namespace: Option<&str>, name: &str) {
        let key = dynamic_key(resource, namespace, name);
        self.change(|objects| objects.delete(&key));
    }

    /// How many there are of a kind.
    pub(crate) fn count(&self, resource: &ApiResource) -> usize {
        self.lock().objects.of_kind(&resource.group, &resource.plural).count()
    }

    fn put_value<T: DeserializeOwned>(&self, key: Key, value: Value) -> T {
        let stored = self.change(|objects| objects.put(&key, value));
        serde_json::from_value(stored).unwrap()
    }

    /// An object as it is now.
    pub(crate) fn get<K>(&self, namespace: Option<&str>, name: &str) -> Option<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let found = self.lock().objects.get(&key::<K>(namespace, name)).cloned()?;
        Some(serde_json::from_value(found).unwrap())
    }

    /// All objects of a kind, by namespace and name.
    pub(crate) fn all<K: Resource<DynamicType = ()> + DeserializeOwned>(&self) -> Vec<K> {
        let kind = key::<K>(None, "");
        let state = self.lock();
        let found = state.objects.of_kind(&kind.group, &kind.plural);
        found.map(|(_, value)| serde_json::from_value(value.clone()).unwrap()).collect()
    }

    /// Deletes an object, as a user does; finalizers and dependents count.
    pub(crate) fn delete<K: Resource<DynamicType = ()>>(&self, namespace: Option<&str>, name: &str) {
        let key = key::<K>(namespace, name);
        self.change(|objects| objects.delete(&key));
    }

    /// Answers this where it is asked for a path that is no object's.
    pub(crate) fn publish(&self, path: &str, document: Value) {
        self.lock().documents.insert(path.to_owned(), document);
    }

    /// What was asked so far, the oldest first.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// What was asked so far and could change something.
    pub(crate) fn writes(&self) -> Vec<Call> {
        self.lock().calls.iter().filter(|call| call.is_write()).cloned().collect()
    }

    /// How many requests whose path ends so asked for metadata alone.
    pub(crate) fn metadata_calls(&self, path: &str) -> usize {
        self.lock().calls.iter().filter(|call| call.metadata_only && call.path.ends_with(path)).count()
    }

    pub(crate) fn forget_calls(&self) {
        self.lock().calls.clear();
    }

    /// Refuses the next `times` requests with this method (`*`: any) whose path holds `path`.
    pub(crate) fn refuse(&self, method: &str, path: &str, code: u16, reason: &str, times: usize) {
        self.refuse_query(method, path, "", code, reason, times);
    }

    /// Refuses nothing more that a test has it refuse.
    pub(crate) fn relent(&self) {
        self.lock().faults.clear();
    }

    /// Lets `skip` such requests through and refuses the one after them, which is done all the same if `is_done` says so.
    pub(crate) fn refuse_after(&self, method: &str, path: &str, skip: usize, code: u16, is_done: bool) {
        self.lock().faults.push(Fault {
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            code,
            reason: "Timeout".to_owned(),
            skip,
            times: 1,
            is_done,
        });
    }

    /// The same, of those whose query holds `query`.
    pub(crate) fn refuse_query(
        &self,
        method: &str,
        path: &str,
        query: &str,
        code: u16,
        reason: &str,
        times: usize,
    ) {
        self.lock().faults.push(Fault {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            code,
            reason: reason.to_owned(),
            skip: 0,
            times,
            is_done: false,
        });
    }

    /// As if it were stopped: connections break, and there are no new ones.
    pub(crate) fn stop(&self) {
        self.lock().down = true;
        self.cut_watches();
    }

    /// As if it were started again, with its objects.
    pub(crate) fn start(&self) {
        self.lock().down = false;
    }

    /// Ends all watches; they can be resumed where they were.
    pub(crate) fn cut_watches(&self) {
        self.news.send_modify(|(_, cuts)| *cuts += 1);
    }

    /// Ends all watches, and nobody can resume where they were.
    pub(crate) fn expire_watches(&self) {
        {
            let mut state = self.lock();
            state.oldest_watch = state.objects.version() + 1;
            // The next list gets a version that is not too old.
            state.objects.skip_version();
        }
        self.cut_watches();
    }

    fn change<T>(&self, change: impl FnOnce(&mut Objects) -> T) -> T {
        let (changed, version) = {
            let mut state = self.lock();
            (change(&mut state.objects), state.objects.version())
        };
        self.news.send_modify(|(newest, _)| *newest = version);
        changed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key<K: Resource<DynamicType = ()>>(namespace: Option<&str>, name: &str) -> Key {
    Key {
        group: K::group(&()).into_owned(),
        plural: K::plural(&()).into_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    }
}

fn dynamic_key(resource: &ApiResource, namespace: Option<&str>, name: &str) -> Key {
    Key {
        group: resource.group.clone(),
        plural: resource.plural.clone(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    }
}
