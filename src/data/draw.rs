//! Films that are drawn more often than others.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A folder whose films are drawn more often, or less, than [`Balance::SquareRoot`](super::Balance) alone would: few films
/// that a network has to learn from all the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draw {
    /// The class folder's name.
    pub folder: String,
    /// How many times as often, 0.01 to 100.
    pub times: f64,
}

impl Draw {
    /// What `FOLDER=TIMES` says.
    ///
    /// # Errors
    /// [`Error::Config`] when it says nothing of the kind.
    pub fn parse(text: &str) -> Result<Self> {
        let draw = text.rsplit_once('=').and_then(|(folder, times)| {
            let folder = folder.trim().to_owned();
            times.trim().parse().ok().filter(|_| !folder.is_empty()).map(|times| Self { folder, times })
        });
        draw.filter(|draw| (0.01..=100.0).contains(&draw.times)).ok_or_else(|| {
            let reason =
                format!("`{text}`; write FOLDER=TIMES with a number from 0.01 to 100, such as `Other Pneumonia=3`");
            Error::Config { field: "draw", reason }
        })
    }

    /// How many times as often the films of each folder in `folders` are drawn.
    ///
    /// # Errors
    /// [`Error::Config`] for a folder that is none of them, or that is named twice.
    pub(super) fn times(draws: &[Self], folders: &[&str]) -> Result<Vec<f64>> {
        let mut times = vec![1.0; folders.len()];
        for (i, Self { folder, times: given }) in draws.iter().enumerate() {
            let refuse = |reason| Err(Error::Config { field: "draw", reason });
            if draws[..i].iter().any(|other| other.folder == *folder) {
                return refuse(format!("`{folder}` is named twice"));
            }
            match folders.iter().position(|known| known == folder) {
                Some(label) => times[label] = *given,
                None => return refuse(format!("no films are of `{folder}`; there are: {}", folders.join(", "))),
            }
        }
        Ok(times)
    }
}

/// About `count` indices of `samples`, the collections of each class in proportion to the square root of their images, as
/// [`Balance::SquareRoot`](super::Balance) draws them, `draws` on top of that: each image of a collection as often as the
/// others, or once more.
///
/// # Errors
/// Those of [`Draw::times`]; `folders` are named by [`Sample::class`](super::Sample::class).
#[cfg(feature = "cli")]
pub fn draw_by_square_root(
    samples: &[super::Sample],
    folders: &[&str],
    draws: &[Draw],
    count: usize,
) -> Result<Vec<usize>> {
    let times = Draw::times(draws, folders)?;
    let mut collections = std::collections::BTreeMap::<(usize, Option<&str>), Vec<usize>>::new();
    for (i, sample) in samples.iter().enumerate() {
        collections.entry((sample.class, sample.source.as_deref())).or_default().push(i);
    }
    let weight = |class: usize, images: &[usize]| times[class] * (images.len() as f64).sqrt();
    let sum: f64 = collections.iter().map(|(&(class, _), images)| weight(class, images)).sum();
    let drawn = collections.iter().flat_map(|(&(class, _), images)| {
        let wanted = (count as f64 * weight(class, images) / sum).round().max(1.0) as usize;
        // Evenly over the whole list, however many are wanted.
        (0..wanted).map(move |i| images[i * images.len() / wanted % images.len()])
    });
    Ok(drawn.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_and_a_number_are_read_and_found() {
        let draw = Draw::parse("Other Pneumonia = 2.5").unwrap();
        assert_eq!((draw.folder.as_str(), draw.times), ("Other Pneumonia", 2.5));
        let times = |draws: &[Draw]| Draw::times(draws, &["Normal", "Other Pneumonia"]);
        assert_eq!(times(std::slice::from_ref(&draw)).unwrap(), [1.0, 2.5]);
        assert!(times(&[draw.clone(), draw]).unwrap_err().to_string().contains("named twice"));
        let error = times(&[Draw::parse("Mass=2").unwrap()]).unwrap_err().to_string();
        assert!(error.contains("`Mass`") && error.contains("Normal, Other Pneumonia"), "{error}");
    }

    /// 16 and 4 images: twice as many of the first as of the second, each of them equally often; three times the second.
    #[cfg(feature = "cli")]
    #[test]
    fn collections_are_drawn_by_the_square_root_of_their_images() {
        let sample = |class| crate::data::Sample {
            path: "a".into(),
            name: "a".into(),
            class,
            group: None,
            source: None,
            packed: None,
        };
        let samples: Vec<_> = (0..20).map(|i| sample(usize::from(i >= 16))).collect();
        let of = |draws: &[Draw]| {
            let drawn = draw_by_square_root(&samples, &["a", "b"], draws, 24).unwrap();
            let first = drawn.iter().filter(|i| **i < 16).count();
            (
                first,
                drawn.len() - first,
                (16..20).map(|i| drawn.iter().filter(|d| **d == i).count()).collect::<Vec<_>>(),
            )
        };
        assert_eq!(of(&[]), (16, 8, vec![2; 4]));
        assert_eq!(of(&[Draw::parse("b=3").unwrap()]), (10, 14, vec![4, 3, 4, 3]));
    }

    #[test]
    fn what_names_no_number_is_refused_with_an_example() {
        for text in
            ["Other", "Other=", "Other=often", "=3", "Other=0", "Other=-1", "Other=NaN", "Other=inf", "Other=1e9"]
        {
            assert!(Draw::parse(text).unwrap_err().to_string().contains("FOLDER=TIMES"), "{text}");
        }
    }
}
