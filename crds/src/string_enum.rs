//! One macro for every string enum of the API, so that the wire word, the Rust variant and the sentence that explains
//! it are written once and reach the schema, `kubectl explain` and the reference together.

/// Schema member that carries the sentence of each value until [`crate::generate`] folds them into the description
/// (a field's own doc would otherwise replace the enum's, and Kubernetes schemas refuse members they do not know).
pub(crate) const VALUES_MEMBER: &str = "x-chancery-values";

/// Declares an enum that is a string on the wire.
///
/// ```text
/// string_enum! {
///     /// What the enum decides.
///     pub enum Approval {
///         /// One sentence about this value.
///         Automatic = "Automatic",
///     }
/// }
/// ```
macro_rules! string_enum {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $( $(#[doc = $variant_doc:literal])* $variant:ident = $wire:literal, )+
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize,
        )]
        pub enum $name {
            $( $(#[doc = $variant_doc])* #[serde(rename = $wire)] $variant, )+
        }

        impl $name {
            /// Every value, in the order of the declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire),+ }
            }

            /// What the value means, in one sentence or more.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => concat!($($variant_doc),*)),+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                let words: Vec<&str> = Self::ALL.iter().map(|value| value.as_str()).collect();
                let values: Vec<[&str; 2]> =
                    Self::ALL.iter().map(|value| [value.as_str(), value.explanation().trim()]).collect();
                let mut schema = ::schemars::json_schema!({
                    "type": "string",
                    "description": concat!($($doc, "\n"),*).trim(),
                    "enum": words,
                });
                schema.insert($crate::string_enum::VALUES_MEMBER.to_owned(), ::serde_json::json!(values));
                schema
            }
        }
    };
}

pub(crate) use string_enum;
