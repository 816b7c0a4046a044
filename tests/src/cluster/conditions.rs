//! Conditions in a status.

use serde_json::Value;

/// All conditions of an object.
pub fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

/// The condition of this type.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    conditions(object).find(|condition| text(condition, "type") == kind)
}

/// Whether a condition has this status, and this reason if one is given, and speaks of the object as it is now.
pub(super) fn condition_is(object: &Value, kind: &str, status: &str, reason: Option<&str>) -> bool {
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    condition(object, kind).is_some_and(|condition| {
        let observed = condition.get("observedGeneration").and_then(Value::as_i64);
        text(condition, "status") == status
            && reason.is_none_or(|reason| text(condition, "reason") == reason)
            // Kubernetes' own kinds leave it out.
            && observed.is_none_or(|observed| generation.is_none_or(|generation| observed >= generation))
    })
}

/// `Ready=False (Pending): why`, one line each.
pub(super) fn lines(object: &Value) -> Vec<String> {
    let line = |condition: &Value| {
        let [kind, status, reason, message] =
            ["type", "status", "reason", "message"].map(|name| text(condition, name));
        format!("{kind}={status} ({reason}): {message}")
    };
    conditions(object).map(line).collect()
}

fn text<'a>(condition: &'a Value, name: &str) -> &'a str {
    condition.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_condition_of_an_earlier_generation_does_not_count() {
        let object = |observed: i64| {
            json!({"metadata": {"generation": 2}, "status": {"conditions": [
                {"type": "Ready", "status": "True", "reason": "Ready", "observedGeneration": observed}]}})
        };
        assert!(!condition_is(&object(1), "Ready", "True", None));
        assert!(condition_is(&object(2), "Ready", "True", Some("Ready")));
        assert!(!condition_is(&object(2), "Ready", "True", Some("Other")));
        assert!(!condition_is(&object(2), "Ready", "False", None));
        assert!(!condition_is(&object(2), "Programmed", "True", None));
    }

    #[test]
    fn a_condition_without_a_generation_counts() {
        let object = json!({"metadata": {"generation": 2}, "status": {"conditions": [
            {"type": "Ready", "status": "True"}]}});
        assert!(condition_is(&object, "Ready", "True", None));
    }
}
