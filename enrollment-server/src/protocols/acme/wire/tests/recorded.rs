//! What programs sent that we did not write: `fixtures/recorded/acme`, whose README says how it was recorded. All of it is read
//! strictly, and every signature and binding verifies.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::super::{
    base64url,
    json::Object,
    jwk::AccountKey,
    jws::{Request, Signer, Verified},
    objects::{AccountUpdate, AuthorizationUpdate, Finalize, NewAccount, NewOrder, RevokeCert},
};

/// The account of one client, as far as its requests have told.
#[derive(Default)]
struct Account {
    key: Option<AccountKey>,
    url: String,
    binding: Option<(String, Vec<u8>)>,
}

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures", "recorded", "acme"].iter().collect()
}

/// Each client, with its requests in order.
fn recorded() -> BTreeMap<String, (Account, Vec<PathBuf>)> {
    let mut clients = BTreeMap::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let entry = entry.unwrap();
        let files = fs::read_dir(entry.path()).unwrap().map(|file| file.unwrap().path());
        let (bindings, mut requests): (Vec<_>, Vec<_>) =
            files.partition(|path| path.ends_with("binding.json"));
        requests.sort();
        let binding = bindings.first().map(|path| {
            let binding = Object::parse(&fs::read(path).unwrap()).unwrap();
            let hmac = base64url::decode(binding.string("hmac").unwrap(), 64).unwrap();
            (binding.string("kid").unwrap().to_owned(), hmac)
        });
        let account = Account { binding, ..Account::default() };
        clients.insert(entry.file_name().to_string_lossy().into_owned(), (account, requests));
    }
    clients
}

/// `new-order` of `02-new-order.json`.
fn operation(path: &std::path::Path) -> String {
    let name = path.file_stem().unwrap().to_string_lossy();
    name.split_once('-').unwrap().1.to_owned()
}

impl Account {
    /// Reads one request as a server does.
    fn read(&mut self, operation: &str, body: &[u8]) {
        let request = Request::parse(body).unwrap();
        let url = request.url().to_owned();
        let key = match request.signer() {
            Signer::Jwk(key) => key.clone(),
            Signer::Kid(account) => {
                self.url.clone_from(account);
                self.key.clone().unwrap()
            }
        };
        let verified = request.verify(&key).unwrap();
        match operation {
            "new-account" => self.register(&NewAccount::parse(&object(&verified)).unwrap(), &key, &url),
            "key-change" => self.key = Some(verified.key_change(&url, &self.url, &key).unwrap()),
            "acct" if !verified.is_empty() => {
                AccountUpdate::parse(&object(&verified)).unwrap();
            }
            "new-order" => {
                let order = NewOrder::parse(&object(&verified)).unwrap();
                assert!(!order.identifiers.is_empty());
            }
            "finalize" => {
                let csr = Finalize::parse(&object(&verified)).unwrap().csr;
                pki::csr::UnverifiedCsr::from_der(&csr).unwrap().verify().unwrap();
            }
            "authz" if !verified.is_empty() => {
                AuthorizationUpdate::parse(&object(&verified)).unwrap();
            }
            "chall" => object(&verified).only(&[]).unwrap(),
            "revoke-cert" => {
                let revocation = RevokeCert::parse(&object(&verified)).unwrap();
                pki::certificate::Certificate::from_der(&revocation.certificate).unwrap();
                assert!(matches!(revocation.reason, Some(1 | 4)), "{:?}", revocation.reason);
            }
            "acct" | "authz" | "order" | "cert" => verified.post_as_get().unwrap(),
            other => panic!("{other} is no operation"),
        }
    }

    fn register(&mut self, asked: &NewAccount, key: &AccountKey, url: &str) {
        match (&asked.binding, &self.binding) {
            (Some(binding), Some((kid, hmac))) => {
                assert_eq!(binding.kid(), kid);
                binding.verify(hmac, url, key).unwrap();
            }
            (None, Some(_)) => assert!(asked.only_return_existing),
            (binding, None) => assert!(binding.is_none()),
        }
        self.key = Some(key.clone());
    }
}

fn object(verified: &Verified) -> Object {
    verified.object().unwrap()
}

#[test]
fn what_real_clients_sent_is_read_and_verified() {
    let clients = recorded();
    assert_eq!(clients.len(), 7, "{:?}", clients.keys());
    for (client, (mut account, requests)) in clients {
        assert!(!requests.is_empty(), "{client}");
        for path in requests {
            println!("{}", path.display());
            account.read(&operation(&path), &fs::read(&path).unwrap());
        }
    }
}

#[test]
fn a_changed_octet_anywhere_in_what_they_sent_is_noticed() {
    for (client, (_, requests)) in recorded() {
        let body = fs::read(&requests[0]).unwrap();
        let of = |body: &[u8]| match Request::parse(body) {
            Ok(request) => match request.signer().clone() {
                Signer::Jwk(key) => request.verify(&key).is_ok(),
                Signer::Kid(_) => false,
            },
            Err(_) => false,
        };
        assert!(of(&body), "{client}");
        let text = String::from_utf8(body.clone()).unwrap();
        for member in ["protected", "payload", "signature"] {
            let value = text.split_once(&format!("\"{member}\"")).unwrap().1;
            let start = text.len() - value.len() + value.find(|c: char| c.is_ascii_alphanumeric()).unwrap();
            // The middle of a value: its first letters are those of `{"`.
            let at = start + 24;
            let mut changed = body.clone();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(!of(&changed), "{client}: {member}");
        }
    }
}
