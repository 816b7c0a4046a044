//! Whole renderings, as people read them. `CHANCERY_GENERATE=1 cargo test -p chancery-operator golden` writes the files.

use std::{env, fs, path::PathBuf};

use serde_json::Value;

use super::{FULL, PLAIN, Standing, rendered, yaml};

#[test]
fn golden_renderings_are_as_committed() {
    let cases = [
        ("sqlite.yaml", PLAIN),
        ("postgres.yaml", FULL),
        (
            "bare.yaml",
            "
tls: {secretRef: {name: tls}}
replicas: 0
networkPolicy: {state: Disabled}
podDisruptionBudget: {state: Disabled}
storage: {sqlite: {size: 20Gi, storageClassName: fast, accessMode: ReadWriteOnce}}
",
        ),
    ];
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/workload/tests/golden");
    for (file, spec) in cases {
        let rendering = rendered(spec, &Standing::default());
        assert_eq!(rendering.problems, [], "{file}");
        let documents: Vec<&Value> = rendering.objects.iter().map(|object| object.value()).collect();
        let text = yaml(&documents);
        let path = folder.join(file);
        if env::var_os("CHANCERY_GENERATE").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{file} is stale: see the head of this file\n{text}");
    }
}
