//! Which numbers are trained, and where does each tensor lie among them?
//!
//! All trained numbers lie in one vector, tensor after tensor. Optimiser, clipping, checkpoint and accumulation then
//! work on one long tensor in a few launches, instead of a few launches for each of a hundred tensors; the forward
//! pass takes the vector apart into leaves of the gradient graph.

use std::path::PathBuf;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use engine::encoder::blueprint::StoredTensor;

/// What a tensor's numbers are; weight decay and storage tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rows that are looked up. Stored and trained as (rows, width).
    Table,
    /// A linear layer. Stored as (out, in), trained as (in, out), so that no product transposes it.
    Matrix,
    /// The bias of a linear layer.
    Bias,
    /// Gain or bias of a LayerNorm.
    Norm,
}

/// Where in the model a tensor lies; gradient norms are reported by band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// Token, position and type vectors, and their LayerNorm.
    Embeddings,
    /// Transformer layer, from 0.
    Layer(usize),
    /// What follows pooling.
    Head,
}

/// One trained tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Folder of the safetensors file it came from, and goes back to.
    pub folder: PathBuf,
    /// Its name there.
    pub name: String,
    /// Its shape there.
    pub shape: Vec<usize>,
    /// What it holds.
    pub kind: Kind,
    /// Where it lies in the model.
    pub band: Band,
    /// Its first number in the vector of all.
    pub start: usize,
}

impl Entry {
    /// How many numbers it has.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A tensor's place in the [`Layout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(usize);

/// The trained tensors in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    entries: Vec<Entry>,
}

impl Layout {
    /// Appends `tensor` and its numbers, which go to the end of `values`.
    pub(super) fn add(
        &mut self,
        tensor: StoredTensor,
        kind: Kind,
        band: Band,
        values: &mut Vec<f32>,
    ) -> Slot {
        let entry = Entry {
            folder: tensor.folder,
            name: tensor.name,
            shape: tensor.shape,
            kind,
            band,
            start: values.len(),
        };
        match kind {
            Kind::Matrix => values.extend(transposed(&tensor.values, entry.shape[1])),
            Kind::Table | Kind::Bias | Kind::Norm => values.extend(tensor.values),
        }
        self.entries.push(entry);
        Slot(self.entries.len() - 1)
    }

    /// A layout of `tensors` alone, and their numbers.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(tensors: [(StoredTensor, Kind, Band); N]) -> (Self, Vec<f32>) {
        let (mut layout, mut values) = (Self::default(), Vec::new());
        for (tensor, kind, band) in tensors {
            layout.add(tensor, kind, band, &mut values);
        }
        (layout, values)
    }

    /// The tensors in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The tensor of a slot.
    pub(super) fn entry(&self, slot: Slot) -> &Entry {
        &self.entries[slot.0]
    }

    /// How many numbers are trained.
    pub fn count(&self) -> usize {
        self.entries.last().map_or(0, |e| e.start + e.count())
    }

    /// The numbers of `entry` among `values`, in the shape they are stored in.
    pub fn stored(&self, entry: &Entry, values: &[f32]) -> Vec<f32> {
        let values = &values[entry.start..entry.start + entry.count()];
        match entry.kind {
            Kind::Matrix => transposed(values, entry.shape[0]),
            Kind::Table | Kind::Bias | Kind::Norm => values.to_vec(),
        }
    }

    /// Euclidean norm of each band of `gradient`, the vector of all, in the order of the bands.
    pub fn band_norms(&self, gradient: &[f32]) -> Vec<(Band, f32)> {
        let mut sums: std::collections::BTreeMap<Band, f64> = std::collections::BTreeMap::new();
        for entry in &self.entries {
            let values = &gradient[entry.start..entry.start + entry.count()];
            let squares: f64 = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
            *sums.entry(entry.band).or_default() += squares;
        }
        sums.into_iter()
            .map(|(band, sum)| (band, sum.sqrt() as f32))
            .collect()
    }
}

