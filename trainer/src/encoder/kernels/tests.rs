//! Each kernel against burn's plain operations on the CPU, which know nothing of packing.

use burn::tensor::{DType, Device, Tensor, TensorData, activation};
use engine::encoder::config::Activation;

use super::*;

const WIDTH: usize = 32;
const ROWS: usize = 64;

/// Everything that runs on `device`, which [`run_on`] accepts.
pub(crate) fn agree_with_plain_operations(device: &Device) {
    let mut types = vec![DType::F32];
    if device.supports_dtype(DType::F16) {
        types.push(DType::F16);
    }
    for dtype in types {
        let desk = Desk {
            device: device.clone(),
            dtype,
        };
        desk.norms();
        desk.activations();
        desk.attention();
        desk.attention_with_dropout_is_linear_in_the_values();
        desk.norm_drops_on_its_way_back_what_it_dropped();
        desk.sums();
    }
}

struct Desk {
    device: Device,
    dtype: DType,
}

/// Numbers that look random, about −1 to 1.
fn numbers(count: usize, salt: u64) -> Vec<f32> {
    (0..count as u64)
        .map(|i| {
            let x = super::super::ops::mix(i ^ (salt << 32));
            (x % 2001) as f32 / 1000.0 - 1.0
        })
        .collect()
}

fn cpu<const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
}

fn tracked<const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<D> {
    let device = Device::flex().autodiff();
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &device).require_grad()
}

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    let tensor = tensor.clone().cast(DType::F32);
    tensor.try_into_vec_as::<f32>().expect("numbers")
}

impl Desk {
    fn up<const D: usize>(&self, values: &[f32], shape: [usize; D]) -> Tensor<D> {
        let data = TensorData::new(values.to_vec(), shape);
        Tensor::<D>::from_data(data, &self.device).cast(self.dtype)
    }

    fn weights(&self, values: &[f32]) -> Tensor<1> {
        Tensor::from_data(
            TensorData::new(values.to_vec(), [values.len()]),
            &self.device,
        )
    }

    fn same<const D: usize>(&self, what: &str, found: &Tensor<D>, wanted: &Tensor<D>) {
        let (found, wanted) = (values(found), values(wanted));
        let largest = wanted.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
        let bound = if self.dtype == DType::F16 { 1e-2 } else { 1e-4 } * largest;
        for (i, (a, b)) in found.iter().zip(&wanted).enumerate() {
            assert!(
                (a - b).abs() <= bound,
                "{what} ({:?}): number {i} is {a} for {b}",
                self.dtype
            );
        }
        assert_eq!(found.len(), wanted.len(), "{what}");
    }

    fn norms(&self) {
        let shape = [ROWS, WIDTH];
        let parts = [1, 2, 5].map(|salt| numbers(ROWS * WIDTH, salt));
        let row = numbers(3 * WIDTH, 3);
        let at = NormAt {
            bias: 0,
            gain: WIDTH / LANES,
            shift: 2 * WIDTH / LANES,
            epsilon: 1e-5,
        };
        let weights = self.weights(&row);
        let [product, residual, arriving] = &parts.clone().map(|p| self.up(&p, shape));
        let none = Chance::new(0.0, 0);
        let found = add_norm(product, residual, &weights, at, none);
        let back = norm_backward([Some(arriving), None], &found, &weights, at, none, false);

        let [product, residual] = [&parts[0], &parts[1]].map(|p| tracked(p, shape));
        let [bias, gain, shift] =
            [0, 1, 2].map(|i| tracked(&row[i * WIDTH..(i + 1) * WIDTH], [1, WIDTH]));
        let sum = product.clone() + bias.clone() + residual;
        let centred = sum.clone() - sum.mean_dim(1);
        let variance = centred.clone().square().mean_dim(1);
        let out = centred / (variance + 1e-5).sqrt() * gain.clone() + shift.clone();
        self.same("a LayerNorm", &found.out, &out.clone().inner());
        let weighted = out * tracked(&parts[2], shape).detach();
        let gradients = weighted.sum().backward();
        let wanted = product.grad(&gradients).expect("a gradient");
        self.same("a LayerNorm's gradient", &back.sum, &wanted);
        self.same("a product's gradient", &back.product, &wanted);
        let sums = back.partial.clone().sum_dim(0);
        for (i, leaf) in [gain, shift, bias].iter().enumerate() {
            let part = sums.clone().narrow(1, i * WIDTH, WIDTH);
            self.same(
                "a row's gradient",
                &part,
                &leaf.grad(&gradients).expect("a gradient"),
            );
        }
    }

