//! The query of a URL: each parameter once, and none that nobody asks for.

use std::str::FromStr;

use super::error::RestError;
use crate::protocols::json::quoted;

/// More are none that any operation has.
const MOST: usize = 32;

/// Parameters that nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// # Errors
    /// [`RestError::Malformed`] where one is there twice, or there are too many.
    pub(super) fn of(query: Option<&str>) -> Result<Self, RestError> {
        let mut all: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if all.iter().any(|(known, _)| *known == name) {
                return Err(malformed(&name, "is there twice"));
            }
            if all.len() == MOST {
                return Err(RestError::Malformed("there are too many parameters".into()));
            }
            all.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(all))
    }

    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// # Errors
    /// [`RestError::Malformed`] where it is not `expected`, which says what it must be.
    pub(super) fn take_parsed<T: FromStr>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, RestError> {
        self.take_with(name, expected, |text| text.parse().ok())
    }

    /// # Errors
    /// As [`Parameters::take_parsed`], where `read` finds nothing.
    pub(super) fn take_with<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, RestError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match read(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(malformed(name, &format!("must be {expected}"))),
        }
    }

    /// All must be taken by now.
    ///
    /// # Errors
    /// [`RestError::Malformed`].
    pub(super) fn finish(self) -> Result<(), RestError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(malformed(name, "is none of this operation")),
        }
    }
}

fn malformed(name: &str, what: &str) -> RestError {
    RestError::Malformed(format!("the parameter \"{}\" {what}", quoted(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(outcome: Result<impl std::fmt::Debug, RestError>) -> String {
        match outcome.unwrap_err() {
            RestError::Malformed(sentence) => sentence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_parameter_that_is_there_twice_or_that_nobody_takes_is_refused() {
        let twice = Parameters::of(Some("limit=1&%6cimit=2"));
        assert_eq!(refusal(twice), "the parameter \"limit\" is there twice");
        let mut parameters = Parameters::of(Some("limit=1&order=up")).unwrap();
        assert_eq!(parameters.take_parsed::<u8>("limit", "a number").unwrap(), Some(1));
        assert_eq!(refusal(parameters.finish()), "the parameter \"order\" is none of this operation");
        let many: String = (0..100).map(|n| format!("p{n}=&")).collect();
        assert_eq!(refusal(Parameters::of(Some(&many))), "there are too many parameters");
    }

    #[test]
    fn a_parameter_is_what_it_must_be() {
        let mut parameters = Parameters::of(Some("limit=all&name=a+b%2Fc")).unwrap();
        let limit = parameters.take_parsed::<u8>("limit", "a number");
        assert_eq!(refusal(limit), "the parameter \"limit\" must be a number");
        assert_eq!(parameters.take("name").as_deref(), Some("a b/c"));
        assert_eq!(parameters.take("name"), None);
        parameters.finish().unwrap();
        Parameters::of(None).unwrap().finish().unwrap();
    }
}