/// `values`, rows of `width` numbers, with rows and columns exchanged.
fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    let rows = values.len() / width;
    (0..width)
        .flat_map(|column| (0..rows).map(move |row| values[row * width + column]))
        .collect()
}

/// The vector of all numbers on `device`.
pub fn to_device(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// The trained tensors of one forward pass.
pub struct Weights {
    /// `None` for tensors that this pass does not look at.
    leaves: Vec<Option<Tensor<1>>>,
    shapes: Vec<Vec<usize>>,
    device: Device,
}

impl Weights {
    /// Takes `all` apart. With `tracked`, each tensor is a leaf of the gradient graph; `all` itself never is.
    pub fn new(layout: &Layout, all: &Tensor<1>, tracked: Option<&Device>) -> Self {
        Self::of(layout, all, tracked, |_| true)
    }

    /// As [`Weights::new`], the tensors after pooling alone.
    pub(crate) fn of_head(layout: &Layout, all: &Tensor<1>, tracked: Option<&Device>) -> Self {
        Self::of(layout, all, tracked, |entry| entry.band == Band::Head)
    }

    fn of(
        layout: &Layout,
        all: &Tensor<1>,
        tracked: Option<&Device>,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Self {
        let leaf = |entry: &Entry| {
            let part = all.clone().slice(entry.start..entry.start + entry.count());
            match tracked {
                Some(device) => on(part, device).require_grad(),
                None => part,
            }
        };
        let entries = layout.entries.iter();
        Self {
            leaves: entries.map(|e| wanted(e).then(|| leaf(e))).collect(),
            shapes: layout.entries.iter().map(trained_shape).collect(),
            device: tracked.cloned().unwrap_or_else(|| all.device()),
        }
    }

    /// The device the tensors are on, with gradients if they are leaves.
    pub fn device(&self) -> Device {
        self.device.clone()
    }

    /// A table (rows, width) or a linear layer (in, out).
    pub fn matrix(&self, slot: Slot) -> Tensor<2> {
        let shape = &self.shapes[slot.0];
        self.vector(slot).reshape([shape[0], shape[1]])
    }

    /// A bias or gain.
    pub fn vector(&self, slot: Slot) -> Tensor<1> {
        let leaf = self.leaves[slot.0].clone();
        leaf.expect("a pass looks at no other tensors than those it took")
    }

    /// The gradient of all numbers; zeros where a tensor took no part.
    pub fn gradient(&self, mut gradients: Gradients) -> Tensor<1> {
        let parts = self
            .leaves
            .iter()
            .flatten()
            .map(|leaf| {
                leaf.grad_remove(&mut gradients)
                    .unwrap_or_else(|| leaf.clone().inner().zeros_like())
            })
            .collect();
        Tensor::cat(parts, 0)
    }

    /// Puts the gradients of the tensors of this pass into `sum`, that of all numbers.
    pub(crate) fn add_gradient(
        &self,
        layout: &Layout,
        gradients: &mut Gradients,
        sum: Tensor<1>,
    ) -> Tensor<1> {
        let pairs = layout.entries.iter().zip(&self.leaves);
        pairs.fold(sum, |sum, (entry, leaf)| {
            match leaf.as_ref().and_then(|l| l.grad_remove(gradients)) {
                Some(part) => sum.slice_assign(entry.start..entry.start + entry.count(), part),
                None => sum,
            }
        })
    }
}

/// `tensor` as a tensor of the gradient-tracking `device`, with its way of keeping activations.
pub(crate) fn on<const D: usize>(tensor: Tensor<D>, device: &Device) -> Tensor<D> {
    let tracked = tensor.autodiff();
    match device.gradient_checkpointing_strategy() {
        Some(strategy) => tracked.with_gradient_checkpointing_strategy(strategy),
        None => tracked,
    }
}

fn trained_shape(entry: &Entry) -> Vec<usize> {
    match entry.kind {
        Kind::Matrix => vec![entry.shape[1], entry.shape[0]],
        Kind::Table | Kind::Bias | Kind::Norm => entry.shape.clone(),
    }
}
