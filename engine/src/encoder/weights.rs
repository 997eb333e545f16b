//! Which numbers does the model folder hold under this tensor name?
//!
//! Tensors are views into the safetensors files; only what a layer needs in another layout or precision is copied.
//! Every tensor that is handed out is remembered, so that [`Weights::digest`] covers exactly the numbers in use.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::tensor::{Dtype, Metadata, SafeTensors};
use serde::Deserialize;
use storage::{Mapped, StorageError};

use super::config::json;
use super::error::ModelError;

/// Bytes hashed and checked as one piece of work; small enough to stay in the cache between the two.
const BLOCK_BYTES: usize = 1 << 20;

/// Prefixes that exporters put before the names of the same tensors.
const PREFIXES: [&str; 6] = [
    "",
    "bert.",
    "roberta.",
    "distilbert.",
    "model.",
    "0.auto_model.",
];

/// One safetensors file, its header parsed and validated: offsets lie inside the file and do not overlap.
struct WeightFile {
    bytes: Source,
    /// Where tensor data begins.
    data: usize,
    metadata: Metadata,
}

/// Where the bytes of a safetensors file are.
enum Source {
    /// On disk.
    Mapped(Mapped),
    /// In the program itself.
    #[cfg(feature = "builtin")]
    Embedded {
        /// What errors call it.
        path: std::path::PathBuf,
        bytes: &'static [u8],
    },
}

impl Source {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(mapped) => mapped.bytes(),
            #[cfg(feature = "builtin")]
            Self::Embedded { bytes, .. } => bytes,
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Mapped(mapped) => mapped.path(),
            #[cfg(feature = "builtin")]
            Self::Embedded { path, .. } => path,
        }
    }
}

/// How the numbers of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F32,
    F16,
    Bf16,
    /// Whole numbers from -127 to 127; what one of them stands for lies elsewhere.
    I8,
}

/// A view of one tensor: finite numbers of a known shape, once [`Weights::digest`] has run.
#[derive(Clone)]
pub(crate) struct Tensor {
    file: Arc<WeightFile>,
    name: String,
    shape: Vec<usize>,
    kind: Kind,
    start: usize,
    end: usize,
}

