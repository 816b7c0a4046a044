//! Problem documents ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Other;

/// What the server says went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Names the kind of problem; programs decide by it.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The same for all problems of one kind.
    #[serde(default)]
    pub title: String,
    /// The status of the answer.
    #[serde(default)]
    pub status: u16,
    /// What it is this time, in a sentence.
    #[serde(default)]
    pub detail: String,
    /// What is wrong in the body of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// For example `rule`, the field of the profile that refuses.
    #[serde(flatten)]
    pub other: Other,
}

/// One thing that is wrong in the body of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where, as a JSON Pointer (RFC 6901); empty for the whole.
    #[serde(default)]
    pub pointer: String,
    /// What, in a sentence.
    #[serde(default)]
    pub detail: String,
}

impl Problem {
    /// The last part of `type`, for example `action-not-allowed`.
    pub fn name(&self) -> &str {
        self.kind.rsplit('/').next().unwrap_or(&self.kind)
    }
}

/// Title, detail and type; then what is wrong in the body, a line each.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({}, {})", self.title, self.detail, self.status, self.kind)?;
        if self.errors.len() > 1 {
            for fault in &self.errors {
                write!(f, "\n  {}: {}", fault.pointer, fault.detail)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_title_detail_and_type_and_keeps_what_it_does_not_know() {
        let text = r#"{"type":"https://chancery.dev/problems/refused","title":"Refused by a rule","status":403,
            "detail":"subjectAltNames: no","rule":"subjectAltNames"}"#;
        let problem: Problem = serde_json::from_str(text).unwrap();
        assert_eq!(
            problem.to_string(),
            "Refused by a rule: subjectAltNames: no (403, https://chancery.dev/problems/refused)"
        );
        assert_eq!((problem.name(), problem.other["rule"].as_str()), ("refused", Some("subjectAltNames")));
    }

    #[test]
    fn several_faults_have_a_line_each() {
        let fault = |pointer: &str| Fault { pointer: pointer.into(), detail: "is wrong".into() };
        let problem = Problem {
            title: "T".into(),
            detail: "see errors".into(),
            errors: vec![fault("/a"), fault("/b")],
            ..Problem::default()
        };
        assert!(problem.to_string().ends_with("\n  /a: is wrong\n  /b: is wrong"));
    }
}
