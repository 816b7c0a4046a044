//! In which form a client wants an answer: `?format=` says, else the header Accept (RFC 9110 §12.5.1).

use http::{HeaderMap, header::ACCEPT};

use super::{error::RestError, parameters::Parameters};

/// One form of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer<T> {
    /// As `?format=` has it.
    pub(super) name: &'static str,
    /// Without parameters.
    pub(super) media_type: &'static str,
    pub(super) form: T,
}

/// The form that is asked for; the first where nothing is asked for.
///
/// # Errors
/// [`RestError::Malformed`] for a format that is not offered, [`RestError::NotAcceptable`] for a header that none will do for.
pub(super) fn choose<T: Copy>(
    parameters: &mut Parameters,
    headers: &HeaderMap,
    offers: &[Offer<T>],
) -> Result<T, RestError> {
    let names: Vec<&str> = offers.iter().map(|offer| offer.name).collect();
    let named = parameters.take_with("format", &format!("one of {}", names.join(", ")), |text| {
        offers.iter().find(|offer| offer.name == text)
    })?;
    let found = named.or_else(|| accepted(headers, offers));
    found.map(|offer| offer.form).ok_or_else(|| {
        let types: Vec<&str> = offers.iter().map(|offer| offer.media_type).collect();
        RestError::NotAcceptable(format!("the answer is given as {}", types.join(", ")))
    })
}

/// That with the greatest weight; of several the one that is offered first.
fn accepted<'a, T>(headers: &HeaderMap, offers: &'a [Offer<T>]) -> Option<&'a Offer<T>> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<(&str, u16)> = values.flat_map(|value| value.split(',')).filter_map(range).collect();
    if !headers.contains_key(ACCEPT) {
        return offers.first();
    }
    let weighed = offers.iter().map(|offer| (offer, weight(offer.media_type, &ranges)));
    let (best, _) = weighed.rev().max_by_key(|(_, weight)| *weight).filter(|(_, weight)| *weight > 0)?;
    Some(best)
}

/// A media range, and its weight in thousandths; none where it is nothing of the kind.
fn range(text: &str) -> Option<(&str, u16)> {
    let (range, parameters) = text.split_once(';').unwrap_or((text, ""));
    let weight =
        parameters.split(';').filter_map(|parameter| parameter.split_once('=')).find_map(|(name, value)| {
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().ok())
        });
    let weight = match weight {
        Some(value) => value.filter(|weight| (0.0..=1.0).contains(weight))?,
        None => 1.0,
    };
    // At most 1000, and not negative.
    Some((range.trim(), (weight * 1000.0) as u16))
}

/// Of the most specific range that holds it; 0 where none does.
fn weight(media_type: &str, ranges: &[(&str, u16)]) -> u16 {
    let kind = media_type.split_once('/').map_or("", |(kind, _)| kind);
    let specific = |range: &str| {
        if range.eq_ignore_ascii_case(media_type) {
            Some(3)
        } else if range.split_once('/').is_some_and(|(of, any)| any == "*" && of.eq_ignore_ascii_case(kind)) {
            Some(2)
        } else {
            (range == "*/*").then_some(1)
        }
    };
    let matching = ranges.iter().filter_map(|(range, weight)| Some((specific(range)?, *weight)));
    matching.max().map_or(0, |(_, weight)| weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERS: [Offer<u8>; 2] = [
        Offer { name: "json", media_type: "application/json", form: 1 },
        Offer { name: "csv", media_type: "text/csv", form: 2 },
    ];

    fn chosen(query: &str, accept: &[&str]) -> Result<u8, RestError> {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        choose(&mut Parameters::of(Some(query)).unwrap(), &headers, &OFFERS)
    }

    #[test]
    fn the_parameter_says_and_else_the_header_and_else_the_first_is_given() {
        for (query, accept, expected) in [
            ("", &[][..], 1),
            ("format=csv", &["application/json"], 2),
            ("format=json", &["image/png"], 1),
            ("", &["text/csv"], 2),
            ("", &["TEXT/CSV; header=present"], 2),
            ("", &["*/*"], 1),
            ("", &["text/*"], 2),
            ("", &["image/png, */*;q=0.1"], 1),
            ("", &["application/json;q=0.5, text/csv"], 2),
            ("", &["application/json;q=0.5", "text/csv;q=0.4"], 1),
            ("", &["*/*, application/json;q=0"], 2),
            ("", &["text/csv, application/json"], 1),
        ] {
            assert_eq!(chosen(query, accept).unwrap(), expected, "{query} {accept:?}");
        }
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        for query in ["format=", "format=xml", "format=CSV"] {
            assert!(matches!(chosen(query, &[]), Err(RestError::Malformed(_))), "{query}");
        }
        for accept in
            ["image/png", "text/csv;q=0", "text/csv;q=2", "application/*;q=0, text/html", "", "json"]
        {
            assert!(matches!(chosen("", &[accept]), Err(RestError::NotAcceptable(_))), "{accept}");
        }
    }
}
