//! The pattern language of profiles, the same for every kind of name.
//!
//! `*` stands for one or more characters other than `.`, `/`, `@` and `:`; `**` for one or more of any; all else
//! stands for itself. So `*.acme.com` allows `www.acme.com` and neither `a.b.acme.com` nor `acme.com`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One parsed pattern. At most 253 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// `*`
    Segment,
    /// `**`
    Any,
}

/// Whether upper and lower case differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Sensitive,
    /// DNS names, e-mail domains (RFC 4343, RFC 5280 §7).
    Insensitive,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("a pattern cannot be empty")]
    Empty,
    #[error("a pattern is at most 253 characters long")]
    TooLong,
    #[error("\"{0}\": at most two * may stand side by side")]
    TooManyStars(String),
}

const MAX_LENGTH: usize = 253;

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.chars().count() > MAX_LENGTH {
            return Err(PatternError::TooLong);
        }
        if text.contains("***") {
            return Err(PatternError::TooManyStars(text.into()));
        }
        let mut tokens = Vec::with_capacity(text.len());
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            tokens.push(match character {
                '*' if characters.next_if_eq(&'*').is_some() => Token::Any,
                '*' => Token::Segment,
                other => Token::Literal(other),
            });
        }
        Ok(Self { text: text.into(), tokens })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern covers the whole value. Time is bounded by pattern length × value length, whatever
    /// an attacker writes into either.
    pub fn matches(&self, value: &str, case: Case) -> bool {
        // states[i]: the first i tokens may have consumed the value so far, the last of them at least once.
        let mut states = vec![false; self.tokens.len() + 1];
        if let Some(start) = states.first_mut() {
            *start = true;
        }
        let mut next = vec![false; states.len()];
        for character in value.chars() {
            next.fill(false);
            for (index, token) in self.tokens.iter().enumerate() {
                let (before, after) = (at(&states, index), at(&states, index + 1));
                let reached = match token {
                    Token::Literal(literal) => before && same(*literal, character, case),
                    Token::Segment => (before || after) && !is_separator(character),
                    Token::Any => before || after,
                };
                if let (true, Some(slot)) = (reached, next.get_mut(index + 1)) {
                    *slot = true;
                }
            }
            std::mem::swap(&mut states, &mut next);
        }
        states.last().copied().unwrap_or(false)
    }
}

fn at(states: &[bool], index: usize) -> bool {
    states.get(index).copied().unwrap_or(false)
}

fn is_separator(character: char) -> bool {
    matches!(character, '.' | '/' | '@' | ':')
}

fn same(pattern: char, value: char, case: Case) -> bool {
    match case {
        Case::Sensitive => pattern == value,
        Case::Insensitive => pattern.eq_ignore_ascii_case(&value),
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(pattern: &str, value: &str) {
        assert!(
            Pattern::parse(pattern).unwrap().matches(value, Case::Insensitive),
            "{pattern} should allow {value}"
        );
    }

    fn rejects(pattern: &str, value: &str) {
        assert!(
            !Pattern::parse(pattern).unwrap().matches(value, Case::Insensitive),
            "{pattern} should refuse {value}"
        );
    }

    #[test]
    fn a_star_stays_within_one_label() {
        accepts("*.acme.com", "www.acme.com");
        accepts("*.acme.com", "WWW.ACME.COM");
        rejects("*.acme.com", "acme.com");
        rejects("*.acme.com", ".acme.com");
        rejects("*.acme.com", "a.b.acme.com");
        rejects("*.acme.com", "www.acme.com.evil.org");
        rejects("*.acme.com", "evil.org/.acme.com");
        rejects("*@acme.com", "ann@evil.org@acme.com");
        accepts("spiffe://td/ns/*/sa/*", "spiffe://td/ns/a/sa/b");
        rejects("spiffe://td/ns/*/sa/*", "spiffe://td/ns/a/x/sa/b");
        accepts("sensor-*", "sensor-17");
        rejects("sensor-*", "sensor-");
    }

    #[test]
    fn two_stars_cross_labels() {
        accepts("**.acme.com", "a.b.acme.com");
        rejects("**.acme.com", "acme.com");
        accepts("**", "anything: at/all");
        rejects("**", "");
    }

    #[test]
    fn a_pattern_without_stars_is_the_value_itself() {
        accepts("device-1", "DEVICE-1");
        rejects("device-1", "device-10");
        assert!(!Pattern::parse("A").unwrap().matches("a", Case::Sensitive));
    }

    #[test]
    fn bad_patterns_are_refused() {
        assert_eq!(Pattern::parse(""), Err(PatternError::Empty));
        assert_eq!(Pattern::parse("a***"), Err(PatternError::TooManyStars("a***".into())));
        assert_eq!(Pattern::parse(&"a".repeat(254)), Err(PatternError::TooLong));
    }

    proptest! {
        #[test]
        fn a_literal_matches_only_itself(value in "[a-z.]{1,40}", other in "[a-z.]{1,40}") {
            let pattern = Pattern::parse(&value).unwrap();
            prop_assert!(pattern.matches(&value, Case::Sensitive));
            prop_assert_eq!(pattern.matches(&other, Case::Sensitive), value == other);
        }

        #[test]
        fn matching_agrees_with_a_regular_expression_by_hand(prefix in "[a-z]{0,5}", middle in ".{0,20}", suffix in "[a-z]{0,5}") {
            let pattern = Pattern::parse(&format!("{prefix}*{suffix}")).unwrap();
            let value = format!("{prefix}{middle}{suffix}");
            let expected = value.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(&suffix))
                .is_some_and(|run| !run.is_empty() && !run.contains(['.', '/', '@', ':']));
            prop_assert_eq!(pattern.matches(&value, Case::Sensitive), expected);
        }
    }
}
