//! Pictures that are not judged, each with a reason: what a network says of anything but an upright frontal chest film
//! means nothing, and it says it with the same confidence.
//!
//! Two stages: [`plain`] looks at the picture as it was read, [`Gate`] at what the network made of it, which costs no second
//! pass. A gate is fitted to one network ([`fit`]) and lies beside its weights. Slices in, reasons out; what is refused can
//! still be shown by whoever asks for it.

#[cfg(feature = "cli")]
pub mod fit;
mod gate;
#[cfg(feature = "cli")]
pub mod made;
pub mod plain;

use serde::{Deserialize, Serialize};

pub use gate::{Gate, GateInfo, KINDS, Kind};

/// Why a picture is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Fewer pixels than the network's input needs.
    TooSmall,
    /// One grey all over.
    Blank,
    /// It has colours.
    ColourPhoto,
    /// Black and white are exchanged.
    Inverted,
    /// Turned by a quarter.
    Rotated,
    /// Turned by a half, or mirrored top to bottom.
    UpsideDown,
    /// A part of a chest film only.
    Cropped,
    /// A chest film taken from the side.
    Lateral,
    /// Something else than a frontal chest film.
    NotAChestFilm,
    /// Like a chest film, but unlike every film that the network learned from.
    Unfamiliar,
}

/// A picture that is not judged: why, and by how much.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refusal {
    /// The reason; its name in JSON is stable.
    pub reason: Reason,
    /// The reason as a sentence, with what to do about it where something can be done.
    pub message: String,
    /// What was measured; its unit is the reason's.
    pub value: f32,
    /// Beyond what it would have been judged.
    pub limit: f32,
}

impl Reason {
    /// The name that JSON has, in kebab case.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooSmall => "too-small",
            Self::Blank => "blank",
            Self::ColourPhoto => "colour-photo",
            Self::Inverted => "inverted",
            Self::Rotated => "rotated",
            Self::UpsideDown => "upside-down",
            Self::Cropped => "cropped",
            Self::Lateral => "lateral",
            Self::NotAChestFilm => "not-a-chest-film",
            Self::Unfamiliar => "unfamiliar",
        }
    }

    /// The reason with its numbers.
    pub(crate) fn refusal(self, value: f32, limit: f32) -> Refusal {
        let percent = |share: f32| format!("{:.0} %", 100.0 * share);
        let message = match self {
            Self::TooSmall => {
                format!("The picture is too small: its shorter side has {value:.0} pixels, {limit:.0} are needed.")
            }
            Self::Blank => "The picture is blank: it has hardly any contrast.".into(),
            Self::ColourPhoto => {
                format!("This is a colour picture, not an X-ray film: {} of its pixels have a colour.", percent(value))
            }
            Self::Inverted => {
                "The film looks inverted: bones have to be white and air black. Invert it and try again.".into()
            }
            Self::Rotated => "The film looks turned on its side. Turn it upright and try again.".into(),
            Self::UpsideDown => "The film looks upside down. Turn it upright and try again.".into(),
            Self::Cropped => "This looks like a part of a chest film only. The whole chest has to be on it.".into(),
            Self::Lateral => {
                "This looks like a chest film taken from the side. Only films from the front or the back are judged."
                    .into()
            }
            Self::NotAChestFilm => "This does not look like a frontal X-ray film of a chest.".into(),
            Self::Unfamiliar => {
                "This picture is too unlike the films that the model learned from for its answer to mean anything."
                    .into()
            }
        };
        Refusal { reason: self, message, value, limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reasons_code_is_its_name_in_json() {
        for reason in [
            Reason::TooSmall,
            Reason::Blank,
            Reason::ColourPhoto,
            Reason::Inverted,
            Reason::Rotated,
            Reason::UpsideDown,
            Reason::Cropped,
            Reason::Lateral,
            Reason::NotAChestFilm,
            Reason::Unfamiliar,
        ] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.code());
        }
    }
}
