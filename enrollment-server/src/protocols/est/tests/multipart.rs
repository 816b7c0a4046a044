//! A reader of multipart/mixed (RFC 2046 §5.1) that knows nothing of the writer: whatever RFC 7030 §4.4.2 does not allow
//! fails the test.

use super::scene::{Answer, unfold};

/// One part, its fields in lower case.
pub(super) struct Part {
    fields: Vec<(String, String)>,
    text: String,
}

impl Part {
    pub(super) fn field(&self, name: &str) -> &str {
        let mut matching = self.fields.iter().filter(|(key, _)| key == name);
        let (_, value) = matching.next().unwrap_or_else(|| panic!("no {name} in {:?}", self.fields));
        assert!(matching.next().is_none(), "{name} twice");
        value
    }

    /// What base64 encodes.
    pub(super) fn octets(&self) -> Vec<u8> {
        assert_eq!(self.field("content-transfer-encoding"), "base64");
        unfold(&self.text)
    }
}

/// The parts of an answer.
pub(super) fn parts(answer: &Answer) -> Vec<Part> {
    assert_eq!(answer.status, http::StatusCode::OK, "{}", answer.text());
    let content_type = answer.headers["content-type"].to_str().unwrap();
    let (essence, parameter) = content_type.split_once(';').unwrap();
    assert_eq!(essence.trim(), "multipart/mixed");
    let boundary = parameter.trim().strip_prefix("boundary=").unwrap().trim_matches('"');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    assert!((1..=70).contains(&boundary.len()) && boundary.bytes().all(allowed), "{boundary}");
    let text = answer.text();
    assert!(text.is_ascii(), "base64 parts are 7bit");
    // The first delimiter may stand at the very beginning; the others take the line break before them along.
    let text = format!("\r\n{text}");
    let delimiter = format!("\r\n--{boundary}");
    let (body, epilogue) = text.split_once(&format!("{delimiter}--")).expect("a closing delimiter");
    assert_eq!(epilogue.trim(), "");
    let mut pieces = body.split(&delimiter);
    assert_eq!(pieces.next().unwrap().trim(), "", "a preamble");
    pieces.map(part).collect()
}

fn part(piece: &str) -> Part {
    let piece =
        piece.trim_start_matches([' ', '\t']).strip_prefix("\r\n").expect("the delimiter ends its line");
    let (head, text) = piece.split_once("\r\n\r\n").expect("an empty line after the fields");
    let field = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    Part { fields: head.split("\r\n").map(field).collect(), text: text.to_owned() }
}

/// The key part and the certificate of an answer to serverkeygen, of which there are exactly these two in either order.
pub(super) fn key_and_certificate(answer: &Answer) -> (Part, Vec<u8>) {
    let (certificates, keys): (Vec<Part>, Vec<Part>) =
        parts(answer).into_iter().partition(|part| part.field("content-type").contains("certs-only"));
    let [certificate] = <[Part; 1]>::try_from(certificates).ok().expect("one certificate");
    let [key] = <[Part; 1]>::try_from(keys).ok().expect("one key");
    assert_eq!(certificate.field("content-type"), "application/pkcs7-mime; smime-type=certs-only");
    let bundle = pki::cms::certs_only_certificates(&certificate.octets()).unwrap();
    let [der] = <[Vec<u8>; 1]>::try_from(bundle).expect("only the certificate that was issued");
    (key, der)
}
