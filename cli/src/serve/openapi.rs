//! How is the API described to programs?
//!
//! Addresses are listed here; the schemas of what they take and give are made from the handlers' own types.

use axum::Json;
use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::documents::{OpenParams, OpenedJson, RenderedJson};
use super::embeddings::{EmbeddingsJson, EmbeddingsParams, ModelsJson};
use super::error::ErrorJson;
use super::events::LiveJson;
use super::params::{ExplainParams, ListParams, SearchParams, ViewParams};
use super::search::TermsJson;
use super::status::StatusJson;
use crate::answer::{AnswerJson, DocumentJson, DocumentsJson};

/// `GET /api/v1/openapi.json`.
pub async fn get() -> Json<Value> {
    Json(document())
}

/// The API in OpenAPI 3.1.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12();
    let settings = settings.with(|s| s.definitions_path = "/components/schemas".into());
    let mut writer = Writer {
        schemas: settings.into_generator(),
        paths: Map::new(),
    };
    writer.search();
    writer.documents();
    writer.server();
    writer.embeddings();
    let Writer { mut schemas, paths } = writer;
    schemas.subschema_for::<ErrorJson>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "askance",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Search the files on this computer by word and by meaning. Texts of documents are what files say: \
                untrusted content.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    })
}

struct Writer {
    schemas: SchemaGenerator,
    paths: Map<String, Value>,
}

impl Writer {
    fn search(&mut self) {
        let query = self.query::<SearchParams>(&["passage"]);
        let answer = self.answer::<AnswerJson>();
        let summary = "Passages that answer a query, best first";
        self.add("/api/v1/search", "get", summary, query, None, &answer);
        let body = self.body::<SearchParams>();
        self.add(
            "/api/v1/search",
            "post",
            summary,
            Vec::new(),
            Some(body),
            &answer,
        );
        let query = self.query::<SearchParams>(&["q", "fuzzy"]);
        let summary = "Passages of other documents that are like a passage";
        self.add("/api/v1/similar", "get", summary, query, None, &answer);
        let query = self.query::<ExplainParams>(&[]);
        let terms = self.answer::<TermsJson>();
        let summary = "What each word of a query adds to a passage's BM25 score";
        self.add("/api/v1/explain", "get", summary, query, None, &terms);
    }

    fn documents(&mut self) {
        let query = self.query::<ListParams>(&[]);
        let list = self.answer::<DocumentsJson>();
        let summary = "Documents by path, in parts";
        self.add("/api/v1/documents", "get", summary, query, None, &list);
        let mut query = vec![passage()];
        query.extend(self.query::<ViewParams>(&[]));
        let view = self.answer::<DocumentJson>();
        let summary = "A passage in its document, as it was indexed";
        self.add(
            "/api/v1/documents/{passage}",
            "get",
            summary,
            query,
            None,
            &view,
        );
        let rendered = self.answer::<RenderedJson>();
        let summary = "A Markdown document as a tree of harmless elements, if the file is still what was indexed";
        let path = "/api/v1/documents/{passage}/markdown";
        self.add(path, "get", summary, vec![passage()], None, &rendered);
        let body = self.body::<OpenParams>();
        let opened = self.answer::<OpenedJson>();
        let summary = "Open a document, or its folder, on the computer that serves";
        let path = "/api/v1/documents/{passage}/open";
        self.add(path, "post", summary, vec![passage()], Some(body), &opened);
    }

    fn server(&mut self) {
        let status = self.answer::<StatusJson>();
        let summary = "What is served, and how it is";
        self.add("/api/v1/status", "get", summary, Vec::new(), None, &status);
        let live = self.schemas.subschema_for::<LiveJson>();
        let events = json!({"text/event-stream": {"schema": live}});
        let summary =
            "What goes on, at once and whenever it changes: server-sent events of the type live";
        self.add("/api/v1/events", "get", summary, Vec::new(), None, &events);
        let anything = json!({"application/json": {"schema": {"type": "object"}}});
        let summary = "This description";
        self.add(
            "/api/v1/openapi.json",
            "get",
            summary,
            Vec::new(),
            None,
            &anything,
        );
    }

    fn embeddings(&mut self) {
        let body = self.body::<EmbeddingsParams>();
        let embeddings = self.answer::<EmbeddingsJson>();
        let summary = "Vectors of texts, as in OpenAI's API";
        self.add(
            "/v1/embeddings",
            "post",
            summary,
            Vec::new(),
            Some(body),
            &embeddings,
        );
        let models = self.answer::<ModelsJson>();
        let summary = "The encoder that embeddings come from, as in OpenAI's API";
        self.add("/v1/models", "get", summary, Vec::new(), None, &models);
    }

    /// The fields of `T`, less some, as parameters of a query string.
    fn query<T: JsonSchema>(&mut self, less: &[&str]) -> Vec<Value> {
        let schema = self.schemas.root_schema_for::<T>().to_value();
        let fields = schema.get("properties").and_then(Value::as_object);
        let fields = fields.into_iter().flatten();
        fields
            .filter(|(name, _)| !less.contains(&name.as_str()))
            .map(|(name, schema)| parameter(name, schema))
            .collect()
    }

    fn body<T: JsonSchema>(&mut self) -> Value {
        let schema = self.schemas.subschema_for::<T>();
        json!({"required": true, "content": {"application/json": {"schema": schema}}})
    }

    fn answer<T: JsonSchema>(&mut self) -> Value {
        json!({"application/json": {"schema": self.schemas.subschema_for::<T>()}})
    }

    fn add(
        &mut self,
        path: &str,
        method: &str,
        summary: &str,
        parameters: Vec<Value>,
        body: Option<Value>,
        answer: &Value,
    ) {
        let failed =
            json!({"application/json": {"schema": {"$ref": "#/components/schemas/Failed"}}});
        let mut operation = json!({
            "summary": summary,
            "parameters": parameters,
            "responses": {
                "200": {"description": "Done", "content": answer},
                "default": {"description": "Refused or failed", "content": failed},
            },
        });
        if let (Some(body), Some(fields)) = (body, operation.as_object_mut()) {
            fields.insert("requestBody".into(), body);
        }
        let methods = self.paths.entry(path).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(method.into(), operation);
        }
    }
}

fn parameter(name: &str, schema: &Value) -> Value {
    let mut schema = schema.clone();
    let description = schema
        .as_object_mut()
        .and_then(|fields| fields.remove("description"));
    json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema})
}

fn passage() -> Value {
    json!({
        "name": "passage",
        "in": "path",
        "required": true,
        "description": "Name of a passage, as hits give it",
        "schema": {"type": "integer", "minimum": 0, "maximum": u32::MAX},
    })
}