    fn activations(&self) {
        let shape = [ROWS, WIDTH];
        let [x, arriving] = [1, 2].map(|salt| {
            numbers(ROWS * WIDTH, salt)
                .iter()
                .map(|x| x * 3.0)
                .collect::<Vec<_>>()
        });
        let bias = numbers(WIDTH, 3);
        let weights = self.weights(&bias);
        for kind in [Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
            let product = self.up(&x, shape);
            let found = bias_activate(&product, &weights, 0, kind);
            let [d, again, partial] =
                activate_backward(&self.up(&arriving, shape), &product, &weights, 0, kind);
            let leaf = tracked(&x, shape);
            let shifted = leaf.clone() + tracked(&bias, [1, WIDTH]).detach();
            let out = match kind {
                Activation::Gelu => activation::gelu(shifted),
                Activation::GeluTanh => super::super::ops::activate(kind, shifted),
                Activation::Relu => activation::relu(shifted),
            };
            let wanted = out.clone().inner();
            self.same("an activation", &found, &wanted);
            self.same("an activation again", &again, &wanted);
            let loss = (out * tracked(&arriving, shape).detach()).sum();
            let wanted = leaf.grad(&loss.backward()).expect("a gradient");
            self.same("an activation's gradient", &d, &wanted);
            self.same("a bias's gradient", &partial.sum_dim(0), &wanted.sum_dim(0));
        }
    }

    /// Two texts of 40 and 17 tokens and seven rows of padding.
    fn tiles(&self) -> (Words, [usize; 2]) {
        let tile = Heads::tile(8) as u32;
        assert!(tile >= 40);
        let tiles = [0, 40, 40, 0, 40, 17, 17, 0, 57, 7, 0, 0];
        (Words::new(&tiles, &self.weights(&[0.0])), [40, 17])
    }

    fn heads() -> Heads {
        Heads {
            biases: [0, WIDTH / LANES, 2 * WIDTH / LANES],
            count: 4,
            size: WIDTH / 4,
        }
    }

    fn attention(&self) {
        let shape = [ROWS, 3 * WIDTH];
        let qkv = numbers(ROWS * 3 * WIDTH, 1);
        let arriving = numbers(ROWS * WIDTH, 2);
        let bias = numbers(3 * WIDTH, 3);
        let (tiles, lengths) = self.tiles();
        let weights = self.weights(&bias);
        let none = Chance::new(0.0, 0);
        let rows = self.up(&qkv, shape);
        let (context, log_sum) = attend(&rows, &weights, &tiles, Self::heads(), none);
        let d_context = self.up(&arriving, [ROWS, WIDTH]);
        let kept = (&context, &log_sum);
        let found = attend_backward(
            &d_context,
            &rows,
            kept,
            &weights,
            &tiles,
            Self::heads(),
            none,
        );

        let leaf = tracked(&qkv, shape);
        let shifted = leaf.clone() + tracked(&bias, [1, 3 * WIDTH]).detach();
        let mut from = 0;
        let mut parts = Vec::new();
        for length in lengths {
            parts.push(plain_attention(shifted.clone().narrow(0, from, length)));
            from += length;
        }
        let out = Tensor::cat(parts, 0);
        let used = context.narrow(0, 0, from);
        self.same("a context", &used, &out.clone().inner());
        let loss = out
            * tracked(&arriving, [ROWS, WIDTH])
                .detach()
                .narrow(0, 0, from);
        let wanted = leaf.grad(&loss.sum().backward()).expect("a gradient");
        self.same("attention's gradient", &found, &wanted);
    }

    /// Context is linear in the values whatever is dropped, so both of these are the same sum.
    fn attention_with_dropout_is_linear_in_the_values(&self) {
        let rows = self.up(&numbers(ROWS * 3 * WIDTH, 4), [ROWS, 3 * WIDTH]);
        let d_context = self.up(&numbers(ROWS * WIDTH, 5), [ROWS, WIDTH]);
        let weights = self.weights(&vec![0.0; 3 * WIDTH]);
        let (tiles, chance) = (self.tiles().0, Chance::new(0.3, 7));
        let (context, log_sum) = attend(&rows, &weights, &tiles, Self::heads(), chance);
        let kept = (&context, &log_sum);
        let d_qkv = attend_backward(
            &d_context,
            &rows,
            kept,
            &weights,
            &tiles,
            Self::heads(),
            chance,
        );
        let product = |a: &Tensor<2>, b: &Tensor<2>| -> f32 {
            values(a).iter().zip(values(b)).map(|(a, b)| a * b).sum()
        };
        let one = product(&context, &d_context);
        let part = |x: &Tensor<2>| x.clone().narrow(1, 2 * WIDTH, WIDTH);
        let other = product(&part(&rows), &part(&d_qkv));
        assert!(
            (one - other).abs() < 0.02 * one.abs().max(1.0),
            "{one} and {other}"
        );
        let sure = Chance::new(0.0, 0);
        let (whole, _) = attend(&rows, &weights, &tiles, Self::heads(), sure);
        assert_ne!(values(&whole), values(&context));
    }

