//! The networks, one file each, and the list of them.

mod scratch_cnn;

use crate::error::{Error, Result};
use crate::nn::{Graph, LayerSummary};
use crate::preprocess::{Contrast, Preprocess};

pub use scratch_cnn::{SIDE as SCRATCH_CNN_SIDE, scratch_cnn, up_to_dense1};

/// The networks that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// The small network of the tutorial this project starts from, see [`scratch_cnn()`].
    ScratchCnn,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::ScratchCnn];

    /// The architecture called `name`.
    ///
    /// # Errors
    /// [`Error::UnknownArchitecture`], which lists the known ones.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::UnknownArchitecture { name: name.to_owned(), known }
        })
    }

    /// Name on the command line and in model cards.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScratchCnn => "scratch-cnn",
        }
    }

    /// Dimensions of one input, `[channels, height, width]`.
    pub fn input(self) -> [usize; 3] {
        match self {
            Self::ScratchCnn => [3, SCRATCH_CNN_SIDE, SCRATCH_CNN_SIDE],
        }
    }

    /// The preprocessing of the network's recipe; for the scratch CNN values divided by 255 and nothing else.
    pub fn preprocess(self) -> Preprocess {
        let [channels, height, width] = self.input();
        Preprocess { height, width, channels, contrast: Contrast::None, mean: 0.0, std: 1.0 }
    }

    /// The network for `classes` classes.
    pub fn graph(self, classes: usize) -> Graph {
        match self {
            Self::ScratchCnn => scratch_cnn(SCRATCH_CNN_SIDE, classes).expect("its own images are large enough"),
        }
    }

    /// The layers in order.
    pub fn summary(self, classes: usize) -> Vec<LayerSummary> {
        self.graph(classes).summary()
    }

    /// Trainable parameters in all.
    pub fn parameters(self, classes: usize) -> usize {
        self.summary(classes).iter().map(|layer| layer.parameters).sum()
    }
}
