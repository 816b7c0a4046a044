//! Subjects as text ([RFC 4514](https://www.rfc-editor.org/rfc/rfc4514)), the way certificates show them.

use pki::{
    der_io::{DerError, Reader, parse_all, tag},
    name::{Attribute, AttributeType, Name},
};

/// In octets, as it is sent and as it is shown.
const LONGEST: usize = 1024;

/// The name that the text stands for.
///
/// # Errors
/// A sentence that says what is wrong.
pub(super) fn parse(text: &str) -> Result<Name, String> {
    if text.is_empty() || text.len() > LONGEST {
        return Err(format!("1 to {LONGEST} octets are expected"));
    }
    let mut attributes = split(text)?.iter().map(|part| attribute(part)).collect::<Result<Vec<_>, _>>()?;
    // RFC 4514 §2.1: the last comes first.
    attributes.reverse();
    let name = Name::from_attributes(&attributes).map_err(|error| error.to_string())?;
    // It can grow: what was not escaped, and need not be, is shown escaped.
    if name.to_string().len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} octets where it is shown"));
    }
    Ok(name)
}

/// At commas that are not escaped.
fn split(text: &str) -> Result<Vec<String>, String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for character in text.chars() {
        match character {
            ',' if !escaped => {
                parts.push(String::new());
                continue;
            }
            '+' if !escaped => return Err("one attribute is expected in each part, without \"+\"".into()),
            ';' | '"' | '<' | '>' | '\0' if !escaped => {
                return Err(format!("\"{}\" must be escaped", character.escape_debug()));
            }
            _ => {}
        }
        escaped = character == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    Ok(parts)
}

fn attribute(part: &str) -> Result<Attribute, String> {
    // People write a space after the comma.
    let part = part.trim_start_matches(' ');
    let (kind, value) = part.split_once('=').ok_or("type=value is expected in each part")?;
    let kind: AttributeType = kind.parse().map_err(|_| "a part has an unknown type of attribute")?;
    let value = match (value.strip_prefix('#'), is_named(kind)) {
        (None, true) => unescape(value)?,
        (Some(digits), false) => {
            encoded(digits).ok_or("a UTF8String in hexadecimal is expected after \"#\"")?
        }
        (Some(_), true) => return Err("values in hexadecimal are taken of types without a name only".into()),
        // RFC 4514 §2.4: after a dotted type there is nothing else.
        (None, false) => return Err("a type without a name is expected with a value in hexadecimal".into()),
    };
    Ok(Attribute { kind, value })
}

fn is_named(kind: AttributeType) -> bool {
    !matches!(kind, AttributeType::Other(_))
}

/// The text of a value that is given as its encoding, in hexadecimal.
fn encoded(digits: &str) -> Option<String> {
    let der = hex::decode(digits).ok()?;
    let utf8 = |reader: &mut Reader<'_>| Ok::<_, DerError>(reader.value(tag::UTF8_STRING)?.to_vec());
    String::from_utf8(parse_all(&der, utf8).ok()?).ok()
}

/// RFC 4514 §2.4: a special character, or two hexadecimal digits for one octet of UTF-8.
fn unescape(value: &str) -> Result<String, String> {
    const SPECIAL: &str = "\"+,;<>\\ #=";
    let dangling = "a backslash stands before nothing that it could escape";
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            octets.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let first = rest.next().ok_or(dangling)?;
        if SPECIAL.contains(first) {
            octets.extend(first.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let second = rest.next().ok_or(dangling)?;
        let digits = first.to_digit(16).zip(second.to_digit(16));
        let octet = digits.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()).ok_or(dangling)?;
        octets.push(octet);
    }
    String::from_utf8(octets).map_err(|_| "an escaped value is not UTF-8".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_as_it_is_shown() {
        for text in [
            "CN=printer",
            "CN=a\\, b\\+c\\\"\\<\\>\\;\\\\,OU=one,O=Example,C=DE",
            "CN=\\ x\\ ,O=\\#1",
            "UID=ann,DC=acme,DC=example",
            "emailAddress=a@b.example,CN=ä",
            "1.3.6.1.4.1.99999.1=#0c03c3a461,CN=a",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("commonName=a, o=b").unwrap().to_string(), "CN=a,O=b");
        assert_eq!(parse("CN=L\\C4\\8Di\\C4\\87").unwrap().to_string(), "CN=Lčić");
    }

    /// The property that is fuzzed.
    #[test]
    fn what_is_taken_can_be_ordered_again_as_it_is_shown() {
        for (text, shown) in [
            ("1.2.3.4=#0C0161, CN=a", "1.2.3.4=#0c0161,CN=a"),
            ("2.5.4.46=a,2.5.4.3=b", "dnQualifier=a,CN=b"),
            ("CN=  a ", "CN=\\  a\\ "),
        ] {
            let name = parse(text).unwrap();
            assert_eq!((name.to_string().as_str(), parse(shown)), (shown, Ok(name)));
        }
    }

    #[test]
    fn what_is_no_subject_is_refused() {
        for text in [
            "",
            "printer",
            "CN=",
            "CN",
            "CN=a,",
            ",CN=a",
            "CN=a+O=b",
            "CN=a;O=b",
            "CN=\"a\"",
            "CN=#0c0161",
            "CN=a\\",
            "CN=a\\z",
            "CN=a\\0",
            "CN=\\ff",
            "CN=\\00",
            "XX=a",
            "C=Germany",
            "1.2.3.4=a",
            "1.2.3.4=",
            "1.2.3.4=#",
            "1.2.3.4=#0c",
            "1.2.3.4=#0c0",
            "1.2.3.4=#0c00",
            "1.2.3.4=#0c0100",
            "1.2.3.4=#0c01ff",
            "1.2.3.4=#0c016100",
            "1.2.3.4=#130161",
            "1.2.3.4=#\\0c",
            &format!("CN={}", "a".repeat(65)),
            &format!("CN={}", "a".repeat(2000)),
            // Escaped, or by its name, it could not be ordered again.
            &["OU= a"; 170].join(","),
            &["2.5.4.46=a"; 93].join(","),
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
