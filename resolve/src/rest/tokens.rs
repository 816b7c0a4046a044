//! Whose tokens are taken, and which keys verify them.

use crds::{JwksSource, RestServiceAccount, ServiceAccountTokens, conditions::Reason};
use issuance::identity::ResourceName;

use super::{actions, jwks};
use crate::{
    compiled_rest::{CompiledAccount, CompiledTokens},
    method::Context,
    resources::{TokenIssuer, is_dns_label, is_dns_subdomain},
    status::{Problem, Problems},
};

const TOKENS: &str = "spec.rest.serviceAccountTokens";
const AUDIENCE: &str = "spec.rest.serviceAccountTokens.audience";
const ACCOUNTS: &str = "spec.rest.serviceAccountTokens.accounts";
const JWKS_SECRET: &str = "spec.rest.serviceAccountTokens.jwksFrom.secretKeyRef";

const LONGEST_AUDIENCE: usize = 256;
const LONGEST_ISSUER: usize = 2048;
const MOST_ACCOUNTS: usize = 64;

/// What is taken, if it can be compiled; what is wrong with it is noted.
pub(super) fn compile(
    context: &Context<'_, '_>,
    given: &ServiceAccountTokens,
    problems: &mut Problems,
) -> Option<CompiledTokens> {
    if !is_printable(&given.audience, LONGEST_AUDIENCE) {
        problems
            .invalid(AUDIENCE, format!("must be 1 to {LONGEST_AUDIENCE} printable characters, no spaces"));
    }
    let accounts = accounts(&given.accounts, problems);
    let issuer = problems.note(issuer(context, given))?;
    Some(CompiledTokens {
        issuer: issuer.issuer,
        audience: given.audience.clone(),
        jwks: issuer.jwks,
        accounts,
    })
}

/// Who makes the tokens, and the keys that they use, in the form that is compiled.
fn issuer(context: &Context<'_, '_>, given: &ServiceAccountTokens) -> Result<TokenIssuer, Problem> {
    match (&given.issuer, &given.jwks_from) {
        (Some(issuer), Some(source)) => {
            if !is_printable(issuer, LONGEST_ISSUER) {
                return Err(Problem::invalid(
                    format!("{TOKENS}.issuer"),
                    format!("must be 1 to {LONGEST_ISSUER} printable characters, no spaces"),
                ));
            }
            Ok(TokenIssuer { issuer: issuer.clone(), jwks: given_jwks(context, source)? })
        }
        (None, None) => of_cluster(context, given),
        (Some(_), None) | (None, Some(_)) => {
            Err(Problem::invalid(TOKENS, "give issuer and jwksFrom together, or neither of them"))
        }
    }
}

fn of_cluster(context: &Context<'_, '_>, given: &ServiceAccountTokens) -> Result<TokenIssuer, Problem> {
    let Some(cluster) = context.index.cluster else {
        return Err(Problem::invalid(
            format!("{TOKENS}.issuer"),
            "is needed, with jwksFrom: without a cluster there is none whose tokens could be meant",
        ));
    };
    let unknown = |why: &str| {
        let what =
            format!("the issuer of the cluster and its keys cannot be read from the API server: {why}");
        Problem::new(Reason::Unknown, TOKENS, what)
    };
    let TokenIssuer { issuer, jwks } = cluster.tokens.as_ref().map_err(|why| unknown(why))?;
    // A usual API server takes what is for its issuer: whoever is sent such a token could use it there.
    if given.audience == *issuer {
        return Err(Problem::invalid(
            AUDIENCE,
            format!("{issuer} is the API server itself: ask for tokens of an audience of your own"),
        ));
    }
    let jwks =
        jwks::normalized(jwks.as_bytes()).map_err(|error| unknown(&format!("what it answers {error}")))?;
    Ok(TokenIssuer { issuer: issuer.clone(), jwks })
}

fn given_jwks(context: &Context<'_, '_>, source: &JwksSource) -> Result<String, Problem> {
    let reference = &source.secret_key_ref;
    let secret = ResourceName::new(context.name.namespace(), &reference.name);
    let key = reference.key.as_deref().unwrap_or(JwksSource::DEFAULT_KEY);
    let refuse = |what: &str| {
        Problem::new(Reason::SecretInvalid, JWKS_SECRET, format!("the Secret {secret}: {key} {what}"))
    };
    let text = context.index.secret_value(JWKS_SECRET, &secret, key)?.ok_or_else(|| refuse("is missing"))?;
    jwks::normalized(text).map_err(|error| refuse(&error.to_string()))
}

fn accounts(given: &[RestServiceAccount], problems: &mut Problems) -> Vec<CompiledAccount> {
    if given.is_empty() || given.len() > MOST_ACCOUNTS {
        problems.invalid(ACCOUNTS, format!("give 1 to {MOST_ACCOUNTS}"));
    }
    let mut compiled: Vec<CompiledAccount> = Vec::with_capacity(given.len());
    for (index, account) in given.iter().enumerate() {
        let RestServiceAccount { namespace, name, actions: allowed } = account;
        let path = format!("{ACCOUNTS}[{index}]");
        if !is_dns_label(namespace) {
            problems
                .invalid(format!("{path}.namespace"), format!("{namespace:?} is not a name of a namespace"));
        }
        if !is_dns_subdomain(name) {
            problems.invalid(format!("{path}.name"), format!("{name:?} is not a name of a service account"));
        }
        if compiled.iter().any(|earlier| earlier.namespace == *namespace && earlier.name == *name) {
            problems.invalid(&path, format!("{namespace}/{name} is there twice"));
        }
        let actions = actions(&format!("{path}.actions"), allowed, problems);
        compiled.push(CompiledAccount { namespace: namespace.clone(), name: name.clone(), actions });
    }
    let key = |account: &CompiledAccount| (account.namespace.clone(), account.name.clone());
    compiled.sort_by_key(key);
    compiled
}

fn is_printable(text: &str, longest: usize) -> bool {
    !text.is_empty() && text.len() <= longest && text.bytes().all(|byte| byte.is_ascii_graphic())
}
