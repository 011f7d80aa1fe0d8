//! Grad-CAM: the last feature maps, weighted by what they do to one class.

use super::HeatMap;
use crate::nn::{FeatureMaps, Frozen};
use crate::preprocess::resize;

/// Grad-CAM heat map of one class: where the last feature maps raise its logit.
///
/// `L = ReLU(Σₖ αₖ Aₖ)`, `αₖ` the spatial mean of `∂logit/∂Aₖ`; divided by its maximum, then resized bilinearly. The maps
/// are those of the last convolution, before any pooling, see [`Frozen::feature_maps`]. Their first and last pixels are laid on
/// the image's borders; a network without padding sees a little less than that (the scratch CNN: all but 6 of 128 pixels).
///
/// # Shapes and units
/// - `image`: `[c, h, w]`, preprocessed
/// - returns `[h, w]` row-major in `[0, 1]`, no unit; all zeros when nothing raises the logit
///
/// # Panics
/// When `image` is not one image of the network, or it has no logit `class`.
///
/// # Source
/// Selvaraju et al., ICCV 2017, eqs. 1–2 (arXiv:1610.02391).
pub fn grad_cam(network: &Frozen, image: &[f32], class: usize) -> HeatMap {
    let maps = network.feature_maps(image, class);
    let [rows, columns, _] = maps.shape;
    let mut coarse = weighted_sum(&maps);
    let largest = coarse.iter().copied().fold(0.0, f32::max);
    let [_, height, width] = network.input();
    if largest > 0.0 {
        coarse.iter_mut().for_each(|v| *v /= largest);
    }
    HeatMap { height, width, values: resize(&coarse, rows, columns, height, width) }
}

/// `ReLU(Σₖ αₖ Aₖ)` at every place of the feature maps, summed in f64: its terms may nearly cancel.
fn weighted_sum(maps: &FeatureMaps) -> Vec<f32> {
    let [rows, columns, channels] = maps.shape;
    let mut alpha = vec![0.0; channels];
    for pixel in maps.gradient.chunks_exact(channels) {
        alpha.iter_mut().zip(pixel).for_each(|(alpha, gradient)| *alpha += f64::from(*gradient));
    }
    alpha.iter_mut().for_each(|alpha| *alpha /= (rows * columns) as f64);
    let sum = |pixel: &[f32]| pixel.iter().zip(&alpha).map(|(a, alpha)| alpha * f64::from(*a)).sum::<f64>();
    maps.activations.chunks_exact(channels).map(|pixel| sum(pixel).max(0.0) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Activation, Conv2d, Graph, Precision, Tensor, Weights};

    fn frozen(graph: &Graph, tensors: &[(&str, &[usize], &[f32])]) -> Frozen {
        let tensors = tensors.iter().map(|(name, shape, values)| {
            (String::from(*name), Tensor { shape: shape.to_vec(), values: values.to_vec() })
        });
        Frozen::new(graph, Weights(tensors.collect()), Precision::Float).unwrap()
    }

    /// Two feature maps, `x` and `max(0, 3 − x)`, their means, and two logits: the first map less twice the second, and
    /// less both.
    fn means() -> Frozen {
        let mut net = Graph::new([1, 2, 2]);
        let x = net.conv2d("conv", net.image(), Conv2d::valid(2, 1)).unwrap();
        let x = net.average_pool("mean", x);
        net.dense("dense", x, 2, Activation::Linear);
        frozen(
            &net,
            &[
                ("conv.weight", &[2, 1, 1, 1], &[1.0, -1.0]),
                ("conv.bias", &[2], &[0.0, 3.0]),
                ("dense.weight", &[2, 2], &[1.0, -2.0, -1.0, -1.0]),
                ("dense.bias", &[2], &[5.0, 5.0]),
            ],
        )
    }

    /// By hand: A₁ = [1, 2, 3, 4], A₂ = [2, 1, 0, 0], α = [1, −2] / 4, so L = ReLU([−¾, 0, ¾, 1]).
    #[test]
    fn map_of_a_made_up_network_is_the_one_worked_out_by_hand() {
        let map = grad_cam(&means(), &[1.0, 2.0, 3.0, 4.0], 0);
        assert_eq!(map, HeatMap { height: 2, width: 2, values: vec![0.0, 0.0, 0.75, 1.0] });
    }

    #[test]
    fn map_of_a_class_that_nothing_raises_is_zero() {
        assert_eq!(grad_cam(&means(), &[1.0, 2.0, 3.0, 4.0], 1).values, [0.0; 4]);
    }

    /// By hand: the map is the image; of the windows 8, 6, 4 and 2 win, and weigh 1, −1, 2 and 0 in the logit, so
    /// α = (1 − 1 + 2 + 0) / 16 and L is α times the image, up to its largest, 8.
    #[test]
    fn pooling_and_dense_layers_are_gone_back_through() {
        let mut net = Graph::new([1, 4, 4]);
        let x = net.conv2d("conv", net.image(), Conv2d::valid(1, 1)).unwrap();
        let x = net.max_pool2d("pool", x, 2, 2, 0).unwrap();
        let x = net.flatten("flatten", x);
        net.dense("dense", x, 1, Activation::Linear);
        let tensors: [(&str, &[usize], &[f32]); 4] = [
            ("conv.weight", &[1, 1, 1, 1], &[1.0]),
            ("conv.bias", &[1], &[0.0]),
            ("dense.weight", &[1, 4], &[1.0, -1.0, 2.0, 0.0]),
            ("dense.bias", &[1], &[0.0]),
        ];
        let image = [8.0, 1.0, 6.0, 1.0, 1.0, 1.0, 1.0, 1.0, 4.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let map = grad_cam(&frozen(&net, &tensors), &image, 0);
        assert_eq!(map.values, image.map(|v| v / 8.0));
        // With the weights turned round nothing raises the logit.
        let turned = [tensors[0], tensors[1], ("dense.weight", &[1, 4][..], &[-1.0, 1.0, -2.0, 0.0][..]), tensors[3]];
        assert_eq!(grad_cam(&frozen(&net, &turned), &image, 0).values, [0.0; 16]);
    }

    #[test]
    fn map_has_the_images_size_whatever_the_feature_maps_have() {
        let mut net = Graph::new([1, 9, 7]);
        let layer = Conv2d { stride: 3, ..Conv2d::valid(1, 3) };
        let x = net.conv2d("conv", net.image(), layer).unwrap();
        let x = net.average_pool("mean", x);
        net.dense("dense", x, 1, Activation::Linear);
        let tensors: [(&str, &[usize], &[f32]); 4] = [
            ("conv.weight", &[1, 1, 3, 3], &[1.0; 9]),
            ("conv.bias", &[1], &[0.0]),
            ("dense.weight", &[1, 1], &[1.0]),
            ("dense.bias", &[1], &[0.0]),
        ];
        // Light in the lower rows only: 3×2 places, of which the last two are bright.
        let image: Vec<f32> = (0..63).map(|i| if i < 42 { 0.0 } else { 1.0 }).collect();
        let map = grad_cam(&frozen(&net, &tensors), &image, 0);
        assert_eq!((map.height, map.width, map.values.len()), (9, 7, 63));
        assert!(map.values[..28].iter().all(|v| *v == 0.0) && map.values[56..].iter().all(|v| *v == 1.0), "{map:?}");
        assert!(map.values.windows(8).all(|pair| pair[7] >= pair[0]), "brighter downwards: {map:?}");
    }
}
