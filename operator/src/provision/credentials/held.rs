//! What a Secret holds of a credential.

use std::str::FromStr as _;

use issuance::secret::Secret;
use k8s_openapi::{ByteString, api::core::v1, jiff::Timestamp};
use kube::core::ObjectMeta;
use pki::time::Time;
use resolve::{CompiledPrevious, ValueForm};

use super::super::vault::{annotation, bytes, set_annotation};

/// `spec.regeneration` that the value was made for.
const REGENERATION: &str = "chancery.dev/regeneration";

/// How many values came before, by rotation.
const ROTATIONS: &str = "chancery.dev/rotations";

/// When the value was made, RFC 3339.
const CREATED_AT: &str = "chancery.dev/created-at";

/// What the value before lies under, in the form of the value, while it is accepted as well.
const PREVIOUS: &str = "previous";

/// Until when that is, RFC 3339.
const PREVIOUS_UNTIL: &str = "chancery.dev/previous-until";

#[derive(Clone, PartialEq)]
pub(super) struct Held {
    /// None: it was removed.
    pub(super) value: Option<Secret>,
    pub(super) regeneration: u64,
    pub(super) rotations: u64,
    pub(super) created_at: Time,
    pub(super) previous: Option<CompiledPrevious>,
}

/// What a server is given of a credential.
pub(super) struct Given {
    pub(super) value: Secret,
    /// It only grows.
    pub(super) number: u64,
    pub(super) previous: Option<CompiledPrevious>,
}

impl Held {
    /// None where the Secret does not say what it holds.
    pub(super) fn read(secret: &v1::Secret, form: ValueForm) -> Option<Self> {
        let meta = &secret.metadata;
        let number = |key| u64::from_str(annotation(meta, key)?).ok();
        let moment = |key| {
            let moment = Timestamp::from_str(annotation(meta, key)?).ok()?;
            Some(Time::from_unix(moment.as_second()))
        };
        let value = |key| {
            let text = bytes(secret, key).filter(|text| !text.is_empty())?;
            form.read(text).ok()
        };
        let previous = value(PREVIOUS).zip(moment(PREVIOUS_UNTIL));
        Some(Self {
            value: value(form.value_key()),
            regeneration: number(REGENERATION)?,
            rotations: number(ROTATIONS)?,
            created_at: moment(CREATED_AT)?,
            previous: previous.map(|(value, until)| CompiledPrevious { value, until }),
        })
    }

    /// The data of the Secret, beside names.
    pub(super) fn data(&self, form: ValueForm) -> impl Iterator<Item = (String, ByteString)> {
        let previous = self.previous.as_ref().map(|previous| (PREVIOUS, &previous.value));
        let values = self.value.as_ref().map(|value| (form.value_key(), value)).into_iter().chain(previous);
        values.map(move |(key, value)| (key.to_owned(), ByteString(form.write(value).expose().to_vec())))
    }

    pub(super) fn annotate(&self, meta: &mut ObjectMeta) {
        set_annotation(meta, REGENERATION, &self.regeneration.to_string());
        set_annotation(meta, ROTATIONS, &self.rotations.to_string());
        set_annotation(meta, CREATED_AT, &self.created_at.to_string());
        match &self.previous {
            Some(previous) => set_annotation(meta, PREVIOUS_UNTIL, &previous.until.to_string()),
            None => drop(meta.annotations.get_or_insert_default().remove(PREVIOUS_UNTIL)),
        }
    }

    pub(super) fn rotates_at(&self, rotation: Option<u64>) -> Option<Time> {
        Some(self.created_at.plus_seconds(seconds(rotation?)))
    }

    pub(super) fn previous_until(&self) -> Option<Time> {
        self.previous.as_ref().map(|previous| previous.until)
    }

    pub(super) fn given(&self) -> Given {
        Given {
            value: self.value.clone().unwrap_or_else(nothing),
            number: self.regeneration.saturating_add(self.rotations),
            previous: self.previous.clone(),
        }
    }
}

/// As [`Time::plus_seconds`] takes them.
pub(super) fn seconds(duration: u64) -> i64 {
    i64::try_from(duration).unwrap_or(i64::MAX)
}

/// A value that nobody can present: no server takes an empty one, so it opens nothing.
pub(super) fn nothing() -> Secret {
    Secret::new(Vec::new())
}
