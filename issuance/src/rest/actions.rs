//! What a credential may do over REST.

use serde::{Deserialize, Serialize};

/// One thing that it may do, with the rows of its own method alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RestAction {
    /// Order certificates, and cancel orders.
    Request,
    /// Read orders and certificates.
    Read,
    /// Revoke, hold and release certificates.
    Revoke,
    /// Decide on requests.
    Approve,
    /// Reports and the audit trail.
    Report,
    /// Make, regenerate and revoke credentials.
    Credentials,
}

impl RestAction {
    pub const ALL: [RestAction; 6] =
        [Self::Request, Self::Read, Self::Revoke, Self::Approve, Self::Report, Self::Credentials];

    /// The spelling of resources and of refusals.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Read => "read",
            Self::Revoke => "revoke",
            Self::Approve => "approve",
            Self::Report => "report",
            Self::Credentials => "credentials",
        }
    }
}

/// A set of actions; a list of their names in JSON. Empty for credentials of other protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<RestAction>", into = "Vec<RestAction>")]
pub struct RestActions(u8);

impl RestActions {
    pub fn contains(self, action: RestAction) -> bool {
        self.0 & bit(action) != 0
    }

    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether all of these are among the others: nobody gives away more than they have.
    pub fn is_within(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    /// In the order of [`RestAction::ALL`].
    pub fn iter(self) -> impl Iterator<Item = RestAction> {
        RestAction::ALL.into_iter().filter(move |action| self.contains(*action))
    }
}

impl FromIterator<RestAction> for RestActions {
    fn from_iter<I: IntoIterator<Item = RestAction>>(actions: I) -> Self {
        Self(actions.into_iter().fold(0, |bits, action| bits | bit(action)))
    }
}

impl From<Vec<RestAction>> for RestActions {
    fn from(actions: Vec<RestAction>) -> Self {
        actions.into_iter().collect()
    }
}

impl From<RestActions> for Vec<RestAction> {
    fn from(actions: RestActions) -> Self {
        actions.iter().collect()
    }
}

fn bit(action: RestAction) -> u8 {
    match action {
        RestAction::Request => 1,
        RestAction::Read => 2,
        RestAction::Revoke => 4,
        RestAction::Approve => 8,
        RestAction::Report => 16,
        RestAction::Credentials => 32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_into_it_and_survives_json() {
        for (place, action) in RestAction::ALL.into_iter().enumerate() {
            let one = RestActions::from_iter([action, action]);
            assert_eq!(one.iter().collect::<Vec<_>>(), [action]);
            assert_eq!(serde_json::to_value(one).unwrap(), serde_json::json!([action.as_str()]));
            let before: RestActions = RestAction::ALL.into_iter().take(place).collect();
            assert!(!before.contains(action) && !one.is_within(before));
            assert!(before.is_within(RestAction::ALL.into_iter().collect()));
        }
        let all: RestActions = RestAction::ALL.into_iter().collect();
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<RestActions>(&text).unwrap(), all);
        assert!(serde_json::from_str::<RestActions>(r#"["admin"]"#).is_err());
        assert!(
            RestActions::default().is_empty() && RestActions::default().is_within(RestActions::default())
        );
    }
}
