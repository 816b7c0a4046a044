//! What a request asks for.

use pki::{csr::UnverifiedCsr, extension::Extension, name::Name};

use super::{description::Description, extensions, key};

/// One whose signature does not verify is described too: that is why somebody looks at it.
pub(super) fn describe(request: UnverifiedCsr) -> Description {
    let keyless = request.clone().into_keyless();
    match request.verify() {
        Ok(verified) => {
            let mut said = begin(verified.subject());
            key::members(&mut said, verified.public_key());
            end(
                said,
                verified.requested_extensions(),
                verified.challenge_password().is_some(),
                "verifies".into(),
            )
        }
        Err(error) => {
            let said = begin(keyless.subject());
            let password = keyless.challenge_password().is_some();
            end(said, keyless.requested_extensions(), password, error.to_string())
        }
    }
}

fn begin(subject: &Name) -> Description {
    let mut said = Description::of("CertificateRequest");
    said.text("subject", subject);
    said
}

fn end(mut said: Description, asked: &[Extension], password: bool, signature: String) -> Description {
    extensions::describe(&mut said, asked);
    // A secret: whether there is one is all that is said.
    said.flag("challengePassword", password);
    said.text("signature", signature);
    said
}
