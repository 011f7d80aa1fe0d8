//! The networks, one file each, and the list of them.

mod scratch_cnn;

use candle_core::Tensor;
use candle_nn::VarBuilder;

use crate::error::{Error, Result};
use crate::nn::Dropout;
use crate::preprocess::{Contrast, Preprocess};

pub use scratch_cnn::{FrozenScratchCnn, ScratchCnn};

/// A network that classifies images.
pub trait Model: Send + Sync {
    /// Logits `[n, k]` of preprocessed images `[n, c, h, w]`; `dropout` is given while training only.
    ///
    /// # Errors
    /// When the images have other dimensions than the network was built for.
    fn forward_t(&self, images: &Tensor, dropout: Option<&mut Dropout>) -> Result<Tensor>;

    /// Logits `[n, k]` of preprocessed images `[n, c, h, w]`.
    ///
    /// # Errors
    /// When the images have other dimensions than the network was built for.
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        self.forward_t(images, None)
    }
}

/// The networks that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// The small network of the tutorial this project starts from, see [`ScratchCnn`].
    ScratchCnn,
}

/// One line of a layer table, as Keras prints it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LayerSummary {
    /// Name in the network, `conv1`.
    pub name: String,
    /// Kind of layer, `Conv2d`.
    pub kind: String,
    /// Dimensions of the output without the batch, `[c, h, w]` or `[values]`.
    pub output: Vec<usize>,
    /// Weights and biases.
    pub parameters: usize,
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
            Self::ScratchCnn => [3, ScratchCnn::SIDE, ScratchCnn::SIDE],
        }
    }

    /// The preprocessing of the network's recipe; for the scratch CNN values divided by 255 and nothing else.
    pub fn preprocess(self) -> Preprocess {
        let [channels, height, width] = self.input();
        Preprocess { height, width, channels, contrast: Contrast::None, mean: 0.0, std: 1.0 }
    }

    /// The layers in order.
    pub fn summary(self, classes: usize) -> Vec<LayerSummary> {
        match self {
            Self::ScratchCnn => ScratchCnn::summary(classes),
        }
    }

    /// Trainable parameters in all.
    pub fn parameters(self, classes: usize) -> usize {
        self.summary(classes).iter().map(|layer| layer.parameters).sum()
    }

    /// Builds the network from weights, or from variables that are drawn as it asks for them.
    ///
    /// # Errors
    /// [`Error::TensorMissing`] and [`Error::TensorShape`] name the weight that does not fit.
    pub fn build(self, vb: VarBuilder<'_>, classes: usize) -> Result<Box<dyn Model>> {
        match self {
            Self::ScratchCnn => Ok(Box::new(ScratchCnn::new(vb, ScratchCnn::SIDE, classes)?)),
        }
    }

    /// Builds the network for use: its weights cannot change any more, which lets it prepare them.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    pub fn build_frozen(self, vb: VarBuilder<'_>, classes: usize) -> Result<Box<dyn Model>> {
        match self {
            Self::ScratchCnn => {
                let network = ScratchCnn::new(vb, ScratchCnn::SIDE, classes)?;
                Ok(Box::new(FrozenScratchCnn::new(network, ScratchCnn::SIDE)?))
            }
        }
    }
}
