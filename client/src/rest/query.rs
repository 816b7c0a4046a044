//! The query of a request.

use std::fmt::{Display, Write as _};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// RFC 3986 §2.3: unreserved characters stay.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Parameters, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(String);

impl Query {
    /// One more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        let value = value.to_string();
        let mark = if self.0.is_empty() { '?' } else { '&' };
        // Into text; that never fails.
        let _ = write!(self.0, "{mark}{}={}", escaped(name), escaped(&value));
        self
    }

    /// One more, if there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With the question mark; empty if there is no parameter.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// One part of a path, or of a query.
pub(super) fn escaped(text: &str) -> impl Display + '_ {
    utf8_percent_encode(text, RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_ends_it() {
        let query =
            Query::default().with("method", "ns/a&b=c#d").with_some("none", None::<&str>).with("limit", 5);
        assert_eq!(query.as_str(), "?method=ns%2Fa%26b%3Dc%23d&limit=5");
        assert_eq!(Query::default().as_str(), "");
        assert_eq!(escaped("../a?b").to_string(), "..%2Fa%3Fb");
    }
}
