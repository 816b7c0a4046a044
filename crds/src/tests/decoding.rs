//! Whatever fits a schema decodes: a resource that an API server takes and the operator cannot read is one that nobody can be told about.
//!
//! Documents are made from the schemas themselves. The rules only ever refuse more.

use proptest::{
    collection::{btree_map, vec},
    option::weighted,
    prelude::*,
    sample::select,
    string::string_regex,
    test_runner::TestRunner,
};
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::{API_VERSION, Kind, Resource, generate};

const CASES: u32 = 200;

fn value(schema: &Value) -> BoxedStrategy<Value> {
    match schema["type"].as_str().unwrap() {
        "object" => object(schema),
        "array" => {
            let least = usize::try_from(schema["minItems"].as_u64().unwrap_or(0)).unwrap();
            vec(value(&schema["items"]), least..=least + 2).prop_map(Value::from).boxed()
        }
        "string" => text(schema).prop_map(Value::from).boxed(),
        "integer" => {
            // What is beyond is a fraction to an API server.
            let bound =
                |name: &str, without: i64| schema[name].as_f64().map_or(without, |bound| bound as i64);
            let (least, most) = (bound("minimum", i64::MIN), bound("maximum", i64::MAX));
            prop_oneof![Just(least), Just(most), least..=most].prop_map(Value::from).boxed()
        }
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        other => panic!("{other}"),
    }
}

fn object(schema: &Value) -> BoxedStrategy<Value> {
    if schema["additionalProperties"].is_object() {
        let entries = btree_map("[a-z]{1,8}", value(&schema["additionalProperties"]), 0..3);
        return entries.prop_map(|entries| entries.into_iter().collect::<Map<_, _>>().into()).boxed();
    }
    let is_required =
        |name: &String| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let mut members: BoxedStrategy<Map<String, Value>> = Just(Map::new()).boxed();
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let name = name.clone();
        let member = match is_required(&name) {
            true => value(inner).prop_map(Some).boxed(),
            false => weighted(0.4, value(inner)).boxed(),
        };
        members = (members, member)
            .prop_map(move |(mut members, value)| {
                members.extend(value.map(|value| (name.clone(), value)));
                members
            })
            .boxed();
    }
    members.prop_map(Value::from).boxed()
}

fn text(schema: &Value) -> BoxedStrategy<String> {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        return select(words).boxed();
    }
    let pattern = schema["pattern"].as_str();
    if schema["format"] == "date-time" {
        let pattern = Regex::new(pattern.unwrap_or_default()).unwrap();
        return date_time().prop_filter("the pattern", move |text| pattern.is_match(text)).boxed();
    }
    let bound = |name: &str| schema[name].as_u64().and_then(|bound| usize::try_from(bound).ok());
    let (least, most) = (bound("minLength").unwrap_or(0), bound("maxLength").unwrap_or(usize::MAX));
    match pattern {
        None => string_regex(&format!("(?s).{{{least},{}}}", most.min(least + 20))).unwrap().boxed(),
        Some(pattern) => string_regex(pattern.trim_start_matches('^').trim_end_matches('$'))
            .unwrap()
            .prop_filter("the length", move |text| (least..=most).contains(&text.chars().count()))
            .boxed(),
    }
}

/// What an API server takes for a date and time: the date exists, hour, minute and second are in range, and the rest is two digits each.
fn date_time() -> impl Strategy<Value = String> {
    let date = (0_u16..=9999, 1_u8..=12, 1_u8..=28);
    let time = (0_u8..=23, 0_u8..=59, 0_u8..=59, "([.,][0-9]{1,12})?", "([zZ]|[+-][0-9]{2}:[0-9]{2})");
    (date, time).prop_map(|((year, month, day), (hour, minute, second, fraction, zone))| {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}")
    })
}

#[test]
fn whatever_fits_a_schema_decodes() {
    for kind in Kind::ALL {
        let spec = value(&generate::schema(*kind)["properties"]["spec"]);
        let mut runner = TestRunner::new(ProptestConfig {
            cases: CASES,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let outcome = runner.run(&spec, |spec| {
            let metadata = json!({"name": "x", "namespace": "test"});
            let document =
                json!({"apiVersion": API_VERSION, "kind": kind.as_str(), "metadata": metadata, "spec": spec});
            let decoded = Resource::from_value(*kind, document);
            prop_assert!(decoded.is_ok(), "{}", decoded.unwrap_err());
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}
