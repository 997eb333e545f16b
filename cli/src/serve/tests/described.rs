use std::collections::BTreeSet;

use super::*;

/// Checks that `value` is what `schema` says, and holds nothing that it does not say. Knows the part of JSON Schema that
/// the description uses.
fn check(value: &Value, schema: &Value, all: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default();
        let target = &all["components"]["schemas"][name];
        assert!(target.is_object(), "{at}: no schema {name}");
        return check(value, target, all, at);
    }
    for either in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[either].as_array() {
            let fits =
                |choice: &Value| std::panic::catch_unwind(|| check(value, choice, all, at)).is_ok();
            assert!(
                choices.iter().any(fits),
                "{at}: {value} fits none of {choices:?}"
            );
            return;
        }
    }
    if let Some(constant) = schema.get("const") {
        assert_eq!(value, constant, "{at}");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = types.contains(&found) || (found == "integer" && types.contains(&"number"));
    assert!(fits, "{at}: {value} is {found}, not {types:?}");
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| check(item, &schema["items"], all, at)),
        Value::Object(fields) => check_fields(fields, schema, all, at),
        _ => {}
    }
}

fn check_fields(fields: &serde_json::Map<String, Value>, schema: &Value, all: &Value, at: &str) {
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().expect("a name");
        assert!(fields.contains_key(name), "{at}: {name} is missing");
    }
    let Some(known) = schema["properties"].as_object() else {
        return;
    };
    for (name, value) in fields {
        let schema = known
            .get(name)
            .unwrap_or_else(|| panic!("{at}: {name} is not described"));
        check(value, schema, all, &format!("{at}.{name}"));
    }
}

fn answer_schema<'a>(document: &'a Value, path: &str, method: &str) -> &'a Value {
    &document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
}

#[test]
fn every_address_is_described_and_every_description_has_an_address() {
    let desk = Desk::new();
    let document = desk.get("/api/v1/openapi.json").json(200);
    let described: BTreeSet<&str> = document["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .map(String::as_str)
        .collect();
    let routed: BTreeSet<&str> = routes::api(&Limits::default())
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert_eq!(described, routed);
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let target = path.replace("{passage}", "4000000000");
        for method in ["get", "post", "put", "delete", "patch"] {
            let is_described = methods.get(method).is_some();
            if path == "/api/v1/events" && is_described {
                continue;
            }
            let reply = desk.send(
                &method.to_uppercase(),
                &target,
                "Content-Type: application/json\r\n",
                "{}",
            );
            assert_eq!(
                reply.status != 405,
                is_described,
                "{method} {path}: {}",
                reply.head
            );
            assert!(
                reply.status != 404 || reply.refusal(404) == "gone",
                "{method} {path}"
            );
        }
    }
}

#[test]
fn answers_are_as_described() {
    let desk = Desk::with(Plan {
        encoder: true,
        ..Plan::default()
    });
    let document = desk.get("/api/v1/openapi.json").json(200);
    let passage = desk.passage("heron");
    let view = format!("/api/v1/documents/{passage}");
    let cases = [
        ("/api/v1/search", "/api/v1/search?q=heron".to_owned()),
        (
            "/api/v1/similar",
            format!("/api/v1/similar?passage={passage}"),
        ),
        (
            "/api/v1/explain",
            format!("/api/v1/explain?q=heron&passage={passage}"),
        ),
        ("/api/v1/documents", "/api/v1/documents".to_owned()),
        ("/api/v1/documents/{passage}", format!("{view}?q=heron")),
        (
            "/api/v1/documents/{passage}/markdown",
            format!("{view}/markdown"),
        ),
        ("/api/v1/status", "/api/v1/status".to_owned()),
        ("/v1/models", "/v1/models".to_owned()),
    ];
    for (path, target) in cases {
        let value = desk.get(&target).json(200);
        let schema = answer_schema(&document, path, "get");
        assert!(schema.is_object(), "{path} is not described");
        check(&value, schema, &document, path);
    }
    for body in [
        r#"{"input": "x"}"#,
        r#"{"input": ["x"], "encoding_format": "base64"}"#,
    ] {
        let value = desk.post("/v1/embeddings", body).json(200);
        check(
            &value,
            answer_schema(&document, "/v1/embeddings", "post"),
            &document,
            "embeddings",
        );
    }
    let failed = desk.get("/api/v1/search?limit=0").json(400);
    check(
        &failed,
        &document["components"]["schemas"]["Failed"],
        &document,
        "failed",
    );
}

#[test]
fn every_parameter_described_is_taken() {
    let desk = Desk::new();
    let document = desk.get("/api/v1/openapi.json").json(200);
    let passage = desk.passage("heron");
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let target = path.replace("{passage}", &passage.to_string());
        for parameter in methods["get"]["parameters"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let name = parameter["name"].as_str().expect("a name");
            if parameter["in"] != "query" {
                continue;
            }
            let value = match name {
                "mode" => "bm25".to_owned(),
                "order" => "newest".to_owned(),
                "fusion" => "rrf".to_owned(),
                "after" | "before" => "2000-01-01".to_owned(),
                "passage" => passage.to_string(),
                "fuzzy" => "true".to_owned(),
                "skip" | "limit" | "around" => "1".to_owned(),
                _ => "heron".to_owned(),
            };
            let also = match path.as_str() {
                "/api/v1/similar" | "/api/v1/explain" if name != "passage" => {
                    format!("&passage={passage}")
                }
                _ => String::new(),
            };
            let reply = desk.get(&format!("{target}?{name}={value}{also}"));
            assert_eq!(reply.status, 200, "{path} {name}: {}", reply.body);
        }
    }
}
