//! Which collections are there, and which are open?
//!
//! For faces that live longer than one answer: a collection is opened once, moves on to what writers publish, and is
//! given its encoder when a search first needs it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::bail;
use engine::Engine;
use engine::models::ModelStore;
use engine::report::{SearchResponse, Status};
use engine::request::{Mode, SearchRequest};

use crate::commands::encoders;
use crate::resolve::Places;
use crate::warn::Warning;

/// The collections of this computer.
pub struct Shelf {
    /// The one that is meant where none is named.
    chosen: PathBuf,
    /// Where those with a name lie.
    named: PathBuf,
    models: ModelStore,
    open: Mutex<HashMap<PathBuf, Arc<Engine>>>,
    /// Held while an encoder is loaded, so that two searches do not load it twice.
    loading: Mutex<()>,
}

/// A collection that can be asked for by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Name of its folder, or its whole path if it lies elsewhere.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
}

impl Shelf {
    /// The collections of `places`; nothing is opened yet.
    pub fn new(places: &Places) -> Self {
        Self {
            chosen: places.collection.clone(),
            named: places.collections.clone(),
            models: ModelStore::new(&places.models).with_builtin(),
            open: Mutex::default(),
            loading: Mutex::default(),
        }
    }

    /// The collection that is meant where none is named, then the others by name.
    pub fn list(&self) -> Vec<Named> {
        let entries = std::fs::read_dir(&self.named)
            .into_iter()
            .flatten()
            .flatten();
        let folders = entries
            .map(|entry| entry.path())
            .filter(|path| path.is_dir());
        let mut others: Vec<_> = folders.filter(|dir| *dir != self.chosen).collect();
        others.sort();
        others.insert(0, self.chosen.clone());
        let named = |dir: PathBuf| Named {
            name: self.name(&dir),
            dir,
        };
        others.into_iter().map(named).collect()
    }

    fn name(&self, dir: &Path) -> String {
        let inside = dir.parent() == Some(&self.named);
        let name = dir.file_name().filter(|_| inside);
        name.map_or_else(|| dir.to_string_lossy(), |name| name.to_string_lossy())
            .into_owned()
    }

    /// The collection called `name`, or the chosen one, as it was last published.
    ///
    /// # Errors
    /// No such collection (with the names there are), or a damaged one.
    pub fn open(&self, name: Option<&str>) -> anyhow::Result<Arc<Engine>> {
        let listed = self.list();
        let found = match name {
            None => listed.first(),
            Some(name) => listed.iter().find(|collection| collection.name == name),
        };
        let Some(found) = found else {
            let names: Vec<_> = listed
                .iter()
                .map(|collection| collection.name.as_str())
                .collect();
            bail!(
                "there is no collection named '{}'; there are: {}",
                name.unwrap_or_default(),
                names.join(", ")
            );
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = open.get(&found.dir) {
            engine.refresh()?;
            return Ok(engine.clone());
        }
        let engine = Arc::new(Engine::open(&found.dir)?);
        open.insert(found.dir.clone(), engine.clone());
        Ok(engine)
    }

    /// What each collection holds, by its manifest alone; a damaged one gives its error.
    pub fn glance(&self) -> Vec<(Named, Result<Status, engine::EngineError>)> {
        let look = |named: Named| {
            let status = Engine::glance(&named.dir);
            (named, status)
        };
        self.list().into_iter().map(look).collect()
    }

    /// Searches, with the encoder if the mode wants one.
    ///
    /// # Errors
    /// As [`Engine::search`], or an encoder that cannot be loaded.
    pub fn search(
        &self,
        engine: &Engine,
        request: &SearchRequest,
    ) -> anyhow::Result<(SearchResponse, Vec<Warning>)> {
        let mut request = request.clone();
        let lack = self.ready(engine, &mut request)?;
        let response = engine.search(&request)?;
        let mut warnings: Vec<_> = response
            .warnings
            .iter()
            .cloned()
            .map(Warning::Engine)
            .collect();
        warnings.extend(lack.filter(|_| response.generation > 0));
        Ok((response, warnings))
    }

    /// Loads the encoder that the request wants and the engine lacks; without one the request is for words.
    fn ready(
        &self,
        engine: &Engine,
        request: &mut SearchRequest,
    ) -> anyhow::Result<Option<Warning>> {
        if request.mode == Mode::Bm25 || engine.has_encoder() {
            return Ok(None);
        }
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if engine.has_encoder() {
            return Ok(None);
        }
        let (mode, lack) = encoders::for_search(engine, &self.models, request.mode)?;
        request.mode = mode;
        Ok(lack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(home: &Path) -> Shelf {
        Shelf {
            chosen: home.join("data/collections/default"),
            named: home.join("data/collections"),
            models: ModelStore::new(home.join("models")),
            open: Mutex::default(),
            loading: Mutex::default(),
        }
    }

    #[test]
    fn the_chosen_collection_comes_first_and_names_are_folders() {
        let home = tempfile::tempdir().expect("a folder");
        for name in ["work", "default", "art"] {
            std::fs::create_dir_all(home.path().join("data/collections").join(name)).expect("made");
        }
        let shelf = shelf(home.path());
        let names: Vec<_> = shelf
            .list()
            .into_iter()
            .map(|collection| collection.name)
            .collect();
        assert_eq!(names, ["default", "art", "work"]);
    }

    #[test]
    fn only_listed_names_open() {
        let home = tempfile::tempdir().expect("a folder");
        let shelf = shelf(home.path());
        assert!(shelf.open(None).is_ok());
        for name in ["../secret", "/", "", "work"] {
            let refusal = shelf
                .open(Some(name))
                .map(|_| ())
                .expect_err(name)
                .to_string();
            assert!(refusal.contains("there are: default"), "{refusal}");
        }
    }
}
