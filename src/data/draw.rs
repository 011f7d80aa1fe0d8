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

    #[test]
    fn what_names_no_number_is_refused_with_an_example() {
        for text in
            ["Other", "Other=", "Other=often", "=3", "Other=0", "Other=-1", "Other=NaN", "Other=inf", "Other=1e9"]
        {
            assert!(Draw::parse(text).unwrap_err().to_string().contains("FOLDER=TIMES"), "{text}");
        }
    }
}
