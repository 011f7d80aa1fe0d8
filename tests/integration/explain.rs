//! Heat maps of the shipped model: they hang on its weights, and on what is in the film.

use std::fs;
use std::path::Path;

use roentgen::explain::grad_cam;
use roentgen::formats::folder::read_model_folder;
use roentgen::formats::{ModelCard, read_weights};
use roentgen::image::{Limits, Radiograph, decode};
use roentgen::models::Architecture;
use roentgen::nn::{Frozen, Graph, Precision, Weights};
use tempfile::tempdir;

use super::common::{CLASSES, brightness_model, roentgen, text};
use super::formula::uniform;

/// The scratch CNN as the page has it: its wide layer in two factors.
fn shipped() -> (ModelCard, Graph, Weights) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/models/scratch-cnn");
    let (card, safetensors) = read_model_folder(&folder).expect("the shipped model");
    let graph = Architecture::of(&card).expect("its network").graph(card.classes.len());
    (card, graph, read_weights(&safetensors).expect("its weights"))
}

/// The pictures that the page offers: averages of films of each class.
fn samples() -> Vec<Radiograph> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/models/scratch-cnn/samples");
    let film =
        |name: &str| decode(&fs::read(folder.join(name)).expect("a sample"), &Limits::default()).expect("a film");
    ["covid-19.png", "normal.png"].map(film).to_vec()
}

/// Spearman's rank correlation: Pearson's of the ranks, equal values having the mean of theirs.
fn rank_correlation(a: &[f32], b: &[f32]) -> f64 {
    let ranks = |values: &[f32]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|i, j| values[*i].total_cmp(&values[*j]));
        let mut ranks = vec![0.0; values.len()];
        for equal in order.chunk_by(|i, j| values[*i] == values[*j]) {
            let first = order.partition_point(|i| values[*i] < values[equal[0]]);
            equal.iter().for_each(|i| ranks[*i] = first as f64 + (equal.len() - 1) as f64 / 2.0);
        }
        ranks
    };
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() - 1) as f64 / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

/// SciPy 1.17.1: spearmanr([1, 2, 2, 5, 0], [3, 1, 4, 9, 2]) = 0.5642880936468347.
#[test]
fn rank_correlation_is_scipys() {
    let found = rank_correlation(&[1.0, 2.0, 2.0, 5.0, 0.0], &[3.0, 1.0, 4.0, 9.0, 2.0]);
    assert!((found - 0.564_288_093_646_834_7).abs() < 1e-12, "{found}");
}

/// The sanity check of Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018 (arXiv:1810.03292): a map that
/// stays the same when the weights are drawn anew shows edges of the film, not what the network learned.
#[test]
fn maps_change_when_the_weights_are_drawn_anew() {
    let (card, graph, weights) = shipped();
    let maps = |weights: Weights| -> Vec<Vec<f32>> {
        let network = Frozen::new(&graph, weights, Precision::Float).expect("weights that fit");
        let film = |film: &Radiograph| card.preprocess.apply(film).expect("a film");
        let films: Vec<_> = samples().iter().map(film).collect();
        (0..card.classes.len())
            .flat_map(|class| films.iter().map(move |film| (class, film)))
            .map(|(class, film)| grad_cam(&network, film, class).values)
            .collect()
    };
    let before = maps(weights.clone());
    for seed in 0..3 {
        let mut drawn = weights.clone();
        // From the top down, as in the paper, all layers one after the other: each as large as it was.
        for (i, layer) in ["dense2", "dense1", "conv2", "conv1"].into_iter().enumerate() {
            for (j, tensor) in
                drawn.0.iter_mut().filter(|(name, _)| name.starts_with(layer)).map(|(_, t)| t).enumerate()
            {
                let size = tensor.values.iter().fold(0.0_f32, |max, v| max.max(v.abs()));
                let stream = 90_000 + 100 * seed + 10 * i as u64 + j as u64;
                let bound = f64::from(size);
                tensor.values = uniform(stream, -bound, bound).take(tensor.values.len()).collect();
            }
            let after = maps(drawn.clone());
            let correlations: Vec<f64> = before.iter().zip(&after).map(|(a, b)| rank_correlation(a, b)).collect();
            println!("seed {seed}, down to {layer}: rank correlation {correlations:.2?}");
            // With the features drawn anew nothing is left. Maps are smooth, some fifty places apart, so that two that have
            // nothing to do with each other correlate by ±0.14 as it happens; four such spreads.
            let nothing_left = layer.starts_with("conv");
            assert!(!nothing_left || correlations.iter().all(|r| r.abs() < 0.56), "{layer}: {correlations:?}");
            // With the last layer alone drawn anew the features are those that were learned, and maps may look alike.
            let mean = correlations.iter().map(|r| r.abs()).sum::<f64>() / correlations.len() as f64;
            assert!(mean < 0.8, "{layer}: {correlations:?}");
        }
    }
}

