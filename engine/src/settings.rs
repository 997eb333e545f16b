//! What does this collection read, and how?
//!
//! `settings.toml` in the collection's folder, written by a person and never by askance. Each setting that is absent has
//! its default, and so has the whole file.
//!
//! ```toml
//! roots = ["/home/me/Documents", "~/notes"]  # what `askance index` and `askance watch` without a path go over
//! ignore = ["*.log", "node_modules/"]        # as in .gitignore, seen from each root
//! hidden = false                             # enter hidden files and folders
//! gitignore = true                           # follow .gitignore and .ignore files
//! max_size = "64M"                           # leave out larger files
//! encoder = "all-MiniLM-L6-v2"               # of a collection that has no vectors yet; "none" for words alone
//! passage_tokens = 256                       # longest passage with its headings, 32 to 512
//! overlap_tokens = 25                        # repeated from the passage before, 0 to a quarter of passage_tokens
//! ```

use std::path::{Path, PathBuf};

use toml::Value;

use crate::ingest::walk::Ignored;
use crate::request::{PassageBudget, ReadOptions};

#[cfg(test)]
mod tests;

/// Name of the file in the collection's folder.
pub const FILE: &str = "settings.toml";

/// Settings there are, as a message names them.
const KNOWN: &str =
    "roots, ignore, hidden, gitignore, max_size, encoder, passage_tokens and overlap_tokens";
/// Longest settings file in bytes.
const LONGEST: u64 = 1 << 20;

/// The settings of a collection; `None` where the file says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The file, whether it is there or not.
    pub path: PathBuf,
    /// Whether it is there.
    pub is_there: bool,
    /// Folders and files of the collection, absolute.
    pub roots: Vec<PathBuf>,
    /// Patterns of what is not read, as in .gitignore.
    pub ignore: Vec<String>,
    /// Enter hidden files and folders.
    pub hidden: Option<bool>,
    /// Follow .gitignore and .ignore files.
    pub gitignore: Option<bool>,
    /// Larger files are left out, bytes.
    pub max_file_bytes: Option<u64>,
    /// Encoder of a collection that has no vectors yet, or "none".
    pub encoder: Option<String>,
    /// How long passages are.
    pub passages: PassageBudget,
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{}, line {line}: {detail}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        detail: String,
    },
    /// A setting has no such value, or there is no such setting.
    #[error("{}: {field}: {detail}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The setting.
        field: String,
        /// What is wrong with it, and what it takes.
        detail: String,
    },
}

impl Settings {
    /// The settings of the collection in `dir`. `~/` in roots stands for `home`.
    ///
    /// # Errors
    /// [`SettingsError`], which names the file and the setting.
    pub fn read(dir: &Path, home: Option<&Path>) -> Result<Self, SettingsError> {
        let path = dir.join(FILE);
        let text = match text_of(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self {
                    path,
                    ..Self::default()
                });
            }
            Err(source) => return Err(SettingsError::Io { path, source }),
        };
        let table = text
            .parse::<toml::Table>()
            .map_err(|error| syntax(&path, &text, &error))?;
        let mut settings = Self {
            path: path.clone(),
            is_there: true,
            ..Self::default()
        };
        for (field, value) in &table {
            settings
                .take(field, value, home)
                .map_err(|detail| SettingsError::Field {
                    path: path.clone(),
                    field: field.clone(),
                    detail,
                })?;
        }
        settings.check()
    }

    fn take(&mut self, field: &str, value: &Value, home: Option<&Path>) -> Result<(), String> {
        match field {
            "roots" => {
                self.roots = strings(value)?
                    .iter()
                    .map(|root| absolute(root, home))
                    .collect::<Result<_, _>>()?
            }
            "ignore" => self.ignore = patterns(value)?,
            "hidden" => self.hidden = Some(yes_or_no(value)?),
            "gitignore" => self.gitignore = Some(yes_or_no(value)?),
            "max_size" => self.max_file_bytes = Some(size(value)?),
            "encoder" => self.encoder = Some(string(value)?.to_owned()),
            "passage_tokens" => self.passages.max_tokens = Some(number(value, 32, 512)?),
            "overlap_tokens" => self.passages.overlap_tokens = Some(number(value, 0, 128)?),
            _ => return Err(format!("there is no such setting; there are {KNOWN}")),
        }
        Ok(())
    }

    /// What two settings have to agree on.
    fn check(self) -> Result<Self, SettingsError> {
        let PassageBudget {
            max_tokens,
            overlap_tokens,
        } = self.passages;
        let most = max_tokens.unwrap_or(PassageBudget::DEFAULT_TOKENS) / 4;
        match overlap_tokens {
            Some(overlap) if overlap > most => Err(SettingsError::Field {
                path: self.path,
                field: "overlap_tokens".to_owned(),
                detail: format!(
                    "{overlap} is more than a quarter of passage_tokens; at most {most}"
                ),
            }),
            _ => Ok(self),
        }
    }

    /// How files are read by these settings, the rest by default.
    pub fn read_options(&self) -> ReadOptions {
        let default = ReadOptions::default();
        ReadOptions {
            hidden: self.hidden.unwrap_or(default.hidden),
            respect_ignore: self.gitignore.unwrap_or(default.respect_ignore),
            max_file_bytes: self.max_file_bytes.unwrap_or(default.max_file_bytes),
            ignore: self.ignore.clone(),
            passages: self.passages,
            ..default
        }
    }
}

