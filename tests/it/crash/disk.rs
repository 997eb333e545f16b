//! What would be left of a folder if the power went now?
//!
//! A model beside the real disk that keeps apart what was written and what is durable. It follows the operations that
//! `storage::disk` announces: a name is durable once its folder was synced, bytes once their file was. sled and tantivy
//! write their own folders and announce nothing; those are taken as they lie.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use storage::disk::Operation;

/// What a power cut takes with it.
#[derive(Debug, Clone, Copy)]
pub enum Loss {
    /// Nothing: the process was killed and the system went on.
    Nothing,
    /// Everything that was not synced.
    Everything,
    /// Bytes that were not synced; the names stay, as on file systems that write names first.
    Bytes,
    /// Some of it, by this seed.
    Some(u64),
}

type Names = BTreeMap<OsString, usize>;

#[derive(Debug)]
enum Node {
    /// Bytes as of the last sync.
    File(Option<Vec<u8>>),
    /// Names: the durable state, then the state after each change since.
    Folder(Vec<Names>),
    /// A folder of sled's or tantivy's.
    Foreign,
}

/// A folder and what is durable in it.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    /// The folder itself is the first.
    nodes: Vec<Node>,
    /// Whether syncing does anything; without, the model is of a disk that lies.
    honest: bool,
}

impl Disk {
    /// The folder `root` as it is, all of it durable.
    pub fn of(root: &Path, honest: bool) -> Self {
        let mut disk = Self {
            root: root.to_owned(),
            nodes: Vec::new(),
            honest,
        };
        disk.scan(root);
        disk
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn is_foreign(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.parent() == Some(&self.root) && (name == "bm25" || name.starts_with("documents"))
    }

    fn scan(&mut self, path: &Path) -> usize {
        if self.is_foreign(path) {
            return self.add(Node::Foreign);
        }
        if path.is_file() {
            let bytes = fs::read(path).expect("a readable file");
            return self.add(Node::File(Some(bytes)));
        }
        let folder = self.add(Node::Folder(vec![Names::new()]));
        let entries: Vec<_> = fs::read_dir(path)
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("a readable entry").path())
            .collect();
        for entry in entries {
            let node = self.scan(&entry);
            let name = entry.file_name().expect("an entry has a name").to_owned();
            let Node::Folder(states) = &mut self.nodes[folder] else {
                unreachable!("made a folder above");
            };
            states[0].insert(name, node);
        }
        folder
    }

    /// The node at `path` by the names in memory, if the model follows it.
    fn find(&self, path: &Path) -> Option<usize> {
        let below = path.strip_prefix(&self.root).ok()?;
        below.iter().try_fold(0, |at, name| match &self.nodes[at] {
            Node::Folder(states) => states.last()?.get(name).copied(),
            _ => None,
        })
    }

    /// Changes the names of the folder that `path` lies in.
    fn rename_in(&mut self, path: &Path, change: impl FnOnce(&mut Names, OsString)) {
        let Some(parent) = path.parent().and_then(|parent| self.find(parent)) else {
            return;
        };
        if let Node::Folder(states) = &mut self.nodes[parent] {
            let mut names = states.last().cloned().unwrap_or_default();
            change(&mut names, path.file_name().unwrap_or_default().to_owned());
            states.push(names);
        }
    }

    fn insert(&mut self, path: &Path, node: usize) {
        self.rename_in(path, |names, name| {
            names.insert(name, node);
        });
    }

    /// Follows one operation that is about to happen.
    pub fn apply(&mut self, operation: Operation<'_>) {
        match operation {
            Operation::Create(path) if self.find(path).is_none() => {
                let node = self.add(Node::File(None));
                self.insert(path, node);
            }
            Operation::CreateFolder(path) => self.create_folders(path),
            Operation::Sync(path) if self.honest => self.sync(path),
            Operation::Rename(from, to) => {
                let Some(node) = self.find(from) else { return };
                let (old, new) = (from.file_name(), to.file_name());
                assert_eq!(from.parent(), to.parent(), "names move within one folder");
                self.rename_in(to, |names, _| {
                    names.remove(old.unwrap_or_default());
                    names.insert(new.unwrap_or_default().to_owned(), node);
                });
            }
            Operation::Link(from, to) => {
                let known = self.find(from);
                let node = known.unwrap_or_else(|| {
                    let bytes = fs::read(from).expect("a file to link");
                    self.add(Node::File(Some(bytes)))
                });
                self.insert(to, node);
            }
            Operation::Remove(path) if self.find(path).is_some() => {
                self.rename_in(path, |names, name| {
                    names.remove(&name);
                });
            }
            _ => {}
        }
    }

