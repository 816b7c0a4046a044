//! What a server offers, in words: made once for each generation of the configuration, and shown by `status.rs`.

use std::{collections::BTreeMap, sync::Arc};

use issuance::{
    authority::{Authority, IssuingProfile, Method, Office},
    identity::ResourceName,
    store::MethodScope,
};
use resolve::{Compiled, CompiledMethod, MethodSettings};
use serde::Serialize;
use utoipa::ToSchema;

use super::objects::Timestamp;

/// The methods of one generation, by their names.
#[derive(Debug, Default)]
pub struct Overview(BTreeMap<ResourceName, Described>);

/// A method as it is told, and whose lists say whether what it issues is still good.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) method: MethodOverview,
    /// Each once.
    pub(super) signing: Vec<Signing>,
}

/// An authority as it is told.
#[derive(Debug)]
pub(super) struct Signing {
    pub(super) shown: AuthorityOverview,
    pub(super) authority: Arc<Authority>,
}

/// A method, where clients find it, and what it issues by.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MethodOverview {
    /// As `namespace/name`.
    pub(super) name: String,
    /// Such as `est`, `acme` or `rest`.
    pub(super) protocol: String,
    /// Of EST what its operations are appended to, of ACME the directories; none where the server was not told by what name it is
    /// called.
    pub(super) urls: Vec<String>,
    /// The one that counts where nothing is chosen is the first.
    pub(super) profiles: Vec<ProfileOverview>,
}

/// What a certificate of the method can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProfileOverview {
    /// What orders choose it by: the product of REST, the profile of ACME. Absent where there is nothing to choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    description: Option<String>,
    /// The CertificateProfile, as `namespace/name`.
    profile: String,
    /// Who signs, as `namespace/name`; absent where certificates sign themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    authority: Option<String>,
}

/// An authority that signs for a method.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthorityOverview {
    /// As `namespace/name`.
    pub(super) name: String,
    /// RFC 4514.
    pub(super) subject: String,
    /// When its certificate ends.
    pub(super) not_after: Timestamp,
}

/// A profile, and what clients choose it by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) description: Option<&'a str>,
    pub(super) profile: &'a IssuingProfile,
}

impl Overview {
    /// Of all methods that are in force. `base`: what their URLs begin with; none: nobody has said.
    pub(crate) fn of(compiled: &Compiled, office: &Office, base: Option<&str>) -> Self {
        let mut overview = Self::default();
        for method in &compiled.methods {
            let Some(in_force) = office.methods.get(&method.name) else { continue };
            let paths = method.paths(&compiled.server);
            let urls =
                base.into_iter().flat_map(|base| paths.iter().map(move |path| format!("{base}{path}")));
            overview.add(in_force, urls.collect(), choices(method, office));
        }
        overview
    }

    /// One more method.
    pub(super) fn add<'a>(
        &mut self,
        method: &Method,
        urls: Vec<String>,
        choices: impl IntoIterator<Item = Choice<'a>>,
    ) {
        let (mut profiles, mut signing) = (Vec::new(), BTreeMap::new());
        for Choice { name, description, profile } in choices {
            profiles.push(ProfileOverview {
                name: name.map(str::to_owned),
                description: description.filter(|text| !text.is_empty()).map(str::to_owned),
                profile: profile.policy.name.to_string(),
                authority: profile.authority.as_ref().map(|authority| authority.name.to_string()),
            });
            signing.extend(profile.authority.iter().map(|authority| (&authority.name, authority)));
        }
        let told = |authority: &Arc<Authority>| Signing {
            shown: AuthorityOverview::from(&**authority),
            authority: authority.clone(),
        };
        let signing = signing.into_values().map(told).collect();
        let (name, protocol) = (method.name.to_string(), method.protocol.to_string());
        let shown = MethodOverview { name, protocol, urls, profiles };
        self.0.insert(method.name.clone(), Described { method: shown, signing });
    }

    /// Those that somebody may see.
    pub(super) fn within(&self, scope: &MethodScope) -> impl Iterator<Item = (&ResourceName, &Described)> {
        self.0.iter().filter(|(name, _)| scope.contains(name))
    }
}

impl From<&Authority> for AuthorityOverview {
    fn from(authority: &Authority) -> Self {
        Self {
            name: authority.name.to_string(),
            subject: authority.certificate.subject().to_string(),
            not_after: authority.certificate.not_after().into(),
        }
    }
}

/// The profiles of a method that are in force, its own first.
fn choices<'a>(method: &'a CompiledMethod, office: &'a Office) -> Vec<Choice<'a>> {
    let own = (None, None, &method.profile);
    let listed: Vec<_> = match &method.settings {
        MethodSettings::Acme(acme) => {
            let listed = acme.profiles.iter();
            listed.map(|one| (Some(&*one.name), Some(&*one.description), &one.profile)).collect()
        }
        MethodSettings::Rest(rest) => {
            let listed = rest.products.iter();
            listed.map(|one| (Some(&*one.name), Some(&*one.description), &one.profile)).collect()
        }
        MethodSettings::Est(_) | MethodSettings::Issuer(_) => Vec::new(),
    };
    // The method's own is listed where there is something to choose.
    let mut all = if listed.is_empty() { vec![own] } else { listed };
    all.sort_by_key(|(_, _, profile)| *profile != &method.profile);
    let in_force = |(name, description, profile)| {
        let profile = office.profiles.get(profile)?;
        Some(Choice { name, description, profile })
    };
    all.into_iter().filter_map(in_force).collect()
}