fn text_of(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > LONGEST {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    std::fs::read_to_string(path)
}

fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> SettingsError {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    SettingsError::Syntax {
        path: path.to_owned(),
        line: text
            .as_bytes()
            .iter()
            .take(at)
            .filter(|byte| **byte == b'\n')
            .count()
            + 1,
        detail: error.message().to_owned(),
    }
}

fn string(value: &Value) -> Result<&str, String> {
    let text = value
        .as_str()
        .map(str::trim)
        .filter(|text| !text.is_empty());
    text.ok_or_else(|| format!("{value} is no text; write it in quotes"))
}

fn strings(value: &Value) -> Result<Vec<&str>, String> {
    let list = value
        .as_array()
        .ok_or_else(|| format!("{value} is no list; write [\"...\", \"...\"]"))?;
    list.iter().map(string).collect()
}

fn yes_or_no(value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| format!("{value} is neither true nor false"))
}

fn number(value: &Value, least: usize, most: usize) -> Result<usize, String> {
    let number = value
        .as_integer()
        .and_then(|number| usize::try_from(number).ok());
    let fits = number.filter(|number| (least..=most).contains(number));
    fits.ok_or_else(|| format!("{value} is no whole number from {least} to {most}"))
}

fn size(value: &Value) -> Result<u64, String> {
    match value {
        Value::Integer(bytes) => u64::try_from(*bytes).map_err(|_| format!("{bytes} is no size")),
        _ => parse_size(string(value)?),
    }
}

/// Bytes from `512`, `512K`, `64M` or `2G` (powers of 1024).
///
/// # Errors
/// One sentence.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let advice = || format!("'{text}' is no size; write bytes, or a number with K, M or G");
    let upper = text.trim().to_ascii_uppercase();
    let units = [("K", 10), ("M", 20), ("G", 30)];
    let unit = units
        .iter()
        .find_map(|(unit, shift)| Some((upper.strip_suffix(unit)?, *shift)));
    let (digits, shift) = unit.unwrap_or((&upper, 0));
    let number: u64 = digits.parse().map_err(|_| advice())?;
    number.checked_mul(1 << shift).ok_or_else(advice)
}

fn absolute(root: &str, home: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(below) = root.strip_prefix("~/") {
        let home =
            home.ok_or_else(|| format!("nobody knows the home folder that {root} lies in"))?;
        return Ok(home.join(below));
    }
    let path = PathBuf::from(root);
    match path.is_absolute() {
        true => Ok(path),
        false => Err(format!("{root} has to be a whole path, from / or ~/")),
    }
}

fn patterns(value: &Value) -> Result<Vec<String>, String> {
    let patterns: Vec<String> = strings(value)?.into_iter().map(str::to_owned).collect();
    Ignored::new(Path::new("/"), &patterns).map(|_| patterns)
}
