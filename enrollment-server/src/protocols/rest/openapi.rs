//! The OpenAPI document: made from the operations, once, and what they all answer in common.

use std::{collections::BTreeMap, sync::Arc};

use axum::response::{IntoResponse, Response as HttpResponse};
use bytes::Bytes;
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use utoipa::{
    IntoResponses, Modify, OpenApi, PartialSchema as _,
    openapi::{
        Components, ContentBuilder, HeaderBuilder, Object, ObjectBuilder, Ref, RefOr, Response,
        ResponseBuilder, Schema, Type,
        schema::SchemaType,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

use super::{
    BASE, Traces, audit, certificates, credentials, orders,
    problem::{Fault, PROBLEM_JSON, Problem},
    reports, requests, status,
};
use crate::serving::App;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Chancery",
        description = "Orders and certificates for programs, and the desk for operators. The credential says which enrollment \
            method is asked. Every operation but those of orders is also about the methods that this one administers; with \
            `?method=namespace/name` it is about one of them alone.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/api/v1")),
    components(schemas(Problem, Fault)),
    security(("bearer" = []), ("clientCertificate" = [])),
    modifiers(&Schemes)
)]
struct Api;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An access key of a credential, or a token of a Kubernetes service account."));
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        let certificate = SecurityScheme::MutualTls {
            description: Some(
                "A certificate that an enrollment method takes. Where several do, `?method=namespace/name` says which."
                    .into(),
            ),
            deprecated: None,
            extensions: None,
        };
        components.add_security_scheme("clientCertificate", certificate);
    }
}

/// All operations, and what they are described by.
pub(super) fn described(traces: &Traces<'_>) -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Api::openapi())
        .merge(orders::routes(traces))
        .merge(certificates::routes(traces))
        .merge(requests::routes(traces))
        .merge(credentials::routes(traces))
        .merge(reports::routes(traces))
        .merge(audit::routes(traces))
        .merge(status::routes(traces))
}

/// The document as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Document(Bytes);

impl Document {
    pub(super) fn of(document: &utoipa::openapi::OpenApi) -> Self {
        let mut document = document.clone();
        never_null(&mut document);
        // Of texts, numbers and maps with text for keys: that always succeeds.
        Self(serde_json::to_vec(&document).unwrap_or_default().into())
    }

    pub(super) fn answer(&self) -> HttpResponse {
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        (headers, self.0.clone()).into_response()
    }
}

/// Headers and bodies that may be left out are something where they are there. Derived descriptions say that they may be null.
fn never_null(document: &mut utoipa::openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let parameters = operation.parameters.iter_mut().flatten().filter_map(own);
            let parameters = parameters.filter_map(|parameter| parameter.schema.as_mut());
            let bodies = operation.request_body.iter_mut().filter_map(own);
            let bodies = bodies.flat_map(|body| body.content.values_mut());
            let bodies = bodies.filter_map(own).filter_map(|content| content.schema.as_mut());
            parameters.chain(bodies).for_each(without_null);
        }
    }
}

fn own<T>(one: &mut RefOr<T>) -> Option<&mut T> {
    match one {
        RefOr::T(value) => Some(value),
        RefOr::Ref(_) => None,
    }
}

fn without_null(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::OneOf(any)) => {
            any.items.retain(|one| !matches!(one, RefOr::T(Schema::Object(object)) if is_null(object)));
            if let [only] = &any.items[..] {
                *schema = only.clone();
            }
        }
        RefOr::T(Schema::Object(object)) => {
            if let SchemaType::Array(types) = &mut object.schema_type {
                types.retain(|one| *one != Type::Null);
                if let [only] = &types[..] {
                    object.schema_type = SchemaType::Type(only.clone());
                }
            }
        }
        RefOr::T(_) | RefOr::Ref(_) => {}
    }
}

fn is_null(object: &Object) -> bool {
    object.schema_type == SchemaType::Type(Type::Null)
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident { $($status:literal: $description:literal,)+ })+) => { $(
        $(#[$doc])*
        pub(super) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$(($status, $description),)+].map(problem).into()
            }
        }
    )+ };
}

problems! {
    /// What every operation may answer to whoever asks.
    Problems {
        400: "A parameter or a header cannot be read, or several methods take the credential (`method-required`).",
        401: "No credential, or none that is taken here.",
        403: "The credential lacks the action, or a rule refuses.",
        404: "What is asked about, or the method that `?method=` names, is not there or not the caller's to see.",
        429: "Too many failed attempts from this address.",
        500: "A defect of the server.",
        503: "Nothing can be read or recorded at the moment.",
    }
    /// What an operation with a body may answer beside that.
    BodyProblems {
        408: "The body did not arrive in time.",
        413: "The body is too large.",
        415: "The body does not say that it is JSON.",
        422: "The body is not what the operation asks for; `errors` says where.",
    }
    /// What an operation on one resource may answer beside that.
    MissingProblem {
        404: "There is no such resource, or it is not the caller's to see.",
    }
    /// What an operation may answer that depends on the state of a resource.
    ConflictProblem {
        409: "The resource is not in a state for this, or somebody else changed it.",
    }
    /// What an operation may answer whose object can be had once.
    GoneProblem {
        410: "It was here, and is not any more.",
    }
    /// What an operation may answer that gives files.
    FormProblem {
        406: "It is not given in this form.",
    }
}

fn problem((status, description): (u16, &str)) -> (String, RefOr<Response>) {
    let schema = Some(Ref::from_schema_name("Problem"));
    let mut response = ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, ContentBuilder::new().schema(schema).build());
    let text = |sentence: &str| {
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        HeaderBuilder::new().schema(Some(schema)).description(Some(sentence)).build()
    };
    if status == 401 {
        response = response.header("WWW-Authenticate", text("RFC 6750 §3."));
    }
    if matches!(status, 409 | 429 | 503) {
        let seconds = u64::schema();
        let header =
            HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds, where waiting helps."));
        response = response.header("Retry-After", header.build());
    }
    (status.to_string(), response.build().into())
}

/// For links in answers.
pub(super) fn path(below: &str) -> String {
    format!("{BASE}{below}")
}
