//! What resolving says about each resource: conditions, with the reasons that `crds` lists for each kind.

use std::fmt;

use crds::{
    Kind,
    conditions::{ConditionStatus, ConditionType, Reason},
};
use issuance::identity::ResourceName;

/// The conditions of one resource. `Programmed` and `Ready` are what can be said before anything is served; whoever serves
/// says the rest, see [`ResourceStatus::programmed`].
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceStatus {
    pub kind: Kind,
    pub name: ResourceName,
    /// Of the resource this was said about.
    pub generation: Option<i64>,
    /// One of each type of the kind, in the order `crds` lists them.
    pub conditions: Vec<StatusCondition>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusCondition {
    pub condition: ConditionType,
    pub status: ConditionStatus,
    pub reason: Reason,
    /// Sentences that begin with the member they speak of; empty where there is nothing to say.
    pub message: String,
}

impl ResourceStatus {
    /// The condition of this type; a kind has not all of them.
    pub fn condition(&self, condition: ConditionType) -> Option<&StatusCondition> {
        self.conditions.iter().find(|found| found.condition == condition)
    }

    pub fn is_accepted(&self) -> bool {
        self.is_true(ConditionType::Accepted)
    }

    /// Whether a condition of this type is there and true.
    pub fn is_true(&self, condition: ConditionType) -> bool {
        self.condition(condition).is_some_and(|found| found.status == ConditionStatus::True)
    }

    /// The same after the server has taken over what could be taken over: `Programmed` and `Ready` are true where nothing
    /// before them is in the way.
    #[must_use]
    pub fn programmed(mut self) -> Self {
        let issued =
            self.condition(ConditionType::Issued).is_none_or(|found| found.status == ConditionStatus::True);
        if self.is_accepted() && issued {
            self.set(ConditionType::Programmed, ConditionStatus::True, Reason::Programmed, "");
            self.set(ConditionType::Ready, ConditionStatus::True, Reason::Ready, "");
        }
        self
    }

    fn set(&mut self, condition: ConditionType, status: ConditionStatus, reason: Reason, message: &str) {
        if let Some(found) = self.conditions.iter_mut().find(|found| found.condition == condition) {
            *found = StatusCondition { condition, status, reason, message: message.to_owned() };
        }
    }
}

/// One thing that is wrong with a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) reason: Reason,
    /// Begins with the member that is wrong.
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(reason: Reason, path: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { reason, message: format!("{path}: {what}") }
    }

    pub(crate) fn invalid(path: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self::new(Reason::Invalid, path, what)
    }

    /// Whether another object can mend it.
    fn is_about_a_reference(&self) -> bool {
        matches!(
            self.reason,
            Reason::ReferenceNotFound
                | Reason::ReferenceNotPermitted
                | Reason::ReferenceNotAccepted
                | Reason::ReferenceCycle
                | Reason::SecretInvalid
        )
    }
}

/// Everything that is wrong with a resource, in the order found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    found: Vec<Problem>,
    /// Whether the resource was not looked into, so that nothing can be said about its references.
    unread: bool,
}

impl Problems {
    pub(crate) fn push(&mut self, problem: Problem) {
        if !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }

    /// What is wrong with a resource that was not looked into.
    pub(crate) fn unread(problem: Problem) -> Self {
        Self { found: vec![problem], unread: true }
    }

    pub(crate) fn invalid(&mut self, path: impl fmt::Display, what: impl fmt::Display) {
        self.push(Problem::invalid(path, what));
    }

    /// The value, or none where it is a problem, which is noted.
    pub(crate) fn note<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.push(problem)).ok()
    }

    pub(crate) fn extend(&mut self, problem: Option<Problem>) {
        problem.into_iter().for_each(|problem| self.push(problem));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The value where nothing is wrong.
    pub(crate) fn or<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            Some(_) | None => Err(self),
        }
    }

    /// The reason of the first, and all messages.
    fn summary(&self) -> (Reason, String) {
        summary(self.found.iter()).unwrap_or((Reason::Invalid, String::new()))
    }

    /// What can be said about the references of the resource.
    fn resolved_refs(&self) -> StatusCondition {
        let of_references = self.found.iter().filter(|problem| problem.is_about_a_reference());
        let (status, (reason, message)) = match (summary(of_references), self.unread) {
            (Some(found), _) => (ConditionStatus::False, found),
            (None, true) => (ConditionStatus::Unknown, (Reason::Unknown, String::new())),
            (None, false) => (ConditionStatus::True, (Reason::ResolvedRefs, String::new())),
        };
        StatusCondition { condition: ConditionType::ResolvedRefs, status, reason, message }
    }
}

fn summary<'p>(problems: impl Iterator<Item = &'p Problem>) -> Option<(Reason, String)> {
    let mut problems = problems.peekable();
    let reason = problems.peek()?.reason;
    let messages: Vec<&str> = problems.map(|problem| problem.message.as_str()).collect();
    Some((reason, messages.join("; ")))
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { found: vec![problem], unread: false }
    }
}

/// How far the certificate of an authority is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IssuedState {
    pub(crate) status: ConditionStatus,
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

/// The conditions of a resource that is accepted.
pub(crate) fn accepted(
    kind: Kind,
    name: ResourceName,
    generation: Option<i64>,
    issued: Option<IssuedState>,
) -> ResourceStatus {
    let condition = |condition, status, reason, message: &str| StatusCondition {
        condition,
        status,
        reason,
        message: message.to_owned(),
    };
    let mut conditions = vec![
        condition(ConditionType::Accepted, ConditionStatus::True, Reason::Accepted, ""),
        condition(ConditionType::ResolvedRefs, ConditionStatus::True, Reason::ResolvedRefs, ""),
    ];
    let mut not_ready = Reason::NotProgrammed;
    if let Some(IssuedState { status, reason, message }) = issued {
        if status != ConditionStatus::True {
            not_ready = Reason::NotIssued;
        }
        conditions.push(StatusCondition { condition: ConditionType::Issued, status, reason, message });
    }
    conditions.push(condition(ConditionType::Programmed, ConditionStatus::Unknown, Reason::Pending, ""));
    conditions.push(condition(ConditionType::Ready, ConditionStatus::False, not_ready, ""));
    ResourceStatus { kind, name, generation, conditions }
}

/// The conditions of a resource that is not accepted.
pub(crate) fn refused(
    kind: Kind,
    name: ResourceName,
    generation: Option<i64>,
    problems: &Problems,
) -> ResourceStatus {
    let (reason, message) = problems.summary();
    // Nobody knows yet whether anything is wrong with it.
    let is_unknown = reason == Reason::Unknown;
    let status = if is_unknown { ConditionStatus::Unknown } else { ConditionStatus::False };
    let accepted = StatusCondition { condition: ConditionType::Accepted, status, reason, message };
    let refused = |condition| StatusCondition {
        condition,
        status: ConditionStatus::False,
        reason: Reason::NotAccepted,
        message: String::new(),
    };
    let mut conditions = vec![accepted, problems.resolved_refs()];
    if kind == Kind::CertificateAuthority {
        conditions.push(refused(ConditionType::Issued));
    }
    conditions.push(refused(ConditionType::Programmed));
    conditions.push(refused(ConditionType::Ready));
    ResourceStatus { kind, name, generation, conditions }
}
