//! Rows of the authorities' own certificates, which the operator made: the inventory has them then, and where the authority
//! above signs here, they can be revoked here.

use issuance::{Engine, Error, authority::key_identifier};
use pki::certificate::Certificate;
use resolve::{Compiled, CompiledAuthority};

/// # Errors
/// [`Error::Unavailable`] where the store does not answer. A certificate that cannot be read has been reported as a part that
/// failed.
pub(super) async fn adopt(engine: &Engine, compiled: &Compiled) -> Result<(), Error> {
    for authority in &compiled.authorities {
        let Ok(certificate) = Certificate::from_der(&authority.certificate) else { continue };
        let Some((issuer, parent)) = issuer(compiled, authority) else { continue };
        let parent = parent.map(|parent| &parent.name);
        let made =
            engine.adopt_authority(&authority.name, &certificate, key_identifier(&issuer), parent).await?;
        if made {
            tracing::info!(authority = %authority.name, "a new certificate of an authority");
        }
    }
    Ok(())
}

/// Who signed it: itself, or an authority of this server. What strangers signed is theirs to revoke.
fn issuer<'a>(
    compiled: &'a Compiled,
    authority: &CompiledAuthority,
) -> Option<(Certificate, Option<&'a CompiledAuthority>)> {
    let Some(above) = authority.chain.get(1) else {
        return Certificate::from_der(&authority.certificate).ok().map(|root| (root, None));
    };
    let parent = compiled.authorities.iter().find(|found| found.certificate == *above)?;
    Certificate::from_der(above).ok().map(|certificate| (certificate, Some(parent)))
}