    fn create_folders(&mut self, path: &Path) {
        let missing: Vec<&Path> = path
            .ancestors()
            .take_while(|path| *path != self.root && self.find(path).is_none())
            .collect();
        for path in missing.into_iter().rev() {
            let node = match self.is_foreign(path) {
                true => Node::Foreign,
                false => Node::Folder(vec![Names::new()]),
            };
            let node = self.add(node);
            self.insert(path, node);
        }
    }

    fn sync(&mut self, path: &Path) {
        let Some(node) = self.find(path) else { return };
        match &mut self.nodes[node] {
            Node::File(durable) => *durable = Some(fs::read(path).expect("a file to sync")),
            Node::Folder(states) => {
                let now = states.pop().unwrap_or_default();
                *states = vec![now];
            }
            Node::Foreign => {}
        }
    }

    /// Writes to the new folder `target` what would be found after a power cut now; sled's and tantivy's folders only if
    /// they are wanted, since readers never open them.
    pub fn crash(&self, loss: Loss, foreign: bool, target: &Path) {
        let mut paths = vec![None; self.nodes.len()];
        self.locate(0, &self.root, &mut paths);
        match loss {
            Loss::Nothing => self.restore_all(&self.root, target),
            _ => self.restore(0, &paths, &mut Dice::new(loss), target),
        }
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| foreign && self.is_foreign(&entry.path())) {
            copy_tree(&entry.path(), &target.join(entry.file_name()));
        }
    }

    /// The real folder but for the foreign ones.
    fn restore_all(&self, from: &Path, target: &Path) {
        fs::create_dir_all(target).expect("a new folder");
        for entry in fs::read_dir(from).into_iter().flatten().flatten() {
            let (path, to) = (entry.path(), target.join(entry.file_name()));
            match path.is_dir() {
                true if self.is_foreign(&path) => {}
                true => self.restore_all(&path, &to),
                false => drop(fs::copy(&path, to).expect("a copied file")),
            }
        }
    }

    /// Where each node lies on the real disk now.
    fn locate(&self, node: usize, path: &Path, paths: &mut Vec<Option<PathBuf>>) {
        paths[node] = Some(path.to_owned());
        if let Node::Folder(states) = &self.nodes[node] {
            for (name, &child) in states.last().into_iter().flatten() {
                self.locate(child, &path.join(name), paths);
            }
        }
    }

    fn restore(&self, node: usize, paths: &[Option<PathBuf>], dice: &mut Dice, target: &Path) {
        match &self.nodes[node] {
            Node::Folder(states) => {
                fs::create_dir_all(target).expect("a new folder");
                for (name, &child) in &states[dice.state(states.len())] {
                    self.restore(child, paths, dice, &target.join(name));
                }
            }
            Node::File(Some(bytes)) => fs::write(target, bytes).expect("a new file"),
            Node::File(None) => {
                let written = paths[node].as_ref().and_then(|path| fs::read(path).ok());
                let written = written.unwrap_or_default();
                let kept = dice.below(written.len() + 1);
                fs::write(target, &written[..kept]).expect("a new file");
            }
            Node::Foreign => {}
        }
    }
}

/// Decides how much of what is not durable survives.
struct Dice {
    seed: Option<u64>,
    keeps_names: bool,
}

impl Dice {
    fn new(loss: Loss) -> Self {
        Self {
            seed: match loss {
                Loss::Some(seed) => Some(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
                _ => None,
            },
            keeps_names: matches!(loss, Loss::Bytes),
        }
    }

    /// Which of a folder's `n` states is found.
    fn state(&mut self, n: usize) -> usize {
        match self.keeps_names {
            true => n - 1,
            false => self.below(n),
        }
    }

    /// A number below `n`, which is at least 1; always 0 if everything is lost.
    fn below(&mut self, n: usize) -> usize {
        let Some(state) = &mut self.seed else {
            return 0;
        };
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state % n as u64) as usize
    }
}

/// Copies a folder and all below it. What vanishes meanwhile (sled and tantivy tidy up as they please) is left out, and a
/// folder that is not there is empty.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a new folder");
    for entry in fs::read_dir(from).into_iter().flatten() {
        let entry = entry.expect("a readable entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &to);
            continue;
        }
        match fs::copy(entry.path(), to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
}
