//! Of which methods somebody sees the rows.

use super::CertificateRow;
use crate::identity::{Protocol, ResourceName};

/// Methods, by name: they need not be there any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MethodScope {
    /// These and no others; none at all where there are none.
    Methods(Vec<ResourceName>),
    /// All of a namespace.
    Namespace(String),
}

impl MethodScope {
    /// `methods`, each once.
    pub fn of(methods: impl IntoIterator<Item = ResourceName>) -> Self {
        let mut methods: Vec<ResourceName> = methods.into_iter().collect();
        methods.sort();
        methods.dedup();
        Self::Methods(methods)
    }

    pub fn contains(&self, method: &ResourceName) -> bool {
        match self {
            Self::Methods(methods) => methods.contains(method),
            Self::Namespace(namespace) => method.namespace() == namespace,
        }
    }

    /// Whether all that the other holds is held by this one, those methods included that are not there any more.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Methods(methods)) => methods.iter().all(|method| self.contains(method)),
            (Self::Namespace(own), Self::Namespace(namespace)) => own == namespace,
            (Self::Methods(_), Self::Namespace(_)) => false,
        }
    }

    /// Whether one of the methods issued it. The certificates of the server itself and of its authorities are of no method, though
    /// one may be called as they are.
    pub fn issued(&self, row: &CertificateRow) -> bool {
        row.protocol != Protocol::Internal && self.contains(&row.method)
    }
}

impl From<ResourceName> for MethodScope {
    fn from(method: ResourceName) -> Self {
        Self::Methods(vec![method])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_holds_whole_names_and_nothing_beyond_its_namespace() {
        let name = |text: &str| text.parse::<ResourceName>().unwrap();
        let two = MethodScope::of(["pki/est", "pki/acme", "pki/est"].map(name));
        assert_eq!(two, MethodScope::Methods(vec![name("pki/acme"), name("pki/est")]));
        let all = MethodScope::Namespace("pki".into());
        for (method, in_two, in_all) in [
            ("pki/est", true, true),
            ("pki/acme", true, true),
            ("pki/gone", false, true),
            ("pki/es", false, true),
            ("pki/est2", false, true),
            ("pki2/est", false, false),
            ("pki-x/est", false, false),
            ("pk/est", false, false),
        ] {
            assert_eq!(
                (two.contains(&name(method)), all.contains(&name(method))),
                (in_two, in_all),
                "{method}"
            );
        }
        assert!(!MethodScope::of([]).contains(&name("pki/est")));
    }

    #[test]
    fn a_scope_covers_what_it_holds_all_of() {
        let name = |text: &str| text.parse::<ResourceName>().unwrap();
        let (none, one) = (MethodScope::of([]), MethodScope::from(name("pki/est")));
        let two = MethodScope::of(["pki/acme", "pki/est"].map(name));
        let (all, others) = (MethodScope::Namespace("pki".into()), MethodScope::Namespace("pki2".into()));
        let scopes = [&none, &one, &two, &all, &others];
        let covered = scopes.map(|scope| scopes.map(|other| scope.covers(other)));
        assert_eq!(
            covered,
            [
                [true, false, false, false, false],
                [true, true, false, false, false],
                [true, true, true, false, false],
                [true, true, true, true, false],
                [true, false, false, false, true],
            ]
        );
    }
}
