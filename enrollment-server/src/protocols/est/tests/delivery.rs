//! openssl opens what serverkeygen hands over.

use std::{path::Path, process::Command};

use pki::{certificate::Certificate, key_package::asymmetric_keys, pem};
use tempfile::TempDir;

/// Files for openssl, removed at the end.
pub(super) struct Desk(TempDir);

impl Desk {
    pub(super) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(super) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.0.path().join(name), contents).unwrap();
    }

    fn openssl(&self, arguments: &[&str]) -> Vec<u8> {
        let answer = self.run(arguments);
        assert!(
            answer.status.success(),
            "openssl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&answer.stderr)
        );
        answer.stdout
    }

    fn run(&self, arguments: &[&str]) -> std::process::Output {
        Command::new("openssl").args(arguments).current_dir(self.path()).output().unwrap()
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The key in the message (RFC 7030 §4.4.2: AsymmetricKeyPackage in SignedData in EnvelopedData), opened with these
    /// options of `openssl cms -decrypt`, and its signature checked up to `root`. Gives PKCS #8.
    pub(super) fn open(&self, enveloped: &[u8], options: &[&str], root: &[u8]) -> Vec<u8> {
        self.write("key.p7m", enveloped);
        self.write("root.pem", pem::encode("CERTIFICATE", root));
        let decrypt = ["cms", "-decrypt", "-binary", "-inform", "DER", "-in", "key.p7m", "-out", "signed"];
        self.openssl(&[&decrypt, options].concat());
        // What comes out is a SignedData without ContentInfo (RFC 5652 §6.1); openssl reads ContentInfo only.
        let signed = std::fs::read(self.path().join("signed")).unwrap();
        let info = pki::der_io::encode(|writer| {
            writer.sequence(|info| {
                info.oid(&pki::cms::SIGNED_DATA);
                info.nested(0xa0, |explicit| explicit.raw(&signed));
            });
        });
        self.write("signed.p7s", info);
        let verify = ["cms", "-verify", "-binary", "-inform", "DER", "-in", "signed.p7s", "-out", "package"];
        self.openssl(&[&verify[..], &["-CAfile", "root.pem", "-purpose", "any"]].concat());
        let package = std::fs::read(self.path().join("package")).unwrap();
        let keys = asymmetric_keys(&package).unwrap();
        assert_eq!(keys.len(), 1);
        keys[0].to_vec()
    }

    /// Whether openssl gets anything out of the message with these options that is a signed key.
    pub(super) fn opens(&self, enveloped: &[u8], options: &[&str]) -> bool {
        self.write("key.p7m", enveloped);
        let decrypt = ["cms", "-decrypt", "-binary", "-inform", "DER", "-in", "key.p7m", "-out", "tried"];
        // Without MMA protection: an unlucky RSA key gives garbage and a status of 0 (RFC 3218 §2.3.2).
        self.run(&[&decrypt, options].concat()).status.success()
            && std::fs::read(self.path().join("tried")).is_ok_and(|octets| octets.starts_with(&[0x30]))
    }

    /// Asserts that openssl reads the key and finds it to be the certificate's.
    #[track_caller]
    pub(super) fn assert_pair(&self, pkcs8: &[u8], certificate: &[u8]) {
        self.write("made.der", pkcs8);
        self.openssl(&["pkey", "-inform", "DER", "-in", "made.der", "-check", "-noout"]);
        let public =
            self.openssl(&["pkey", "-inform", "DER", "-in", "made.der", "-pubout", "-outform", "DER"]);
        let certificate = Certificate::from_der(certificate).unwrap();
        assert_eq!(public, certificate.public_key().spki_der());
    }
}
