//! The weights of a network: their names and shapes in a file, how they start, and the order that the kernels want.

use std::ops::Range;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::kernels::dense::place_in_blocks;

/// A weight or bias as files have it.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterSpec {
    /// Name, such as `dense1.weight`.
    pub name: String,
    /// Dimensions, `[out, in, kh, kw]`, `[out, in]` or `[out]`.
    pub shape: Vec<usize>,
    /// How it starts.
    pub initial: Initial,
    /// How the kernels want it.
    pub order: Order,
    /// Whether a gradient moves it; running statistics move by themselves.
    pub trained: bool,
}

/// Values before the first step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Uniform on `±bound`.
    Uniform {
        /// The largest magnitude.
        bound: f64,
    },
}

impl Initial {
    /// Glorot's uniform distribution on `±√(6 / (fan_in + fan_out))`, Keras's default.
    ///
    /// For a convolution the fans are channels times the kernel's area.
    ///
    /// # Source
    /// Glorot and Bengio, AISTATS 2010, eq. 16.
    pub fn glorot_uniform([fan_in, fan_out]: [usize; 2]) -> Self {
        Self::Uniform { bound: (6.0 / (fan_in + fan_out) as f64).sqrt() }
    }
}

/// An order of a weight's values other than the file's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As in the file.
    Same,
    /// `[outputs, inputs, taps]` becomes `[taps, inputs, outputs]`.
    Kernel {
        /// Channels of the output.
        outputs: usize,
        /// Channels of the input.
        inputs: usize,
        /// Pixels of the kernel.
        taps: usize,
    },
    /// `[outputs, channels, pixels]` becomes `[outputs, pixels, channels]`, in
    /// [blocks](crate::kernels::dense::BLOCK) of columns.
    Dense {
        /// Rows.
        outputs: usize,
        /// Channels of what was flattened.
        channels: usize,
        /// Pixels of what was flattened.
        pixels: usize,
    },
}

impl Order {
    /// Calls `visit(place in memory)` for each value of `range`, places in the file, in their order.
    fn each(self, range: Range<usize>, mut visit: impl FnMut(usize)) {
        match self {
            Self::Same => range.for_each(visit),
            Self::Kernel { outputs, inputs, taps } => range.for_each(|i| {
                let (output, input, tap) = (i / taps / inputs, i / taps % inputs, i % taps);
                visit((tap * inputs + input) * outputs + output);
            }),
            Self::Dense { outputs, channels, pixels } => {
                let place = place_in_blocks(channels * pixels, outputs);
                // Counted on: a division for each of 27 million values would take longer than all else.
                let (mut channel, mut pixel) = (range.start / pixels % channels, range.start % pixels);
                let mut output = range.start / pixels / channels;
                for _ in range {
                    visit(place(output, pixel * channels + channel));
                    pixel += 1;
                    if pixel == pixels {
                        (pixel, channel) = (0, channel + 1);
                    }
                    if channel == channels {
                        (channel, output) = (0, output + 1);
                    }
                }
            }
        }
    }

    /// Puts the values that lie from place `first` on in the file where they belong in memory.
    pub fn put(self, first: usize, file: &[f32], memory: &mut [f32]) {
        let mut values = file.iter();
        let take = |place| memory[place] = *values.next().expect("one for each place");
        self.each(first..first + file.len(), take);
    }

    /// Takes the values out of memory that lie from place `first` on in the file: the reverse of [`put`](Self::put).
    pub fn take(self, first: usize, memory: &[f32], file: &mut [f32]) {
        let range = first..first + file.len();
        let mut values = file.iter_mut();
        self.each(range, |place| *values.next().expect("one for each place") = memory[place]);
    }

    /// Values in the file's order put into the kernels'.
    pub fn into_memory(self, file: Vec<f32>) -> Vec<f32> {
        if self == Self::Same {
            return file;
        }
        let mut memory = vec![0.0; file.len()];
        self.put(0, &file, &mut memory);
        memory
    }

    /// The reverse of [`into_memory`](Self::into_memory).
    pub fn to_file(self, memory: &[f32]) -> Vec<f32> {
        let mut file = vec![0.0; memory.len()];
        self.take(0, memory, &mut file);
        file
    }
}

impl ParameterSpec {
    /// Values in all.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is a weight rather than a bias: weights decay.
    pub fn is_weight(&self) -> bool {
        self.shape.len() > 1
    }

    /// Values before the first step, in the file's order.
    ///
    /// They depend on the seed and the name alone, so neither the order of layers nor a layer added elsewhere changes the
    /// others' start.
    pub fn draw(&self, seed: u64) -> Vec<f32> {
        match self.initial {
            Initial::Zeros => vec![0.0; self.len()],
            Initial::Ones => vec![1.0; self.len()],
            Initial::Uniform { bound } => {
                let mut hash = Sha256::new();
                hash.update(seed.to_le_bytes());
                hash.update(&self.name);
                let mut rng = ChaCha8Rng::from_seed(hash.finalize().into());
                (0..self.len()).map(|_| rng.random_range(-bound as f32..bound as f32)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dense::BLOCK;

    #[test]
    fn every_order_comes_back() {
        for order in [
            Order::Same,
            Order::Kernel { outputs: 3, inputs: 4, taps: 6 },
            Order::Dense { outputs: 3, channels: 4, pixels: 6 },
            Order::Dense { outputs: 2, channels: 3, pixels: BLOCK },
        ] {
            let len =
                if let Order::Dense { outputs, channels, pixels } = order { outputs * channels * pixels } else { 72 };
            let file: Vec<f32> = (0..len).map(|i| i as f32).collect();
            let memory = order.into_memory(file.clone());
            assert_eq!(order.to_file(&memory), file, "{order:?}");
            let mut parts = vec![0.0; len];
            parts.chunks_mut(5).enumerate().for_each(|(i, part)| order.take(5 * i, &memory, part));
            assert_eq!(parts, file, "{order:?}");
            let mut again = vec![0.0; len];
            file.chunks(7).enumerate().for_each(|(i, part)| order.put(7 * i, part, &mut again));
            assert_eq!(again, memory, "{order:?}");
            assert_eq!(memory == file, order == Order::Same, "{order:?}");
        }
    }

    #[test]
    fn neither_order_nor_other_weights_change_a_draw() {
        let spec = |name: &str| ParameterSpec {
            name: name.to_owned(),
            shape: vec![8],
            initial: Initial::Uniform { bound: 1.0 },
            order: Order::Same,
            trained: true,
        };
        assert_eq!(spec("a").draw(1), spec("a").draw(1));
        assert_ne!(spec("a").draw(1), spec("b").draw(1));
        assert_ne!(spec("a").draw(1), spec("a").draw(2));
    }
}