/// A tensor's numbers where they lie; those of 16 bits as their bits.
pub(crate) enum Numbers<'a> {
    F32(&'a [f32]),
    F16(&'a [u16]),
    Bf16(&'a [u16]),
    I8(&'a [i8]),
    /// Not at an address where they could be read as numbers.
    Unaligned,
}

/// The tensors of one model folder.
pub(crate) struct Weights {
    files: Vec<Arc<WeightFile>>,
    prefix: &'static str,
    /// Tensors handed out, by the name asked for.
    used: Mutex<BTreeMap<String, Tensor>>,
}

/// `model.safetensors.index.json`: which file holds which tensor.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Opens `model.safetensors` in `dir`, or the files named by `model.safetensors.index.json`.
    ///
    /// # Errors
    /// Missing or damaged files.
    pub(crate) fn open(dir: &Path) -> Result<Self, ModelError> {
        let index = dir.join("model.safetensors.index.json");
        let names = if index.exists() {
            let index: ShardIndex = json(&index, "which file holds which tensor")?;
            let mut names: Vec<String> = index.weight_map.into_values().collect();
            names.sort();
            names.dedup();
            names
        } else {
            vec!["model.safetensors".to_owned()]
        };
        let files = names
            .iter()
            .map(|name| WeightFile::open(&dir.join(name)).map(Arc::new))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            files,
            prefix: "",
            used: Mutex::default(),
        })
    }

    /// The tensors of one safetensors file that is part of the program; errors call it `path`.
    ///
    /// # Errors
    /// A damaged file.
    #[cfg(feature = "builtin")]
    pub(crate) fn embedded(path: &Path, bytes: &'static [u8]) -> Result<Self, ModelError> {
        let path = path.to_path_buf();
        let file = WeightFile::of(Source::Embedded { path, bytes })?;
        Ok(Self {
            files: vec![Arc::new(file)],
            prefix: "",
            used: Mutex::default(),
        })
    }

    /// Finds the prefix under which `anchor`, a tensor every such model has, is stored.
    pub(crate) fn with_prefix_of(mut self, anchor: &str) -> Self {
        let found = PREFIXES
            .into_iter()
            .find(|p| self.find(&format!("{p}{anchor}")).is_some());
        self.prefix = found.unwrap_or("");
        self
    }

    /// The first file, for errors about the folder as a whole.
    pub(crate) fn path(&self) -> &Path {
        self.files.first().map_or(Path::new(""), |f| f.bytes.path())
    }

    /// The files of the weights.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.bytes.path())
    }

    /// Whether the folder holds `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.lookup(name).is_some()
    }

    /// The floating-point tensor `name` of exactly `shape`.
    ///
    /// # Errors
    /// No such tensor, another shape, another type of number.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, ModelError> {
        let tensor = self.tensor_of_any_shape(name)?;
        if tensor.shape != shape {
            let found = tensor.shape.clone();
            return Err(self.bad(
                name,
                format!("has shape {found:?}, the configuration says {shape:?}"),
            ));
        }
        Ok(tensor)
    }

    /// The floating-point tensor `name`, whatever its shape.
    ///
    /// # Errors
    /// No such tensor, another type of number.
    pub(crate) fn tensor_of_any_shape(&self, name: &str) -> Result<Tensor, ModelError> {
        let tensor = self.table(name)?;
        match tensor.kind {
            Kind::I8 => Err(self.bad(name, "holds I8, expected F32, F16 or BF16".into())),
            _ => Ok(tensor),
        }
    }

    /// The tensor `name`, whatever its shape: floating-point numbers, or I8 in units that the caller knows.
    ///
    /// # Errors
    /// No such tensor, another type of number.
    pub(crate) fn table(&self, name: &str) -> Result<Tensor, ModelError> {
        let (file, stored) = self
            .lookup(name)
            .ok_or_else(|| self.bad(name, "is missing".into()))?;
        let info = file
            .metadata
            .info(&stored)
            .expect("lookup returns names the metadata holds");
        let kind = match info.dtype {
            Dtype::F32 => Kind::F32,
            Dtype::F16 => Kind::F16,
            Dtype::BF16 => Kind::Bf16,
            Dtype::I8 => Kind::I8,
            other => {
                return Err(self.bad(name, format!("holds {other:?}, expected F32, F16 or BF16")));
            }
        };
        let tensor = Tensor {
            name: name.to_owned(),
            shape: info.shape.clone(),
            kind,
            start: file.data + info.data_offsets.0,
            end: file.data + info.data_offsets.1,
            file: Arc::clone(file),
        };
        self.used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    }

    /// The integer vector `name` of the static family's token mapping.
    ///
    /// # Errors
    /// Another type of number, a negative value.
    pub(crate) fn integers(&self, name: &str) -> Result<Vec<u32>, ModelError> {
        let (file, stored) = self
            .lookup(name)
            .ok_or_else(|| self.bad(name, "is missing".into()))?;
        let info = file
            .metadata
            .info(&stored)
            .expect("lookup returns names the metadata holds");
        let bytes =
            &file.bytes.bytes()[file.data + info.data_offsets.0..file.data + info.data_offsets.1];
        let values: Option<Vec<u32>> = match info.dtype {
            Dtype::I64 | Dtype::U64 => bytes
                .as_chunks::<8>()
                .0
                .iter()
                .map(|b| u32::try_from(u64::from_le_bytes(*b)).ok())
                .collect(),
            Dtype::I32 | Dtype::U32 => bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| Some(u32::from_le_bytes(*b)).filter(|v| *v <= i32::MAX as u32))
                .collect(),
            _ => None,
        };
        values.ok_or_else(|| self.bad(name, "does not hold row numbers (I32 or I64)".into()))
    }

    /// blake3 over name, shape, type and bytes of every tensor handed out, in the order of their names. Checks in
    /// the same pass that each number is finite.
    ///
    /// # Errors
    /// The first tensor that holds NaN or infinity.
    pub(crate) fn digest(&self) -> Result<blake3::Hash, ModelError> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let blocks: Vec<(&Tensor, &[u8])> = used
            .values()
            .flat_map(|t| t.bytes().chunks(BLOCK_BYTES).map(move |b| (t, b)))
            .collect();
        let hashes: Vec<blake3::Hash> = blocks
            .par_iter()
            .map(|(tensor, block)| tensor.check_and_hash(block))
            .collect::<Result<_, _>>()?;
        let mut whole = blake3::Hasher::new();
        for tensor in used.values() {
            let line = format!("{} {:?} {:?}\n", tensor.name, tensor.kind, tensor.shape);
            whole.update(line.as_bytes());
        }
        for hash in hashes {
            whole.update(hash.as_bytes());
        }
        Ok(whole.finalize())
    }

    /// An error about tensor `name`.
    pub(crate) fn bad(&self, name: &str, detail: String) -> ModelError {
        ModelError::Tensor {
            path: self.path().to_path_buf(),
            tensor: format!("{}{name}", self.prefix),
            detail,
        }
    }

    /// Under which name the file stores `name`; `None` if it does not.
    pub(crate) fn stored_name(&self, name: &str) -> Option<String> {
        self.lookup(name).map(|(_, stored)| stored)
    }

    /// The file and stored name of `name`: with the folder's prefix, under its new or its old LayerNorm name.
    fn lookup(&self, name: &str) -> Option<(&Arc<WeightFile>, String)> {
        let stored = format!("{}{name}", self.prefix);
        let old = stored
            .replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta");
        [stored, old]
            .into_iter()
            .find_map(|n| self.find(&n).map(|f| (f, n)))
    }

    fn find(&self, stored: &str) -> Option<&Arc<WeightFile>> {
        self.files
            .iter()
            .find(|f| f.metadata.info(stored).is_some())
    }
}

