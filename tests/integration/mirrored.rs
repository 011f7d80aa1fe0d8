//! Models that judge each film mirrored left to right too: the mean of both, whichever way round the film comes.

use std::fs;
use std::path::Path;

use roentgen::classifier::Classifier;
use roentgen::formats::ModelCard;
use roentgen::formats::folder::read_model_folder;
use roentgen::image::{Limits, Radiograph, decode};

use super::common::card;

const SIDE: usize = 128;

fn mirror(values: &[f32]) -> Vec<f32> {
    values.chunks(SIDE).flat_map(|row| row.iter().rev().copied()).collect()
}

/// The shipped scratch CNN, as it is and judging both sides; and a film that is not the same both ways.
fn models() -> ([Classifier; 2], Radiograph) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/models/scratch-cnn");
    let (card, safetensors) = read_model_folder(&folder).expect("the shipped model");
    let film = fs::read(folder.join("samples/covid-19.png")).expect("a sample");
    let film = decode(&film, &Limits::default()).expect("a film");
    let both = ModelCard { mirrored: true, ..card.clone() };
    ([card, both].map(|card| Classifier::new(card, &safetensors).expect("a classifier")), film)
}

#[test]
fn scores_are_those_of_the_mean_logits_and_the_same_for_the_mirrored_film() {
    let ([one, both], film) = models();
    let image = one.card().preprocess.apply(&film).expect("its input");
    let turned = mirror(&image);
    let [ahead, behind] = [&image, &turned].map(|image| one.logits(image).expect("logits"));
    assert!((ahead[0] - behind[0]).abs() > 0.01, "{ahead:?}, mirrored {behind:?}");
    let mean: Vec<f32> = ahead.iter().zip(&behind).map(|(a, b)| (a + b) / 2.0).collect();
    // Of two films at once the sums are made in another order.
    let found = both.logits(&[image, turned].concat()).expect("logits");
    assert!(
        found.iter().zip([&mean[..], &mean].concat()).all(|(a, b)| (a - b).abs() < 1e-5),
        "{found:?}, not {mean:?}"
    );

    let luma = film.luma().chunks(film.width()).flat_map(|row| row.iter().rev().copied()).collect();
    let turned = Radiograph::new(film.height(), film.width(), luma).expect("a film");
    let [ahead, behind] = [film, turned].map(|film| both.classify(&film).expect("a prediction").scores);
    for ((class, a), (_, b)) in ahead.iter().zip(behind.iter()) {
        assert!((a - b).abs() < 1e-6, "{class}: {a}, mirrored {b}");
    }
}

#[test]
fn the_heat_map_is_the_mean_of_both_maps_and_turns_with_the_film() {
    let ([one, both], film) = models();
    let image = one.card().preprocess.apply(&film).expect("its input");
    let [ahead, behind] = [image.clone(), mirror(&image)].map(|image| one.heat_map(&image, 0).values);
    assert!(ahead.iter().any(|v| *v > 0.0) && ahead != mirror(&behind));
    let sums: Vec<f32> = ahead.iter().zip(mirror(&behind)).map(|(a, b)| a + b).collect();
    let largest = sums.iter().copied().fold(0.0, f32::max);
    let map = both.heat_map(&image, 0).values;
    assert!(map.iter().zip(&sums).all(|(v, sum)| (v - sum / largest).abs() < 1e-6));
    let turned = mirror(&both.heat_map(&mirror(&image), 0).values);
    assert!(map.iter().zip(&turned).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn a_card_that_says_nothing_of_it_judges_films_as_they_are() {
    let json = card().to_json();
    assert!(!String::from_utf8_lossy(&json).contains("mirrored"));
    assert!(!ModelCard::from_json(&json).expect("a card").mirrored);
    let json = ModelCard { mirrored: true, ..card() }.to_json();
    assert!(ModelCard::from_json(&json).expect("a card").mirrored);
}
