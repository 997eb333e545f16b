//! What does a request ask for?

use std::str::FromStr;

use engine::browse::Order;
use engine::request::{Filter, Mode, SearchRequest};
use jiff::Zoned;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Limits;
use super::error::ApiError;
use crate::args::FusionArg;
use crate::date;

/// Parameters that may stand several times, or once with commas.
const LISTS: [&str; 2] = ["path", "type"];
/// Parameters that are numbers or true and false.
const PLAIN: [&str; 5] = ["limit", "skip", "fuzzy", "passage", "around"];

/// Which evidence ranks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Mode")]
pub enum ModeParam {
    /// Words and meaning.
    #[default]
    Hybrid,
    /// Words.
    Bm25,
    /// Meaning.
    Dense,
}

impl From<ModeParam> for Mode {
    fn from(mode: ModeParam) -> Self {
        match mode {
            ModeParam::Hybrid => Self::Hybrid,
            ModeParam::Bm25 => Self::Bm25,
            ModeParam::Dense => Self::Dense,
        }
    }
}

/// One search.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Search")]
pub struct SearchParams {
    /// Words, "phrases", field:word, +must, -mustnot.
    pub q: String,
    /// By words and meaning together (default), by words, or by meaning.
    pub mode: ModeParam,
    /// How words and meaning are joined: "auto" (default), "rrf", or the weight of meaning from 0 to 1.
    pub fusion: Option<String>,
    /// Hits wanted, 1 to 200; never changes their order. Default 20.
    pub limit: Option<usize>,
    /// Let words match with a letter or two changed.
    pub fuzzy: bool,
    /// Only paths that match any of these globs.
    pub path: Vec<String>,
    /// Only files with any of these extensions.
    #[serde(rename = "type")]
    pub extension: Vec<String>,
    /// Only files modified at or after: a date, an RFC 3339 time, or an age such as 7d.
    pub after: Option<String>,
    /// Only files modified before: the same forms.
    pub before: Option<String>,
    /// More like this passage, in place of `q`; for `/similar`.
    pub passage: Option<u32>,
}

/// How a list of documents is ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Order")]
pub enum OrderParam {
    /// By path.
    #[default]
    Path,
    /// Modified last comes first.
    Newest,
}

/// A part of the list of documents.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "List")]
pub struct ListParams {
    /// By path (default), or the newest first.
    pub order: OrderParam,
    /// Documents to leave out at the start.
    pub skip: usize,
    /// Documents wanted, 1 to 500. Default 100.
    pub limit: Option<usize>,
    /// Only paths that match any of these globs.
    pub path: Vec<String>,
    /// Only files with any of these extensions.
    #[serde(rename = "type")]
    pub extension: Vec<String>,
    /// Only files modified at or after.
    pub after: Option<String>,
    /// Only files modified before.
    pub before: Option<String>,
}

/// A passage in its document.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "View")]
pub struct ViewParams {
    /// Passages wanted on either side, 0 to 200. Default 20.
    pub around: Option<usize>,
    /// What to highlight.
    pub q: String,
    /// Whether words also match with a letter or two changed.
    pub fuzzy: bool,
}

/// One hit of one search.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ExplainOne")]
pub struct ExplainParams {
    /// The query.
    pub q: String,
    /// The hit.
    pub passage: u32,
    /// Whether words also match with a letter or two changed.
    pub fuzzy: bool,
}

/// `pairs` of a query string as the parameters of a request.
///
/// # Errors
/// 400 that names the parameter.
pub fn read<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, ApiError> {
    let mut fields = Map::new();
    for (name, text) in pairs {
        if LISTS.contains(&name.as_str()) {
            let more = text
                .split(',')
                .filter(|part| !part.is_empty())
                .map(Value::from);
            // Only this line makes the entry, and it makes an array.
            if let Value::Array(list) = fields
                .entry(name)
                .or_insert_with(|| Value::Array(Vec::new()))
            {
                list.extend(more);
            }
            continue;
        }
        let value = if PLAIN.contains(&name.as_str()) {
            Value::from_str(&text).unwrap_or(Value::String(text))
        } else {
            Value::String(text)
        };
        if fields.insert(name.clone(), value).is_some() {
            return Err(ApiError::bad(format!("{name} is given twice")));
        }
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| ApiError::bad(error.to_string()))
}

