//! A resource of any kind, as one value.

use kube::{Resource as _, core::ObjectMeta};

use crate::{
    CertificateAuthority, CertificateProfile, CertificateRevocation, ChanceryClusterIssuer, ChanceryIssuer,
    EnrollmentCredential, EnrollmentMethod, EnrollmentServer,
};

/// Declares [`Kind`] and [`Resource`] from one list of the kinds.
macro_rules! kinds {
    ($($kind:ident),+ $(,)?) => {
        /// A kind of resource.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = concat!("[`", stringify!($kind), "`](crate::", stringify!($kind), ")")] $kind,)+
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The kind as manifests spell it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind)),+ }
            }
        }

        /// A resource of any kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Resource {
            $(#[doc = concat!("A ", stringify!($kind), ".")] $kind(Box<$kind>),)+
        }

        impl Resource {
            /// Its kind.
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind),+ }
            }

            /// Its metadata.
            pub fn meta(&self) -> &ObjectMeta {
                match self { $(Self::$kind(resource) => resource.meta()),+ }
            }

            /// The document, with `apiVersion` and `kind`.
            pub fn to_value(&self) -> Result<serde_json::Value, serde_json::Error> {
                match self { $(Self::$kind(resource) => serde_json::to_value(resource)),+ }
            }

            /// Reads a document of a known kind. Members that the types do not know are refused within `spec`.
            pub fn from_value(kind: Kind, document: serde_json::Value) -> Result<Self, serde_json::Error> {
                match kind {
                    $(Kind::$kind => serde_json::from_value(document).map(|resource| Self::$kind(Box::new(resource)))),+
                }
            }
        }

        $(
            impl From<$kind> for Resource {
                fn from(resource: $kind) -> Self {
                    Self::$kind(Box::new(resource))
                }
            }
        )+
    };
}

kinds!(
    CertificateAuthority,
    CertificateProfile,
    EnrollmentMethod,
    EnrollmentCredential,
    EnrollmentServer,
    ChanceryIssuer,
    ChanceryClusterIssuer,
    CertificateRevocation,
);

impl Kind {
    /// Whether its objects lie in namespaces.
    pub const fn is_namespaced(self) -> bool {
        match self {
            Self::CertificateAuthority
            | Self::CertificateProfile
            | Self::EnrollmentMethod
            | Self::EnrollmentCredential
            | Self::EnrollmentServer
            | Self::ChanceryIssuer
            | Self::CertificateRevocation => true,
            Self::ChanceryClusterIssuer => false,
        }
    }

    /// Whether it means something only where there is an API server.
    pub const fn needs_cluster(self) -> bool {
        match self {
            Self::ChanceryIssuer | Self::ChanceryClusterIssuer | Self::CertificateRevocation => true,
            Self::CertificateAuthority
            | Self::CertificateProfile
            | Self::EnrollmentMethod
            | Self::EnrollmentCredential
            | Self::EnrollmentServer => false,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownKind(text.chars().take(64).collect()))
    }
}

/// A kind that is not one of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a kind of chancery.dev/v1alpha1")]
pub struct UnknownKind(pub(crate) String);
