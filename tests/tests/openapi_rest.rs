//! The document that the server hands out over REST, held against the server by programs that know nothing but the document.
//!
//! schemathesis makes requests of it, good and bad; openapi-python-client makes a client of it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use chancery_tests::openssl::{self, CsrOptions};
use chancery_tests::program::{declared_absent, find, output, printed};
use chancery_tests::rest::{Client, text};
use chancery_tests::{Endpoint, Resources, Scene, Workspace, zlint};
use serde_json::json;

/// Somebody who may do everything, whom the example does not have.
const EVERYTHING: &str = "
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentCredential
metadata: {name: everything, namespace: pki}
spec:
  methodRef: {name: rest}
  rest: {actions: [request, read, revoke, approve, report, credentials]}
  owner: {group: testers}
";

const NAME: &str = "www.example.internal";

/// What answers are held against, and that requests which the document forbids are refused. Not `positive_data_acceptance`: whether
/// a name, a certificate request or a state will do is judged by profiles and rows, which no schema can say.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
    response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,allow_header_conformance";

/// A server on `examples/rest`, and the document as it serves it.
struct Served {
    scene: Scene,
    endpoint: Endpoint,
    document: PathBuf,
}

impl Served {
    fn new() -> Result<Self> {
        let workspace = Workspace::new()?;
        let resources = Resources::example(workspace.path(), "rest")?;
        resources.write("06-everything.yaml", EVERYTHING)?;
        // Where nobody answers: what is looked at is found nowhere.
        resources.replace(
            "04-method.yaml",
            "validation:",
            "validation:\n        resolvers: ['127.0.0.1:1']",
        )?;
        let scene = Scene::start(workspace, resources)?;
        let endpoint = scene.rest("pki/rest")?;
        let stranger = Client::new(&endpoint, "pki/desk")?.with_key("");
        let document = stranger.request("GET", "/openapi.json").send()?.expect(200)?;
        let document = scene.workspace.write("openapi.json", document.body)?;
        Ok(Self { scene, endpoint, document })
    }

    fn client(&self, credential: &str) -> Result<Client> {
        Client::new(&self.endpoint, credential)
    }

    fn url(&self) -> Result<String> {
        Ok(format!("https://{}/api/v1", self.endpoint.authority()?))
    }

    /// Runs schemathesis on all operations: no example is kept from one run for the next, and each run makes the same ones.
    fn judged(&self, configuration: &str) -> Result<()> {
        let configuration = self.scene.workspace.write("schemathesis.toml", configuration)?;
        let mut judge = Command::new(find("schemathesis")?);
        judge.arg("--config-file").arg(configuration).arg("run").arg(&self.document);
        judge.args(["--url", &self.url()?, "--checks", CHECKS, "--phases", "examples,coverage,fuzzing"]);
        judge.args(["--max-examples", "30", "--seed", "1", "--generation-database", "none"]);
        judge.args(["--continue-on-failure", "--no-color"]).arg("--tls-verify").arg(&self.endpoint.ca);
        let key = self.client("pki/everything")?;
        judge.args(["--header", &format!("Authorization: Bearer {}", key.key())]);
        let answer = output(judge.current_dir(self.scene.workspace.path()), None)?;
        let said = printed(&answer);
        ensure!(answer.status.success(), "schemathesis found:\n{said}");
        // It does not fail where it tried nothing.
        let operations = said.contains("Selected: ") && said.contains(" passed");
        ensure!(operations, "schemathesis tried nothing:\n{said}");
        Ok(())
    }
}

#[test]
fn nothing_that_the_document_allows_or_forbids_makes_the_server_say_what_it_does_not_describe() -> Result<()>
{
    if declared_absent("schemathesis")? {
        return Ok(());
    }
    Served::new()?.judged("")
}