/// A number within `1..=most`, or `default`.
fn count(name: &str, given: Option<usize>, default: usize, most: usize) -> Result<usize, ApiError> {
    match given.unwrap_or(default.min(most)) {
        n if (1..=most).contains(&n) => Ok(n),
        n => Err(ApiError::bad(format!(
            "{name} is {n}; it may be 1 to {most}"
        ))),
    }
}

fn check_query(q: &str, limits: &Limits) -> Result<(), ApiError> {
    let (bytes, most) = (q.len(), limits.query);
    if bytes > most {
        return Err(ApiError::bad(format!(
            "the query has {bytes} bytes; it may have {most}"
        )));
    }
    Ok(())
}

fn moment(name: &str, text: Option<&String>) -> Result<Option<i64>, ApiError> {
    let parsed = text
        .filter(|text| !text.is_empty())
        .map(|text| date::parse(name, text, &Zoned::now()));
    parsed
        .transpose()
        .map_err(|error| ApiError::bad(error.to_string()))
}

fn filter(
    paths: &[String],
    extensions: &[String],
    after: Option<&String>,
    before: Option<&String>,
) -> Result<Filter, ApiError> {
    Ok(Filter {
        paths: paths.to_vec(),
        extensions: extensions.to_vec(),
        after: moment("after", after)?,
        before: moment("before", before)?,
    })
}

impl SearchParams {
    /// What the engine is asked.
    ///
    /// # Errors
    /// 400 that names the parameter.
    pub fn request(&self, limits: &Limits) -> Result<SearchRequest, ApiError> {
        check_query(&self.q, limits)?;
        let fusion = self.fusion.as_deref().unwrap_or("auto");
        let fusion = FusionArg::from_str(fusion);
        let fusion = fusion.map_err(|advice| ApiError::bad(format!("fusion: {advice}")))?;
        Ok(SearchRequest {
            mode: self.mode.into(),
            fusion: fusion.0,
            limit: count("limit", self.limit, 20, limits.hits)?,
            fuzzy: self.fuzzy,
            filter: filter(
                &self.path,
                &self.extension,
                self.after.as_ref(),
                self.before.as_ref(),
            )?,
            ..SearchRequest::new(self.q.clone())
        })
    }
}

impl ListParams {
    /// Filter, order, documents wanted.
    ///
    /// # Errors
    /// 400 that names the parameter.
    pub fn request(&self, limits: &Limits) -> Result<(Filter, Order, usize), ApiError> {
        let (after, before) = (self.after.as_ref(), self.before.as_ref());
        let filter = filter(&self.path, &self.extension, after, before)?;
        let limit = count("limit", self.limit, 100, limits.documents)?;
        let order = match self.order {
            OrderParam::Path => Order::Path,
            OrderParam::Newest => Order::Newest,
        };
        Ok((filter, order, limit))
    }
}

impl ViewParams {
    /// Passages on either side, and the search whose words are highlighted.
    ///
    /// # Errors
    /// 400 that names the parameter.
    pub fn request(&self, limits: &Limits) -> Result<(usize, Option<SearchRequest>), ApiError> {
        check_query(&self.q, limits)?;
        let around = self.around.unwrap_or(20);
        if around > limits.around {
            let most = limits.around;
            return Err(ApiError::bad(format!(
                "around is {around}; it may be 0 to {most}"
            )));
        }
        let request = SearchRequest {
            fuzzy: self.fuzzy,
            ..SearchRequest::new(self.q.clone())
        };
        Ok((around, Some(request).filter(|_| !self.q.trim().is_empty())))
    }
}

impl ExplainParams {
    /// The search that is explained.
    ///
    /// # Errors
    /// 400 that names the parameter.
    pub fn request(&self, limits: &Limits) -> Result<SearchRequest, ApiError> {
        check_query(&self.q, limits)?;
        Ok(SearchRequest {
            fuzzy: self.fuzzy,
            ..SearchRequest::new(self.q.clone())
        })
    }
}
