//! An order over REST that is taken survives being written and read again, and a certificate in one call is the same order.
//! Subjects, names and the members of a credential read as they are shown. What is refused is refused without the texts
//! that are in it, one of which may be a passphrase.
#![no_main]

#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the files are the server's own, and not all of it is needed here"
)]
#[path = "../../enrollment-server/src/protocols"]
mod protocols {
    pub mod rest {
        pub mod body {
            pub mod parse;
            pub(in crate::protocols::rest) use parse::{Hidden, Unreadable, parse, present};
        }

        pub mod objects {
            pub mod timestamp;
            pub(in crate::protocols::rest) use timestamp::Timestamp;
        }

        pub mod orders {
            pub mod sent;
            pub mod subject;

            use super::{body::parse, quiet};
            pub(in crate::protocols::rest) use sent::{
                KeyFormat, KeyRequest, OrderRequest, RenewalRequest, present_renewal,
            };

            pub fn check(data: &[u8], text: &str) {
                quiet::<OrderRequest>(data);
                quiet::<KeyRequest>(data);
                if let Ok(order) = parse::<OrderRequest>(data) {
                    let written = serde_json::to_vec(&order).unwrap();
                    assert_eq!(parse(&written), Ok(order.clone()));
                    if order.server_key.is_none() {
                        let server_key = order.csr.is_none().then_some(true);
                        let in_one_call = super::certificates::issue::order(data);
                        assert_eq!(in_one_call, Some(OrderRequest { server_key, ..order }));
                    }
                }
                if let Ok(name) = subject::parse(text) {
                    assert_eq!(subject::parse(&name.to_string()), Ok(name));
                }
                if let Some(name) = sent::general_name(text) {
                    let shown = name.to_string();
                    let (_, shown) = shown.split_once(':').unwrap();
                    assert_eq!(sent::general_name(shown), Some(name));
                }
            }
        }

        pub mod certificates {
            pub mod issue {
                pub mod sent;

                use sent::IssueRequest;

                use super::super::{body::parse, orders::OrderRequest, quiet};

                /// The order that a certificate in one call is.
                pub(in crate::protocols::rest) fn order(data: &[u8]) -> Option<OrderRequest> {
                    parse::<IssueRequest>(data).ok().map(IssueRequest::order)
                }

                pub fn check(data: &[u8]) {
                    quiet::<IssueRequest>(data);
                    quiet::<sent::RenewRequest>(data);
                }
            }
        }

        pub mod texts;

        pub mod credentials {
            pub mod members;

            pub mod wanted {
                pub mod sent;

                use sent::CredentialWanted;

                use super::{
                    super::{
                        body::parse,
                        quiet,
                        texts::{CredentialName, OwnerText},
                    },
                    members::{Identifiers, MethodName},
                };

                pub fn check(data: &[u8]) {
                    quiet::<CredentialWanted>(data);
                    let Ok(wanted) = parse::<CredentialWanted>(data) else { return };
                    assert_eq!(CredentialName::parse(wanted.name.as_str()), Some(wanted.name));
                    assert_eq!(OwnerText::parse(&wanted.owner.0.to_string()), Some(wanted.owner));
                    if let Some(MethodName(method)) = wanted.method {
                        assert_eq!(method.to_string().parse(), Ok(method));
                    }
                    if let Some(Identifiers(names)) = wanted.identifiers {
                        let written = serde_json::to_value(&names).unwrap();
                        let again: Identifiers = serde_json::from_value(written).unwrap();
                        assert_eq!(again, Identifiers(names));
                    }
                }
            }
        }

        use pki::json::parse_unique;
        use serde::de::DeserializeOwned;
        use serde_json::Value;

        use self::body::{Unreadable, parse};

        const MARK: char = '\u{2603}';

        /// Refused or not: with another text in the place of each.
        fn quiet<T: DeserializeOwned>(data: &[u8]) {
            let Ok(mut value) = parse_unique(data) else { return };
            mark(&mut value);
            match parse::<T>(value.to_string().as_bytes()) {
                Err(Unreadable::Invalid { detail, .. }) => assert!(!detail.contains(MARK), "{detail}"),
                // The names of members have been read once.
                Err(Unreadable::NotJson(sentence)) => panic!("{sentence}"),
                Ok(_) => {}
            }
        }

        fn mark(value: &mut Value) {
            match value {
                Value::String(text) => *text = MARK.to_string(),
                Value::Array(values) => values.iter_mut().for_each(mark),
                Value::Object(members) => members.values_mut().for_each(mark),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
    }
}

use libfuzzer_sys::fuzz_target;
use protocols::rest::{certificates::issue, credentials::wanted, orders};

fuzz_target!(|data: &[u8]| {
    orders::check(data, &String::from_utf8_lossy(data));
    issue::check(data);
    wanted::check(data);
});
