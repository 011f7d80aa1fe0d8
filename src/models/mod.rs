//! The networks, one file each, and the list of them.

mod efficientnet_lite0;
#[cfg(feature = "cli")]
mod efficientnet_pytorch;
#[cfg(feature = "cli")]
mod initial;
mod inverted_residual;
mod mobilenet_v2;
pub(crate) mod normalised;
mod resnet50;
mod scratch_cnn;

use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::formats::ModelCard;
use crate::nn::Graph;
use crate::preprocess::Preprocess;

pub use efficientnet_lite0::{efficientnet_lite0, efficientnet_lite0_slim};
#[cfg(feature = "cli")]
pub use initial::read_initial;
pub use mobilenet_v2::mobilenet_v2;
pub use resnet50::resnet50;
pub use scratch_cnn::{SIDE as SCRATCH_CNN_SIDE, scratch_cnn, up_to_dense1};

/// The networks that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// The small network of the tutorial this project starts from, see [`scratch_cnn()`].
    ScratchCnn,
    /// See [`resnet50()`].
    ResNet50,
    /// See [`mobilenet_v2()`].
    MobileNetV2,
    /// See [`efficientnet_lite0()`].
    EfficientNetLite0,
    /// See [`efficientnet_lite0_slim()`].
    EfficientNetLite0Slim,
}

/// Side of the images that networks for ImageNet take, in pixels.
const IMAGENET_SIDE: usize = 224;

/// Side of the slim network's images where nothing else is said, in pixels: three quarters of the larger one's work.
const SLIM_SIDE: usize = 192;