#[test]
fn neither_does_it_on_orders_certificates_requests_and_credentials_that_there_are() -> Result<()> {
    if declared_absent("schemathesis")? {
        return Ok(());
    }
    let served = Served::new()?;
    let client = served.client("pki/everything")?;
    let waiting = client.post("/orders", &json!({"domains": ["a.example.internal"]}), 201)?;
    let issued = client.post("/certificates", &json!({"domains": ["b.example.internal"]}), 201)?;
    // Nobody decides on what they asked for themselves.
    let reviewed = json!({"product": "reviewed", "domains": ["a.example.org"], "serverKey": true});
    let asked = served.client("pki/pipeline")?.post("/orders", &reviewed, 201)?;
    let credential = json!({"name": "somebody", "owner": "user:somebody", "actions": ["read"]});
    let credential = client.post("/credentials", &credential, 201)?;
    let proved = json!({"product": "proved", "domains": ["a.example.net", "b.example.net"]});
    let proved = client.post("/orders", &proved, 201)?;
    let challenge = ", \"path.place\" = \"0\", \"path.type\" = \"http-01\"";
    let known = [
        ("/orders/.id./key", "", text(&issued, "/order/id")?, ""),
        ("/orders/.id./csr", "", text(&waiting, "/id")?, ""),
        ("/orders/.id.$", "DELETE", text(&waiting, "/id")?, ""),
        ("/orders/.id.$", "GET", text(&proved, "/id")?, ""),
        ("/orders/.id./authorizations", "", text(&proved, "/id")?, challenge),
        ("/certificates/.id.", "", text(&issued, "/certificate/id")?, ""),
        ("/requests/.id.", "", text(&asked, "/requestId")?, ""),
        ("/credentials/.id.", "", text(&credential, "/credential/id")?, ""),
    ];
    let configuration = known.map(|(path, method, id, more)| {
        let method =
            if method.is_empty() { String::new() } else { format!("include-method = \"{method}\"\n") };
        let parameters = format!("parameters = {{ \"path.id\" = \"{id}\"{more} }}\n");
        format!("[[operations]]\ninclude-path-regex = \"^{path}\"\n{method}{parameters}")
    });
    served.judged(&configuration.concat())?;
    // That it came so far.
    let proved = client.get(&format!("/orders/{}", text(&proved, "/id")?))?;
    let challenge = text(&proved, "/authorizations/0/challenges/0/status")?;
    ensure!(challenge != "pending", "nobody said that a challenge can be looked at: {proved}");
    Ok(())
}

#[test]
fn a_client_that_is_generated_from_the_document_gets_certificates() -> Result<()> {
    if declared_absent("openapi-python-client")? {
        return Ok(());
    }
    let served = Served::new()?;
    let folder = served.scene.workspace.path();
    let generator =
        served.scene.workspace.write("generator.yaml", include_str!("openapi_rest/generator.yaml"))?;
    let mut generate = Command::new(find("openapi-python-client")?);
    generate.args([
        "generate",
        "--meta",
        "none",
        "--fail-on-warning",
        "--output-path",
        "generated",
        "--path",
    ]);
    generate.arg(&served.document).arg("--config").arg(generator).current_dir(folder);
    let answer = output(&mut generate, None)?;
    ensure!(answer.status.success(), "no client can be generated:\n{}", printed(&answer));

    let script = served.scene.workspace.write("client.py", include_str!("openapi_rest/client.py"))?;
    let names = format!("subjectAltName=DNS:{NAME}");
    let csr =
        CsrOptions::new(&format!("/CN={NAME}")).extensions(&[&names]).make(&served.scene.workspace, "own")?;
    let mut python = Command::new(find("openapi-python")?);
    python.arg(script).arg(served.url()?).arg(&served.endpoint.ca);
    python.arg(served.endpoint.access_key_file("pki/pipeline")?).arg(&csr.pem).arg(folder);
    let answer = output(python.current_dir(folder), None)?;
    ensure!(answer.status.success(), "the generated client failed:\n{}", printed(&answer));

    let ordered = served.scene.workspace.file("ordered.pem");
    let mut authorities = std::fs::read(&ordered)?;
    authorities.extend(std::fs::read(&served.endpoint.ca)?);
    let authorities = served.scene.workspace.write("authorities.pem", authorities)?;
    served.scene.judge(&ordered, &csr, &authorities)?;
    let issued = served.scene.workspace.file("issued.pem");
    openssl::verify(&served.scene.workspace, &issued, &authorities)?;
    zlint::lint(&issued)?;
    let (locked, key) =
        (served.scene.workspace.file("issued.key"), served.scene.workspace.file("opened.key"));
    let (locked, opened) = (locked.display().to_string(), key.display().to_string());
    openssl::openssl(&["pkey", "-in", &locked, "-passin", "pass:correct horse", "-out", &opened], None)?;
    ensure!(openssl::is_for_key(&issued, &key)?, "the key is another certificate's");
    Ok(())
}