impl WeightFile {
    fn open(path: &Path) -> Result<Self, ModelError> {
        Self::of(Source::Mapped(map(path)?))
    }

    fn of(bytes: Source) -> Result<Self, ModelError> {
        let (header, metadata) = SafeTensors::read_metadata(bytes.bytes()).map_err(|e| {
            let detail = format!("not a complete safetensors file ({e})");
            ModelError::malformed(bytes.path(), detail)
        })?;
        Ok(Self {
            bytes,
            data: 8 + header,
            metadata,
        })
    }
}

/// Maps a weights file. Models are replaced as a whole, never edited in place, while an encoder is open.
fn map(path: &Path) -> Result<Mapped, ModelError> {
    Mapped::open(path).map_err(|e| match e {
        StorageError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            ModelError::Missing {
                path: path.to_path_buf(),
                purpose: "the weights, as safetensors",
            }
        }
        StorageError::Io { source, .. } => ModelError::Io {
            path: path.to_path_buf(),
            source,
        },
        other => ModelError::malformed(path, other.to_string()),
    })
}

impl Tensor {
    /// The name it was asked for by.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Lengths of the axes, outermost first.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// All numbers, row-major.
    pub(crate) fn to_f32(&self) -> Vec<f32> {
        let mut out = Vec::new();
        self.append_to(&mut out);
        out
    }

    /// Appends all numbers, row-major.
    pub(crate) fn append_to(&self, out: &mut Vec<f32>) {
        match self.as_f32() {
            Some(numbers) => out.extend_from_slice(numbers),
            None => {
                let start = out.len();
                out.resize(start + self.shape.iter().product::<usize>(), 0.0);
                self.read(0, &mut out[start..]);
            }
        }
    }

    /// Row `row` of a matrix with `out.len()` columns.
    ///
    /// # Panics
    /// If the row does not lie inside the tensor.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        self.read(row * out.len(), out);
    }

    /// The numbers in place, if they are stored as f32 at an aligned address.
    pub(crate) fn as_f32(&self) -> Option<&[f32]> {
        match self.numbers() {
            Numbers::F32(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// The numbers in place, as they are stored.
    pub(crate) fn numbers(&self) -> Numbers<'_> {
        let bytes = self.bytes();
        let numbers = match self.kind {
            Kind::F32 => bytemuck::try_cast_slice(bytes).map(Numbers::F32),
            Kind::F16 => bytemuck::try_cast_slice(bytes).map(Numbers::F16),
            Kind::Bf16 => bytemuck::try_cast_slice(bytes).map(Numbers::Bf16),
            Kind::I8 => Ok(Numbers::I8(bytemuck::cast_slice(bytes))),
        };
        numbers.unwrap_or(Numbers::Unaligned)
    }

    /// `out.len()` numbers from number `first` on.
    fn read(&self, first: usize, out: &mut [f32]) {
        let size = self.kind.bytes();
        let bytes = &self.bytes()[first * size..(first + out.len()) * size];
        match self.kind {
            Kind::F32 => {
                for (o, b) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *o = f32::from_le_bytes(*b);
                }
            }
            Kind::F16 => {
                for (o, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *o = f16::from_le_bytes(*b).to_f32();
                }
            }
            Kind::Bf16 => {
                for (o, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *o = bf16::from_le_bytes(*b).to_f32();
                }
            }
            Kind::I8 => {
                for (o, b) in out.iter_mut().zip(bytes) {
                    *o = f32::from(b.cast_signed());
                }
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.file.bytes.bytes()[self.start..self.end]
    }

    fn check_and_hash(&self, block: &[u8]) -> Result<blake3::Hash, ModelError> {
        if self.kind.all_finite(block) {
            Ok(blake3::hash(block))
        } else {
            Err(ModelError::Tensor {
                path: self.file.bytes.path().to_path_buf(),
                tensor: self.name.clone(),
                detail: "holds NaN or infinity".into(),
            })
        }
    }
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I8 => 1,
        }
    }

    /// A floating-point number is finite unless all bits of its exponent are set.
    fn all_finite(self, block: &[u8]) -> bool {
        let halves = |exponent: u16| {
            let bad = |b: &[u8; 2]| u16::from_le_bytes(*b) & exponent == exponent;
            block
                .as_chunks::<2>()
                .0
                .iter()
                .fold(false, |any, b| any | bad(b))
        };
        match self {
            Self::F32 => {
                let bad = |b: &[u8; 4]| u32::from_le_bytes(*b) & 0x7f80_0000 == 0x7f80_0000;
                !block
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .fold(false, |any, b| any | bad(b))
            }
            Self::F16 => !halves(0x7c00),
            Self::Bf16 => !halves(0x7f80),
            Self::I8 => true,
        }
    }
}