/// Sides of images, in pixels, for which the networks can be built that end with a mean over the image: below, little is left
/// at their last convolution; above, a card could ask for any amount of memory.
const SIDES: RangeInclusive<usize> = 64..=512;

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::ScratchCnn, Self::ResNet50, Self::MobileNetV2, Self::EfficientNetLite0, Self::EfficientNetLite0Slim];

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

    /// The network of a model.
    ///
    /// # Errors
    /// [`Error::UnknownArchitecture`], and [`Error::ModelCard`] for a card whose preprocessing does not give what the
    /// network takes.
    pub fn of(card: &ModelCard) -> Result<Self> {
        let architecture = Self::from_name(&card.architecture)?;
        architecture.check(&card.preprocess).map_err(|reason| Error::ModelCard { reason })?;
        Ok(architecture)
    }

    /// What is wrong with `preprocess` for this network.
    fn check(self, preprocess: &Preprocess) -> std::result::Result<(), String> {
        let given = [preprocess.channels, preprocess.height, preprocess.width];
        let own @ [channels, ..] = self.input();
        let side = preprocess.height;
        if given == own || self.takes_any_side() && given == [channels, side, side] && SIDES.contains(&side) {
            return Ok(());
        }
        let others = match self.takes_any_side() {
            true => format!(", or the same with other sides of {} to {} px", SIDES.start(), SIDES.end()),
            false => String::new(),
        };
        Err(format!("`preprocess` gives {given:?} (channels, height, width); `{}` takes {own:?}{others}", self.name()))
    }

    /// Whether its weights are the same for images of any size: it ends with a mean over the image.
    fn takes_any_side(self) -> bool {
        self != Self::ScratchCnn
    }

    /// The network for `classes` classes and films as `preprocess` gives them.
    ///
    /// # Errors
    /// [`Error::Config`] where those are not what it takes.
    pub fn network(self, preprocess: &Preprocess, classes: usize) -> Result<Graph> {
        self.check(preprocess).map_err(|reason| Error::Config { field: "preprocess", reason })?;
        self.graph_for(preprocess.height, classes)
    }

    /// Name on the command line and in model cards.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScratchCnn => "scratch-cnn",
            Self::ResNet50 => "resnet50",
            Self::MobileNetV2 => "mobilenet-v2",
            Self::EfficientNetLite0 => "efficientnet-lite0",
            Self::EfficientNetLite0Slim => "efficientnet-lite0-slim",
        }
    }

    /// Side of the images, in pixels.
    fn side(self) -> usize {
        match self {
            Self::ScratchCnn => SCRATCH_CNN_SIDE,
            Self::ResNet50 | Self::MobileNetV2 | Self::EfficientNetLite0 => IMAGENET_SIDE,
            Self::EfficientNetLite0Slim => SLIM_SIDE,
        }
    }

    /// Dimensions of one input where nothing else is said, `[channels, height, width]`.
    pub fn input(self) -> [usize; 3] {
        let channels = if self == Self::EfficientNetLite0Slim { 1 } else { 3 };
        [channels, self.side(), self.side()]
    }

    /// The preprocessing of the network's recipe: for the scratch CNN values divided by 255 and nothing else; for those
    /// trained on ImageNet its mean and deviation besides, averaged over the colours, of which a film has none.
    pub fn preprocess(self) -> Preprocess {
        let [channels, height, width] = self.input();
        let (mean, std) = match self {
            Self::ScratchCnn => (0.0, 1.0),
            // (0.485 + 0.456 + 0.406) / 3 and (0.229 + 0.224 + 0.225) / 3.
            Self::ResNet50 | Self::MobileNetV2 | Self::EfficientNetLite0 => (0.449, 0.226),
            // Of the weights that it starts from, which were trained on (v - 127) / 128 with v in 0..=255.
            Self::EfficientNetLite0Slim => (0.498, 0.502),
        };
        Preprocess { mean, std, ..Preprocess::new(channels, height, width) }
    }

    /// The network for `classes` classes.
    pub fn graph(self, classes: usize) -> Graph {
        self.graph_for(self.side(), classes).expect("its own images are large enough")
    }

    /// The network for images of `side` × `side` instead of its own.
    ///
    /// # Errors
    /// [`Error::Config`] when they are too small.
    pub fn graph_for(self, side: usize, classes: usize) -> Result<Graph> {
        match self {
            Self::ScratchCnn => scratch_cnn(side, classes),
            Self::ResNet50 => resnet50(side, classes),
            Self::MobileNetV2 => mobilenet_v2(side, classes),
            Self::EfficientNetLite0 => efficientnet_lite0(side, classes),
            Self::EfficientNetLite0Slim => efficientnet_lite0_slim(side, classes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_end_with_a_mean_take_other_sides_and_the_scratch_cnn_its_own() {
        for architecture in Architecture::ALL {
            let own = architecture.preprocess();
            let network = |height, width| architecture.network(&Preprocess { height, width, ..own.clone() }, 3);
            let [channels, side, _] = architecture.input();
            assert_eq!(network(side, side).unwrap().input(), [channels, side, side]);
            let other = network(256, 256);
            if architecture == Architecture::ScratchCnn {
                let refused = other.unwrap_err().to_string();
                assert!(
                    refused.contains("gives [3, 256, 256]") && refused.ends_with("takes [3, 128, 128]"),
                    "{refused}"
                );
            } else {
                let other = other.unwrap();
                assert_eq!(other.input(), [channels, 256, 256]);
                assert_eq!(other.parameter_count(), architecture.graph(3).parameter_count());
            }
            for (height, width) in [(256, 224), (63, 63), (513, 513)] {
                assert!(network(height, width).is_err(), "{} took {height} × {width}", architecture.name());
            }
        }
    }

    #[test]
    fn networks_have_the_published_numbers_of_trained_parameters() {
        // torchvision 0.29 and timm 1.0, `sum(p.numel() for p in model.parameters())` of each with 1000 classes.
        for (architecture, published) in [
            (Architecture::ResNet50, 25_557_032),
            (Architecture::MobileNetV2, 3_504_872),
            (Architecture::EfficientNetLite0, 4_652_008),
        ] {
            let graph = architecture.graph(1000);
            let trained: usize = graph.parameters().iter().filter(|spec| spec.trained).map(|spec| spec.len()).sum();
            assert_eq!(trained, published, "{}", architecture.name());
        }
    }
}