    fn norm_drops_on_its_way_back_what_it_dropped(&self) {
        let shape = [ROWS, WIDTH];
        let ones = self.up(&vec![1.0; ROWS * WIDTH], shape);
        let zeros = self.up(&vec![0.0; ROWS * WIDTH], shape);
        let mut row = vec![0.0; WIDTH];
        row.extend(vec![1.0; WIDTH]);
        row.extend(vec![0.0; WIDTH]);
        let at = NormAt {
            bias: 0,
            gain: WIDTH / LANES,
            shift: 2 * WIDTH / LANES,
            epsilon: 1e-5,
        };
        let (weights, chance) = (self.weights(&row), Chance::new(0.25, 3));
        let found = add_norm(&ones, &zeros, &weights, at, chance);
        let arriving = self.up(&numbers(ROWS * WIDTH, 6), shape);
        let back = norm_backward([Some(&arriving), None], &found, &weights, at, chance, false);
        let (out, sum, product) = (values(&found.out), values(&back.sum), values(&back.product));
        let dropped = out.iter().filter(|x| **x < 0.0).count();
        assert!(
            (300..=720).contains(&dropped),
            "{dropped} of {} dropped",
            out.len()
        );
        for i in 0..out.len() {
            let wanted = if out[i] < 0.0 { 0.0 } else { sum[i] / 0.75 };
            assert!(
                (product[i] - wanted).abs() <= 2e-3 * sum[i].abs().max(0.01),
                "number {i}"
            );
        }
    }

    fn sums(&self) {
        let shape = [ROWS, WIDTH];
        let x = numbers(ROWS * WIDTH, 1);
        let gradient = self.weights(&vec![1.0; 4 * WIDTH]);
        let part = Columns {
            of: WIDTH,
            from: 8,
            count: 16,
        };
        add_sum(&self.up(&x, shape), part, &gradient, 2, 0.5);
        let rows: Vec<u32> = vec![3, 5, 60, 7];
        let lists = Lists {
            rows: Words::new(&rows, &gradient),
            pieces: Words::new(&[0, 2, 3, 4], &gradient),
            lists: Words::new(&[0, 2, 3], &gradient),
            places: Words::new(&[WIDTH as u32 / 4, 2 * WIDTH as u32 / 4], &gradient),
            counts: [3, 2],
        };
        add_lists(&self.up(&x, shape), &lists, &gradient, 2.0);
        let mut wanted = vec![1.0f32; 4 * WIDTH];
        for row in 0..ROWS {
            for column in 0..16 {
                wanted[8 + column] += 0.5 * x[row * WIDTH + 8 + column];
            }
        }
        for (place, rows) in [(WIDTH, &rows[..3]), (2 * WIDTH, &rows[3..])] {
            for (row, column) in rows.iter().flat_map(|r| (0..WIDTH).map(move |c| (r, c))) {
                wanted[place + column] += 2.0 * x[*row as usize * WIDTH + column];
            }
        }
        self.same("sums", &gradient, &cpu(&wanted, [4 * WIDTH]));

        let shares = numbers(ROWS, 8);
        let starts = Words::new(&[0, 40, 57], &gradient);
        let pooled = pool(&self.up(&x, shape), &self.weights(&shares), &starts);
        let tokens = cpu(&x, shape) * cpu(&shares, [ROWS, 1]);
        let parts =
            [(0, 40), (40, 17)].map(|(from, n)| tokens.clone().narrow(0, from, n).sum_dim(0));
        self.same("pooled vectors", &pooled, &Tensor::cat(parts.to_vec(), 0));
    }
}

/// Softmax attention of one text, (L, 3 H) to (L, H).
fn plain_attention(qkv: Tensor<2>) -> Tensor<2> {
    let length = qkv.dims()[0];
    let part = |i: usize| {
        let rows = qkv.clone().narrow(1, i * WIDTH, WIDTH);
        rows.reshape([length, 4, WIDTH / 4]).swap_dims(0, 1)
    };
    let scores = part(0).matmul(part(1).swap_dims(1, 2)) / ((WIDTH / 4) as f64).sqrt();
    let context = activation::softmax(scores, 2).matmul(part(2));
    context.swap_dims(0, 1).reshape([length, WIDTH])
}