fn explain(model: &Path, film: &Path, out: &Path, more: &[&str]) -> std::process::Output {
    let mut args = vec!["predict".as_ref(), "--model".as_ref(), model.as_os_str(), film.as_os_str()];
    args.extend(["--explain".as_ref(), out.as_os_str()]);
    args.extend(more.iter().map(std::ffi::OsStr::new));
    roentgen(args)
}

#[test]
fn command_line_writes_the_film_with_the_map_over_it() {
    let dir = tempdir().expect("a temporary folder");
    let model = brightness_model(dir.path());
    let (film, out) = (dir.path().join("film.png"), dir.path().join("map.png"));
    // Bright on the left: that is all that the model looks at.
    let picture = image::GrayImage::from_fn(300, 200, |x, _| image::Luma([if x < 150 { 230 } else { 40 }]));
    picture.save(&film).expect("a film");

    let output = explain(&model, &film, &out, &["--class", CLASSES[0]]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("film.png"), "the prediction is printed all the same");
    let map = image::open(&out).expect("a picture").to_rgb8();
    assert_eq!(map.dimensions(), (300, 200));
    // The middle of the left half is as hot as can be: 0.6 of the way from grey 230 to [252, 255, 164].
    assert_eq!(map.get_pixel(75, 100).0, [243, 245, 190]);
    // The right half has 40/230 of that, and keeps its grey but for a tenth of the colour.
    let [red, green, blue] = map.get_pixel(225, 100).0.map(i32::from);
    assert!((red - 45).abs() < 8 && (green - 37).abs() < 8 && (blue - 47).abs() < 8, "{red}, {green}, {blue}");

    // The other class's logit is constant: nothing raises it, and the film stays as it is.
    assert!(explain(&model, &film, &out, &["--class", CLASSES[1]]).status.success());
    let plain = image::open(&out).expect("a picture").to_rgb8();
    assert!(plain.pixels().zip(picture.pixels()).all(|(a, b)| a.0 == [b.0[0]; 3]));
}

#[test]
fn what_cannot_be_explained_is_said_and_writes_nothing() {
    let dir = tempdir().expect("a temporary folder");
    let model = brightness_model(dir.path());
    let (film, out) = (dir.path().join("film.png"), dir.path().join("map.png"));
    super::common::grey_film(&film, 100);
    let class = explain(&model, &film, &out, &["--class", "Mass"]);
    assert_eq!(class.status.code(), Some(1));
    assert!(text(&class.stderr).contains("unknown class `Mass`; the model has: COVID-19, Normal"));
    let two = explain(&model, &film, &out, &["another.png"]);
    assert_eq!(two.status.code(), Some(1));
    assert!(text(&two.stderr).contains("2 files are named"), "{}", text(&two.stderr));
    let missing = explain(&model, &dir.path().join("none.png"), &out, &[]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(!out.exists());
}
