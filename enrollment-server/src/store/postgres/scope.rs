//! Of which methods rows are listed: a list of their names, or the namespace before them.

use issuance::store::MethodScope;

use super::columns::can_be_stored;

/// The two parameters of [`among`].
#[derive(Debug, Default)]
pub(super) struct Among {
    pub(super) names: Option<Vec<String>>,
    /// With the `/` that ends it.
    pub(super) namespace: Option<String>,
}

impl Among {
    /// What no column can hold is the name of no method.
    pub(super) fn of(scope: Option<&MethodScope>) -> Self {
        match scope {
            None => Self::default(),
            Some(MethodScope::Methods(methods)) => {
                let names = methods.iter().map(ToString::to_string).filter(|name| can_be_stored(name));
                Self { names: Some(names.collect()), namespace: None }
            }
            Some(MethodScope::Namespace(namespace)) if can_be_stored(namespace) => {
                Self { names: None, namespace: Some(format!("{namespace}/")) }
            }
            Some(MethodScope::Namespace(_)) => Self { names: Some(Vec::new()), namespace: None },
        }
    }
}

/// What holds for the rows of these methods, which is anything where none are given: the column, the parameter with the names, the
/// parameter with the namespace.
macro_rules! among {
    ($column:literal, $names:literal, $namespace:literal) => {
        concat!(
            " AND (",
            $names,
            "::text[] IS NULL OR ",
            $column,
            " = ANY (",
            $names,
            "))",
            " AND (",
            $namespace,
            "::text IS NULL OR starts_with(",
            $column,
            ", ",
            $namespace,
            ")) "
        )
    };
}
pub(super) use among;
