//! What methods trust to vouch for programs and devices, ready to verify.

use std::sync::Arc;

use crds::RevocationCheck;
use issuance::{
    Error,
    authn::{self, ClientTrust, TrustMaterial},
    authority::{Authority, Office},
    identity::KeyId,
};
use resolve::CompiledTrust;

/// # Errors
/// [`Error::Internal`] where a compiled part cannot be used: resolving checks them all.
pub(super) fn client_trust(compiled: &CompiledTrust, office: &Office) -> Result<ClientTrust, Error> {
    let of = |name| office.authorities.get(name).map(|authority: &Arc<Authority>| authority.key_id());
    let authorities: Vec<KeyId> = compiled.authorities.iter().filter_map(of).collect();
    let material = TrustMaterial {
        anchors: &compiled.anchors,
        intermediates: &compiled.intermediates,
        crls: &compiled.crls,
        revocation: match compiled.revocation {
            RevocationCheck::IfGiven => authn::RevocationCheck::IfGiven,
            RevocationCheck::Required => authn::RevocationCheck::Required,
        },
        authorities: &authorities,
    };
    ClientTrust::new(&material).map_err(|error| Error::Internal(error.to_string()))
}
